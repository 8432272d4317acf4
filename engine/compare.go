package engine

// equal compares texts, numbers, truth and absence.
func equal(x, y any) (v, ok bool) {
	switch a := x.(type) {
	case nil:
		return y == nil, y == nil || simple(y)
	case string:
		b, same := y.(string)
		return same && a == b, same || simple(y)
	case bool:
		b, same := y.(bool)
		return same && a == b, same || simple(y)
	case float64, int:
		p, _ := toNumber(x)
		if q, is := toNumber(y); is {
			return p == q, exact(x) && exact(y)
		}
		return false, simple(y)
	}
	return false, false
}

// exact says whether a number is the same as a float64.
func exact(v any) bool {
	n, isInt := v.(int)
	return !isInt || n < 1<<53 && n > -1<<53
}

// simple says whether a value is one that equal knows, so that two of different
// kinds are just not equal.
func simple(v any) bool {
	switch v.(type) {
	case nil, string, bool, float64, int:
		return true
	}
	return false
}

func less(x, y any) (v, ok bool) {
	if a, is := x.(string); is {
		b, is := y.(string)
		return a < b, is
	}
	a, ok := number(x)
	if !ok {
		return false, false
	}
	b, ok := number(y)
	return a < b, ok
}

func atMost(x, y any) (v, ok bool) {
	if a, is := x.(string); is {
		b, is := y.(string)
		return a <= b, is
	}
	a, ok := number(x)
	if !ok {
		return false, false
	}
	b, ok := number(y)
	return a <= b, ok
}

// number reads a number that a float64 holds exactly.
func number(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int:
		return float64(x), exact(v)
	}
	return 0, false
}
