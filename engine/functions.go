package engine

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
)

// allowedBuiltins are the functions of expr that chains may use.
var allowedBuiltins = []string{
	"len", "lower", "upper", "trim", "split", "join", "replace", "indexOf", "min", "max", "abs", "round", "floor", "ceil", "int", "float",
	"string", "keys", "values", "any", "all", "none", "one", "filter", "map", "count", "find", "sum", "first", "last",
}

// function makes one of our functions for expr; sigs are nil functions with the
// signatures that the checker holds calls against.
func function(name string, fn func(args ...any) (any, error), sigs ...any) builtin.Function {
	f := builtin.Function{Name: name, Func: fn}
	for _, s := range sigs {
		f.Types = append(f.Types, reflect.TypeOf(s))
	}
	return f
}

var functions = []builtin.Function{
	function("version_compare", func(a ...any) (any, error) { return compareVersions(textOf(a[0]), textOf(a[1])), nil }, func(a, b string) int { return 0 }, func(a, b any) int { return 0 }),
	function("version_in", func(a ...any) (any, error) { return versionIn(textOf(a[0]), textOf(a[1])) }, func(v, r string) bool { return false }, func(v, r any) bool { return false }),
	function("time_of_day", func(a ...any) (any, error) { return timeOfDay(a[0], a[1]) }, func(t time.Time, zone string) string { return "" }, func(t, zone any) string { return "" }),
	function("weekday", func(a ...any) (any, error) { return weekday(a[0], a[1]) }, func(t time.Time, zone string) string { return "" }, func(t, zone any) string { return "" }),
	function("in_hours", inHours, func(t time.Time, from, to, zone string) bool { return false }, func(t, from, to, zone any) bool { return false }),
	function("share_of", func(a ...any) (any, error) { return shareOf(a...), nil }, func(texts ...string) float64 { return 0 }, func(texts ...any) float64 { return 0 }),
	function("number", func(a ...any) (any, error) { return numberOr(a[0], a[1]), nil }, func(v any, def float64) float64 { return 0 }, func(v any, def int) float64 { return 0 }),
	function("text", func(a ...any) (any, error) { return textOr(a[0], a[1]), nil }, func(v any, def string) string { return "" }),
	function("flag", func(a ...any) (any, error) { return flagOr(a[0], a[1]), nil }, func(v any, def bool) bool { return false }),
	function("from_json", func(a ...any) (any, error) { return fromJSON(a[0]) }, func(s string) any { return nil }, func(v any) any { return nil }),
	function("to_json", func(a ...any) (any, error) { return toJSON(a[0]) }, func(v any) string { return "" }),
	function("hex", func(a ...any) (any, error) { return hex.EncodeToString(bytesOf(a[0])), nil }, func(v any) string { return "" }),
	function("base64", func(a ...any) (any, error) { return base64.StdEncoding.EncodeToString(bytesOf(a[0])), nil }, func(v any) string { return "" }),
	function("sha256", func(a ...any) (any, error) {
		sum := sha256.Sum256(bytesOf(a[0]))
		return hex.EncodeToString(sum[:]), nil
	}, func(v any) string { return "" }),
}

func functionIndex(name string) int {
	for i := range functions {
		if functions[i].Name == name {
			return i
		}
	}
	return -1
}

func functionNames() []string {
	out := append([]string{"duration", "size", "percent", "time"}, allowedBuiltins...)
	for i := range functions {
		out = append(out, functions[i].Name)
	}
	return out
}

// constant works out duration("3d") and its like, which take constants alone.
// made is false for other functions; why says what is wrong.
func constant(name string, args []ast.Node) (n ast.Node, made bool, why string) {
	read := map[string]func(string) (any, error){
		"duration": func(s string) (any, error) { return parseDuration(s) },
		"size":     func(s string) (any, error) { b, err := parseSize(s); return int(b), err },
		"percent":  func(s string) (any, error) { p, err := parsePercent(s); return float64(p), err },
		"time":     func(s string) (any, error) { return parseTime(s) },
	}[name]
	if read == nil {
		return nil, false, ""
	}
	if len(args) != 1 {
		return nil, false, name + " takes one text"
	}
	s, ok := args[0].(*ast.StringNode)
	if !ok {
		return nil, false, name + " takes a constant text, such as " + map[string]string{"duration": `duration("3d")`, "size": `size("64KiB")`, "percent": `percent("2%")`, "time": `time("2026-12-01T02:00:00Z")`}[name]
	}
	v, err := read(s.Value)
	if err != nil {
		return nil, false, err.Error()
	}
	return &ast.ConstantNode{Value: v}, true, ""
}

func textOf(v any) string { return printValue(v) }

func numberOr(v, def any) float64 {
	if n, ok := toNumber(v); ok {
		return n
	}
	if s, ok := v.(string); ok {
		if n, err := strconv.ParseFloat(s, 64); err == nil {
			return n
		}
	}
	n, _ := toNumber(def)
	return n
}

func textOr(v, def any) string {
	if s, ok := toText(v); ok {
		return s
	}
	return textOf(def)
}

func flagOr(v, def any) bool {
	switch x := v.(type) {
	case bool:
		return x
	case string:
		if x == "true" || x == "false" {
			return x == "true"
		}
	}
	b, _ := def.(bool)
	return b
}

func fromJSON(v any) (any, error) {
	var out any
	if err := json.Unmarshal(bytesOf(v), &out); err != nil {
		return nil, fmt.Errorf("from_json: %w", err)
	}
	return out, nil
}

func toJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("to_json: %w", err)
	}
	return string(b), nil
}

func bytesOf(v any) []byte {
	switch x := v.(type) {
	case []byte:
		return x
	case nil:
		return nil
	}
	return []byte(printValue(v))
}

// shareOf is a stable number from 0 to 1 for texts, spread evenly.
func shareOf(texts ...any) float64 {
	h := fnv.New64a()
	for _, t := range texts {
		h.Write([]byte(textOf(t)))
		h.Write([]byte{0})
	}
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

func inZone(t, zone any) (time.Time, error) {
	at, ok := t.(time.Time)
	if !ok {
		return at, fmt.Errorf("%s is no time", describe(t))
	}
	name, _ := zone.(string)
	loc, err := LoadZone(name)
	if err != nil {
		return at, err
	}
	return at.In(loc), nil
}

func timeOfDay(t, zone any) (any, error) {
	at, err := inZone(t, zone)
	return at.Format("15:04"), err
}

func weekday(t, zone any) (any, error) {
	at, err := inZone(t, zone)
	return strings.ToLower(at.Format("Mon")), err
}

// inHours says whether t lies between two clock times; the span may cross
// midnight. Between two that are the same lies nothing.
func inHours(a ...any) (any, error) {
	at, ok := a[0].(time.Time)
	if !ok {
		return false, fmt.Errorf("%s is no time", describe(a[0]))
	}
	from, to := textOf(a[1]), textOf(a[2])
	zone, _ := a[3].(string)
	if from == to {
		_, err := LoadZone(zone)
		return false, err
	}
	h, err := NewHours(from, to, zone)
	if err != nil {
		return false, err
	}
	return h.Open(at), nil
}
