package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// assign puts a value that an expression gave into a setting of another Go
// type, as far as the language allows it. Absent (nil) is the zero value.
func assign[T any](out *T, v any) error {
	if v == nil {
		return nil
	}
	if x, ok := v.(T); ok {
		*out = x
		return nil
	}
	var ok bool
	switch p := any(out).(type) {
	case *string:
		*p, ok = toText(v)
	case *ota.Kind:
		var s string
		if s, ok = v.(string); ok {
			*p = ota.Kind(s)
			ok = p.Valid() || s == ""
		}
	case *int:
		var n int64
		n, ok = toInt(v)
		*p = int(n)
	case *Bytes:
		var n int64
		n, ok = toInt(v)
		*p = Bytes(n)
	case *float64:
		*p, ok = toNumber(v)
	case *Percent:
		var f float64
		f, ok = toNumber(v)
		*p = Percent(f)
	case *time.Duration:
		if s, is := v.(string); is {
			d, err := parseDuration(s)
			*p, ok = d, err == nil
		}
	case *ota.Pace:
		if s, is := v.(string); is {
			x, err := parseRate(s)
			*p, ok = x, err == nil
		}
	case *time.Time:
		if s, is := v.(string); is {
			t, err := time.Parse(time.RFC3339, s)
			*p, ok = t, err == nil
		}
	case *[]string:
		*p, ok = toTexts(v)
	case *map[string]string:
		*p, ok = toTextMap(v)
	}
	if !ok {
		return fmt.Errorf("the value is %s, want %s", describe(v), typeOf[T]())
	}
	return nil
}

// typeOf is the language's type of a setting's Go type.
func typeOf[T any]() Type {
	var zero T
	switch any(zero).(type) {
	case string:
		return TextType
	case bool:
		return BoolType
	case int:
		return IntType
	case float64:
		return NumberType
	case time.Duration:
		return DurationType
	case Bytes:
		return SizeType
	case Percent:
		return PercentType
	case ota.Pace:
		return RateType
	case time.Time:
		return TimeType
	case ota.Kind:
		return KindType
	case []string:
		return ListType
	case map[string]string:
		return MapType
	}
	return AnyType
}

func toInt(v any) (int64, bool) {
	switch x := v.(type) {
	case int:
		return int64(x), true
	case int64:
		return x, true
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x), true
		}
	}
	return 0, false
}

func toNumber(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int:
		return float64(x), true
	case int64:
		return float64(x), true
	}
	return 0, false
}

func toText(v any) (string, bool) {
	switch v.(type) {
	case string, bool, int, int64, float64, time.Duration, time.Time:
		return printValue(v), true
	}
	return "", false
}

func toTexts(v any) ([]string, bool) {
	l, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(l))
	for i, x := range l {
		if out[i], ok = toText(x); !ok {
			return nil, false
		}
	}
	return out, true
}

func toTextMap(v any) (map[string]string, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	out := make(map[string]string, len(m))
	for k, x := range m {
		if out[k], ok = toText(x); !ok {
			return nil, false
		}
	}
	return out, true
}

// printValue is how a value reads within text.
func printValue(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case bool:
		return strconv.FormatBool(x)
	case int:
		return strconv.Itoa(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			return strconv.FormatInt(int64(x), 10)
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	case time.Time:
		return x.UTC().Format(time.RFC3339)
	case time.Duration:
		return printDuration(x)
	case json.RawMessage:
		return string(x)
	case []byte:
		return string(x)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// describe names a value for an error.
func describe(v any) string {
	switch x := v.(type) {
	case nil:
		return "absent"
	case string:
		if len(x) > 40 {
			return strconv.Quote(x[:40]) + "…"
		}
		return strconv.Quote(x)
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	}
	return printValue(v)
}
