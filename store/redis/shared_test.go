package redis

import (
	"testing"

	"github.com/windlass-ota/windlass/store/redis/redistest"
)

func TestShared(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := open(t, c)
	get := func(name string) string {
		t.Helper()
		text, err := s.Shared(t.Context(), "main", name)
		if err != nil || len(text) < 26 {
			t.Fatalf("%s is %q, %v", name, text, err)
		}
		return text
	}
	if a, b, other := get("links"), get("links"), get("others"); a != b || a == other {
		t.Errorf("links is %q, then %q; others is %q", a, b, other)
	}
	if rep, err := s.Check(t.Context()); err != nil || rep.Err() != nil {
		t.Errorf("check: %v, %v", err, rep.Err())
	}
}
