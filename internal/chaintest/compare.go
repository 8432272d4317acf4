package chaintest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

// noun is something that a case may expect things of: its members, worked out
// when they are named, and a word for all of it.
type noun struct {
	text    string
	members map[string]func() any
}

// mismatch is one thing that is otherwise than a case expects.
type mismatch struct {
	at    *yamlx.Node
	field string
	want  string
	got   string
}

func (m mismatch) String() string { return fmt.Sprintf("%s: want %s, got %s", m.field, m.want, m.got) }

// compare holds what is against what a node says. Of maps only what is named
// counts; lists are compared whole, and by their length with a number.
func compare(n *yamlx.Node, got any, field string) []mismatch {
	if n.Kind == yamlx.Map {
		return compareMap(n, got, field)
	}
	if n.Kind == yamlx.List {
		return compareList(n, got, field)
	}
	return differ(n, got, field, same(n, got))
}

func differ(n *yamlx.Node, got any, field string, ok bool) []mismatch {
	if ok {
		return nil
	}
	return []mismatch{{n, field, show(n), printed(got)}}
}

func compareMap(n *yamlx.Node, got any, field string) (out []mismatch) {
	for _, p := range n.Pairs {
		name := strings.TrimPrefix(field+"."+p.Key.Text, ".")
		switch g := got.(type) {
		case noun:
			if f := g.members[p.Key.Text]; f != nil {
				out = append(out, compare(p.Value, f(), name)...)
			} else {
				out = append(out, mismatch{p.Key, name, show(p.Value), "nothing of that name"})
			}
		case map[string]any:
			v, ok := g[p.Key.Text]
			if !ok && !p.Value.Null() {
				out = append(out, mismatch{p.Value, name, show(p.Value), "nothing"})
			} else if ok {
				out = append(out, compare(p.Value, v, name)...)
			}
		default:
			return []mismatch{{n, field, show(n), printed(got)}}
		}
	}
	return out
}

func compareList(n *yamlx.Node, got any, field string) (out []mismatch) {
	var all []any
	switch g := got.(type) {
	case []any:
		all = g
	case []string:
		for _, s := range g {
			all = append(all, s)
		}
	default:
		return []mismatch{{n, field, show(n), printed(got)}}
	}
	if len(all) != len(n.Items) {
		return []mismatch{{n, field, show(n), printed(got)}}
	}
	for i, x := range n.Items {
		if len(compare(x, all[i], field)) > 0 {
			if texts := allText(all); texts && i >= 0 {
				return []mismatch{{x, field, show(n), printed(got)}}
			}
			out = append(out, compare(x, all[i], field+"["+strconv.Itoa(i)+"]")...)
		}
	}
	return out
}

func allText(all []any) bool {
	return !slices.ContainsFunc(all, func(v any) bool { _, ok := v.(string); return !ok })
}

// same compares a scalar. What is there decides how it is read.
func same(n *yamlx.Node, got any) bool {
	switch g := got.(type) {
	case nil:
		return n.Null() || n.Text == "none"
	case noun:
		return n.Text == g.text
	case string:
		return n.Text == g || g == "" && n.Null()
	case bool:
		return n.Text == strconv.FormatBool(g)
	case time.Duration:
		return ordered(n.Text, func(s string) (int, bool) {
			d, err := readDuration(s)
			return cmp.Compare(g, d), err == nil
		})
	case time.Time:
		t, err := time.Parse(time.RFC3339, n.Text)
		return err == nil && t.Equal(g)
	case []any, []string:
		return ordered(n.Text, func(s string) (int, bool) {
			want, err := strconv.Atoi(s)
			return cmp.Compare(reflect.ValueOf(g).Len(), want), err == nil
		})
	case int, int64, float64:
		return ordered(n.Text, func(s string) (int, bool) {
			want, err := strconv.ParseFloat(s, 64)
			return cmp.Compare(toFloat(g), want), err == nil
		})
	}
	return false
}

// ordered reads "<= 3", ">= 3", "< 3", "> 3" and "3".
func ordered(s string, against func(string) (int, bool)) bool {
	for _, op := range []struct {
		word string
		ok   func(int) bool
	}{
		{"<=", func(c int) bool { return c <= 0 }}, {">=", func(c int) bool { return c >= 0 }}, {"<", func(c int) bool { return c < 0 }},
		{">", func(c int) bool { return c > 0 }}, {"", func(c int) bool { return c == 0 }},
	} {
		if rest, ok := strings.CutPrefix(s, op.word); ok {
			c, read := against(strings.TrimSpace(rest))
			return read && op.ok(c)
		}
	}
	return false
}

func toFloat(v any) float64 {
	switch x := v.(type) {
	case int:
		return float64(x)
	case int64:
		return float64(x)
	case float64:
		return x
	}
	return 0
}

// plain turns any value into what JSON would make of it, so that a case can be
// held against it.
func plain(v any) any {
	switch x := v.(type) {
	case nil, string, bool, int, int64, float64, time.Time, time.Duration, noun:
		return v
	case []byte:
		return fromJSON(x)
	case engine.Percent:
		return float64(x)
	case engine.Bytes:
		return int64(x)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return fromJSON(b)
}

func fromJSON(b []byte) any {
	var v any
	if len(b) == 0 || json.Unmarshal(b, &v) != nil {
		return nil
	}
	return v
}

// show writes what a case expects.
func show(n *yamlx.Node) string {
	switch n.Kind {
	case yamlx.Map:
		var parts []string
		for _, p := range n.Pairs {
			parts = append(parts, p.Key.Text+": "+show(p.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yamlx.List:
		var parts []string
		for _, x := range n.Items {
			parts = append(parts, show(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return word(n.Text)
}

// printed writes what there is.
func printed(v any) string {
	switch x := v.(type) {
	case nil:
		return "nothing"
	case noun:
		return word(x.text)
	case string:
		return word(x)
	case time.Duration:
		return engine.PrintDuration(x)
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano)
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	case []any:
		var parts []string
		for _, e := range x {
			parts = append(parts, printed(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if e.Encode(x) == nil {
			return strings.TrimSpace(b.String())
		}
	}
	return fmt.Sprint(v)
}

// word quotes a text that would be read as something else.
func word(s string) string {
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsAny(s, "\n") {
		return strconv.Quote(s)
	}
	return s
}
