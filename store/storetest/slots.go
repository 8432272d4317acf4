package storetest

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// slotsAreLeased holds a store to the meaning of [ota.Slots].
func slotsAreLeased(t *testing.T, process func(string) Process) {
	a, b := process("a"), process("b")
	take := func(p Process, holder string, lease time.Duration) bool {
		t.Helper()
		has, err := p.TakeSlot(t.Context(), ota.SlotKnock{Tenant: tenant, Key: "site {a}: ü", Holder: holder, Max: 2, Lease: lease})
		if err != nil {
			t.Fatal(err)
		}
		return has
	}
	for i, x := range []struct {
		p      Process
		holder string
		want   bool
	}{{a, "one", true}, {b, "two", true}, {a, "three", false}, {b, "one", true}, {a, "two", true}} { // the same ones have theirs
		if got := take(x.p, x.holder, time.Hour); got != x.want {
			t.Errorf("%d: %s has one: %v, want %v", i, x.holder, got, x.want)
		}
	}
	for range 2 {
		if err := b.FreeSlot(t.Context(), tenant, "site {a}: ü", "one"); err != nil {
			t.Fatal(err)
		}
	}
	if !take(b, "short", 20*time.Millisecond) || take(a, "four", time.Hour) {
		t.Error("the place that came back was not given once")
	}
	eventually(t, "the place comes back whose lease has ended", func() bool { return take(a, "four", time.Hour) })
	if has, err := a.TakeSlot(t.Context(), ota.SlotKnock{Tenant: tenant, Key: "another", Holder: "three", Max: 1, Lease: time.Hour}); !has || err != nil {
		t.Errorf("another key has no room: %v, %v", has, err)
	}
}
