package engine

import (
	"cmp"
	"fmt"
	"strings"
)

// CompareVersions is version_compare of expressions, for nodes.
func CompareVersions(a, b string) int { return compareVersions(a, b) }

// VersionIn is version_in of expressions, for nodes. An error says that ranges
// is none.
func VersionIn(v, ranges string) (bool, error) { return versionIn(v, ranges) }

// CheckVersions says what is wrong with a range of versions, every alternative
// of it, or nil.
func CheckVersions(ranges string) error {
	for alternative := range strings.SplitSeq(ranges, "||") {
		for _, c := range conditions(alternative) {
			if _, err := meets("0", c); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareVersions orders two versions by their dotted parts, as Semantic
// Versioning 2.0.0 does where they follow it: numbers by value, a pre-release
// before its release, build metadata not at all.
func compareVersions(a, b string) int {
	coreA, preA := cutVersion(a)
	coreB, preB := cutVersion(b)
	if c := compareParts(coreA, coreB, "0"); c != 0 {
		return c
	}
	switch {
	case preA == preB:
		return 0
	case preA == "":
		return 1
	case preB == "":
		return -1
	}
	return compareParts(preA, preB, "")
}

func cutVersion(v string) (core, pre string) {
	v = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(v), "v"), "V")
	v, _, _ = strings.Cut(v, "+")
	core, pre, _ = strings.Cut(v, "-")
	return core, pre
}

// compareParts compares dotted parts; missing stands for a part that one of
// them lacks: "0", or nothing, which comes first.
func compareParts(a, b, missing string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		p, q := missing, missing
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if c := comparePart(p, q); c != 0 {
			return c
		}
	}
	return 0
}

func comparePart(a, b string) int {
	if digits(a) && digits(b) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	if digits(a) != digits(b) && a != "" && b != "" { // numbers come before words
		if digits(a) {
			return -1
		}
		return 1
	}
	return cmp.Compare(a, b)
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// versionIn says whether v lies in a range: "*", "1.2", ">=1.0 <2.0", "^1.2",
// "~1.2", "1.x", and several of them with || between.
func versionIn(v, ranges string) (bool, error) {
	for alternative := range strings.SplitSeq(ranges, "||") {
		all := true
		for _, c := range conditions(alternative) {
			ok, err := meets(v, c)
			if err != nil {
				return false, err
			}
			all = all && ok
		}
		if all {
			return true, nil
		}
	}
	return false, nil
}

// conditions takes apart what must hold together; ">= 1.0" is one of them.
func conditions(alternative string) []string {
	var out []string
	for _, c := range strings.Fields(strings.ReplaceAll(alternative, ",", " ")) {
		if n := len(out) - 1; n >= 0 && strings.Trim(out[n], "<>=!^~") == "" {
			out[n] += c
			continue
		}
		out = append(out, c)
	}
	return out
}

func meets(v, c string) (bool, error) {
	if c == "*" || c == "x" {
		return true, nil
	}
	op := c[:len(c)-len(strings.TrimLeft(c, "<>=!^~"))]
	want := c[len(op):]
	if want == "" {
		return false, fmt.Errorf("%q is no range of versions", c)
	}
	base := strings.Split(want, ".")
	if last := base[len(base)-1]; last == "x" || last == "*" {
		prefix := strings.Join(base[:len(base)-1], ".")
		return strings.HasPrefix(strings.TrimPrefix(v, "v")+".", prefix+"."), nil
	}
	d := compareVersions(v, want)
	switch op {
	case "", "=", "==":
		return d == 0, nil
	case "!=":
		return d != 0, nil
	case "<":
		return d < 0, nil
	case "<=":
		return d <= 0, nil
	case ">":
		return d > 0, nil
	case ">=":
		return d >= 0, nil
	case "^":
		return d >= 0 && compareVersions(v, bump(want, caretPlace(want))) < 0, nil
	case "~":
		return d >= 0 && compareVersions(v, bump(want, min(1, strings.Count(want, ".")))) < 0, nil
	}
	return false, fmt.Errorf("%q is no range of versions", c)
}

// caretPlace is the first part that is not 0: it must stay as it is.
func caretPlace(v string) int {
	core, _ := cutVersion(v)
	parts := strings.Split(core, ".")
	for i, p := range parts {
		if strings.Trim(p, "0") != "" {
			return i
		}
	}
	return len(parts) - 1
}

// bump is the first version, pre-releases included, whose part at place is higher.
func bump(v string, place int) string {
	core, _ := cutVersion(v)
	parts := strings.Split(core, ".")
	n, _ := parseInt(parts[place])
	return strings.Join(append(append([]string{}, parts[:place]...), fmt.Sprint(n+1)), ".") + "-0"
}
