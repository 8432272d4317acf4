package main

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

func TestPrintYAML(t *testing.T) {
	v := json.RawMessage(`{"name":"dev-1","empty":{},"none":[],"n":1.5,"ok":true,"off":"off","v":"1.10","nil":null,"s":"a: b",
		"list":[1,"x",{"a":1,"b":{"c":"d"}},[],[2,3]],"at":"2026-11-24T11:48:58Z","text":"two\nlines"}`)
	var b bytes.Buffer
	if err := printYAML(&b, v); err != nil {
		t.Fatal(err)
	}
	const want = `name: dev-1
empty: {}
none: []
"n": 1.5
ok: true
"off": "off"
v: "1.10"
nil: null
s: "a: b"
list:
  - 1
  - x
  - a: 1
    b:
      c: d
  - []
  - - 2
    - 3
at: "2026-11-24T11:48:58Z"
text: "two\nlines"
`
	got := b.String()
	// Keys that YAML could take for something else are quoted too.
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is printed as YAML is read as what it was.
func TestYAMLRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "~", "null", "yes", "1e3", "0x1f", "- a", "a: b", "a #b", "{a}", "*x", "&x", "!x", "%x", "é", "\u2028", " a", "a ", "-", "?", ":", "a:", "2026-11-24"}))
		var value func(depth int) any
		value = func(depth int) any {
			switch n := rapid.IntRange(0, 6).Draw(t, "kind"); {
			case n == 0 && depth > 0:
				m := map[string]any{}
				for range rapid.IntRange(0, 3).Draw(t, "members") {
					m[text.Draw(t, "key")] = value(depth - 1)
				}
				return m
			case n == 1 && depth > 0:
				l := []any{}
				for range rapid.IntRange(0, 3).Draw(t, "items") {
					l = append(l, value(depth-1))
				}
				return l
			case n == 2:
				return rapid.Bool().Draw(t, "bool")
			case n == 3:
				return rapid.IntRange(math.MinInt32, math.MaxInt32).Draw(t, "int")
			case n == 4:
				return nil
			}
			return text.Draw(t, "text")
		}
		v := map[string]any{"v": value(3)}
		var b bytes.Buffer
		if err := printYAML(&b, v); err != nil {
			t.Fatal(err)
		}
		var got any
		if err := yamlx.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		// JSON writes what is no UTF-8 as U+FFFD.
		var want any
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(normal(want), normal(got)); diff != "" {
			t.Fatalf("-want +got:\n%s\nof\n%s", diff, b.String())
		}
	})
}

// normal writes every number as a float64.
func normal(v any) any {
	switch x := v.(type) {
	case int:
		return float64(x)
	case map[string]any:
		m := map[string]any{}
		for k, y := range x {
			m[k] = normal(y)
		}
		return m
	case []any:
		l := []any{}
		for _, y := range x {
			l = append(l, normal(y))
		}
		return l
	}
	return v
}

// A name that somebody gave a device does not steer the terminal.
func TestATableIsPlain(t *testing.T) {
	tab := &table{head: []string{"NAME", "STATE"}}
	tab.add("a\x1b[2Jb\tc\nd", "ok\u009b")
	tab.add("e", "")
	var b bytes.Buffer
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "NAME        STATE\na·[2Jb·c·d  ok·\ne\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		time.Second: "1s ago", -time.Minute: "0s ago", 90 * time.Second: "2m ago", 3 * time.Hour: "3h0m ago", 48 * time.Hour: "2026-11-22 12:00Z",
	} {
		at := now.Add(-d)
		if got := ago(&at, now); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	if got := ago(nil, now); got != "never" {
		t.Errorf("nil: got %q", got)
	}
}
