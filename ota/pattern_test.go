package ota

import (
	"maps"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	tests := []struct {
		pattern, topic string
		want           map[string]string // nil: no match
	}{
		{"acme/{serial}/ota", "acme/s-1/ota", map[string]string{"serial": "s-1"}},
		{"acme/{serial}/ota", "/acme/s-1/ota", map[string]string{"serial": "s-1"}},
		{"acme/{serial}/ota", "acme/s-1/ota/x", nil},
		{"acme/{serial}/ota", "acme//ota", nil},
		{"acme/{serial}/ota", "acme/s-1", nil},
		{"a/{rest...}", "a/b/c", map[string]string{"rest": "b/c"}},
		{"a/{rest...}", "a", nil},
		{"a/{rest...}", "a/", nil},
		{"{all...}", "x", map[string]string{"all": "x"}},
		{"a", "a", map[string]string{}},
		{"a", "a/", nil},
		{"a", "b", nil},
	}
	for _, tt := range tests {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := p.Match(tt.topic)
		if ok != (tt.want != nil) || ok && !maps.Equal(got, tt.want) {
			t.Errorf("%s on %s: %v, %v", tt.pattern, tt.topic, got, ok)
		}
	}
}

func TestPatternBefore(t *testing.T) {
	order := []string{"a/b/c", "a/b/{x}", "a/{x}/c", "a/{x}", "a/{x...}", "{x}/b", "{x...}"}
	for i := range order {
		for j := range order {
			p, _ := ParsePattern(order[i])
			q, _ := ParsePattern(order[j])
			if i < j && q.Before(p) {
				t.Errorf("%s goes before %s", order[j], order[i])
			}
		}
	}
	p, err := ParsePattern("/a/{x}/{y...}")
	if err != nil || p.Filter() != "a/+/#" || strings.Join(p.Names(), " ") != "x y" {
		t.Errorf("%q, %v, %v", p.Filter(), p.Names(), err)
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("a/{x}/{y...}", "a/b/c/d")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		p, err := ParsePattern(pattern)
		if err != nil {
			return
		}
		captured, ok := p.Match(topic)
		if ok && len(captured) != len(p.Names()) {
			t.Errorf("%q on %q captures %v", pattern, topic, captured)
		}
		if strings.Contains(p.Filter(), "{") {
			t.Errorf("the filter of %q is %q", pattern, p.Filter())
		}
	})
}
