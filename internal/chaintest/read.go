package chaintest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// The rules that a fault of a test file can name; they are those of chain files.
const (
	ruleYAML       = "yaml"
	ruleTooLarge   = "too_large"
	ruleMissing    = "missing"
	ruleUnknownKey = "unknown_key"
	ruleWrongType  = "wrong_type"
	ruleBadLiteral = "bad_literal"
	ruleBadWord    = "bad_word"
	ruleUnknown    = "unknown_target"
)

// reader reads one test file and gathers what is wrong with it.
type reader struct {
	name   string
	lines  []string
	faults engine.Faults
}

func (rd *reader) put(line, col int, rule, msg string) {
	f := engine.Fault{File: rd.name, Line: line, Col: col, Rule: rule, Message: msg}
	if line >= 1 && line <= len(rd.lines) {
		f.Source = rd.lines[line-1]
	}
	rd.faults = append(rd.faults, f)
}

func (rd *reader) fault(at *yamlx.Node, rule, format string, args ...any) {
	rd.put(at.Line, at.Col, rule, fmt.Sprintf(format, args...))
}

// self is a value of a test file that has a form of its own.
type self interface {
	read(rd *reader, n *yamlx.Node)
}

// into fills v, a struct, map, list or plain value, from a node. What is called
// what in messages.
func (rd *reader) into(v reflect.Value, n *yamlx.Node, what string) {
	if s, ok := v.Addr().Interface().(self); ok {
		s.read(rd, n)
		return
	}
	switch t := v.Type(); {
	case t == reflect.TypeFor[*yamlx.Node]():
		v.Set(reflect.ValueOf(n))
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		rd.into(v.Elem(), n, what)
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]():
		rd.fields(v, n, what)
	case t.Kind() == reflect.Slice:
		rd.list(v, n, what)
	case t.Kind() == reflect.Map:
		rd.mapping(v, n, what)
	default:
		rd.scalar(v, n, what)
	}
}

// fields fills a struct by its yaml tags; a tag that ends in ",must" has to be
// there.
func (rd *reader) fields(v reflect.Value, n *yamlx.Node, what string) {
	if n.Kind != yamlx.Map {
		rd.fault(n, ruleWrongType, "%s is %s, want a map", what, describe(n))
		return
	}
	t := v.Type()
	var keys []string
	for i := range t.NumField() {
		key, flag, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if key == "" {
			continue
		}
		keys = append(keys, key)
		if x := n.Get(key); x != nil {
			rd.into(v.Field(i), x, key)
		} else if flag == "must" && !slices.ContainsFunc(n.Pairs, func(p yamlx.Pair) bool { return engine.DidYouMean(p.Key.Text, []string{key}) != "" }) {
			rd.fault(n, ruleMissing, "%s needs the key %s", what, key)
		}
	}
	rd.known(n, what, keys)
}

// known says which keys of a map are unknown.
func (rd *reader) known(n *yamlx.Node, what string, keys []string) {
	for _, p := range n.Pairs {
		if k := p.Key.Text; !slices.Contains(keys, k) && !strings.HasPrefix(k, "x-") {
			rd.fault(p.Key, ruleUnknownKey, "%s has no key %s%s", what, k, engine.DidYouMean(k, keys))
		}
	}
}

// singular is what one of a list is called.
var singular = map[string]string{"devices": "a device", "packages": "a package", "assignments": "an assignment", "cases": "a case"}

func (rd *reader) list(v reflect.Value, n *yamlx.Node, what string) {
	if n.Kind != yamlx.List {
		rd.fault(n, ruleWrongType, "%s is %s, want a list", what, describe(n))
		return
	}
	if one, ok := singular[what]; ok {
		what = one
	}
	out := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
	for i, x := range n.Items {
		rd.into(out.Index(i), x, what)
	}
	v.Set(out)
}

func (rd *reader) mapping(v reflect.Value, n *yamlx.Node, what string) {
	if n.Kind != yamlx.Map {
		rd.fault(n, ruleWrongType, "%s is %s, want a map", what, describe(n))
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.Pairs))
	for _, p := range n.Pairs {
		x := reflect.New(v.Type().Elem()).Elem()
		rd.into(x, p.Value, p.Key.Text)
		out.SetMapIndex(reflect.ValueOf(p.Key.Text), x)
	}
	v.Set(out)
}

// scalar fills plain Go; the field decides the type, never the look.
func (rd *reader) scalar(v reflect.Value, n *yamlx.Node, what string) {
	if n.Kind != yamlx.Scalar {
		rd.fault(n, ruleWrongType, "%s is %s, want one value", what, describe(n))
		return
	}
	if n.Null() && v.Kind() != reflect.String {
		rd.fault(n, ruleMissing, "%s is empty", what)
		return
	}
	var x any
	var err error
	switch v.Interface().(type) {
	case time.Duration:
		x, err = readDuration(n.Text)
	case time.Time:
		if x, err = time.Parse(time.RFC3339, n.Text); err != nil {
			err = fmt.Errorf("%q is no time; write 2026-12-01T02:00:00Z", n.Text)
		}
	case engine.Bytes:
		x, err = engine.ParseSize(n.Text)
	case engine.Percent:
		x, err = engine.ParsePercent(n.Text)
	case ota.Kind:
		x = ota.Kind(n.Text)
		if !ota.Kind(n.Text).Valid() {
			err = fmt.Errorf("%q is no kind; write firmware or software", n.Text)
		}
	case string:
		x = n.Text
	case bool:
		if x, err = strconv.ParseBool(n.Text); err != nil || n.Text != "true" && n.Text != "false" {
			err = fmt.Errorf("%q is neither true nor false", n.Text)
		}
	case int, int64:
		if x, err = strconv.ParseInt(n.Text, 10, 64); err != nil {
			err = fmt.Errorf("%q is no whole number", n.Text)
		}
	default:
		err = fmt.Errorf("a test has no %s", v.Type())
	}
	if err != nil {
		rd.fault(n, ruleBadLiteral, "%s: %s", what, err)
		return
	}
	v.Set(reflect.ValueOf(x).Convert(v.Type()))
}

// readDuration reads durations as chains do, and "2d 13h".
func readDuration(s string) (time.Duration, error) {
	return engine.ParseDuration(strings.ReplaceAll(s, " ", ""))
}

func describe(n *yamlx.Node) string {
	if n.Kind == yamlx.Scalar {
		return fmt.Sprintf("%q", n.Text)
	}
	return n.Kind.String()
}
