package storetest

import (
	"sync"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// bury leaves a dead letter in a home.
func (w *world) bury(t *testing.T, r ota.Ref, id string) ota.DeadLetter {
	t.Helper()
	d := ota.DeadLetter{
		ID: id, Tenant: w.tenant, At: w.Store.Now(), Chain: "x", Step: "s", Reason: "why <&>", For: "x", Attempts: 2, Last: w.Store.Now(), Seen: []byte{0, 0xff, 0x22},
		Message: ota.Message{Event: ota.Telemetry, Tenant: w.tenant, Home: r, Values: []byte(`{"a":1}`)},
	}
	w.commit(t, r, func(x *ota.Turn) { x.Dead = &d })
	return d
}

func (w *world) letters(t *testing.T) map[string]ota.DeadLetter {
	t.Helper()
	all, err := w.Store.DeadLetters(t.Context(), w.tenant, 1000)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]ota.DeadLetter{}
	for _, d := range all {
		if _, twice := out[d.ID]; twice {
			t.Errorf("dead letter %s is kept twice", d.ID)
		}
		out[d.ID] = d
	}
	return out
}

func letterIsDropped(t *testing.T, w *world) {
	ctx := t.Context()
	ids := []string{ota.NewID(), ota.NewID(), ota.NewID()}
	device, profile := w.create(t, w.device(t, "d")), w.create(t, w.newProfile("pump"))
	buried := []ota.DeadLetter{w.bury(t, device.Ref, ids[0]), w.bury(t, device.Ref, ids[1]), w.bury(t, profile.Ref, ids[2])}
	for _, d := range buried {
		got, err := w.Store.Letter(ctx, w.tenant, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, d)
	}
	other := newWorld(w.Harness)
	for _, id := range []string{"", ids[0][:8], ota.NewID(), `"`, "*"} {
		_, err := w.Store.Letter(ctx, w.tenant, id)
		want(t, err, ota.NotFound)
		want(t, w.Store.DropLetter(ctx, w.tenant, id), ota.NotFound)
	}
	_, err := w.Store.Letter(ctx, other.tenant, ids[0])
	want(t, err, ota.NotFound)
	want(t, w.Store.DropLetter(ctx, other.tenant, ids[0]), ota.NotFound)

	errs := make([]error, 4)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = w.Store.DropLetter(ctx, w.tenant, ids[1]) })
	}
	wait.Wait()
	dropped := 0
	for _, err := range errs {
		if err == nil {
			dropped++
			continue
		}
		want(t, err, ota.NotFound)
	}
	if dropped != 1 {
		t.Errorf("%d of four callers dropped it", dropped)
	}
	if err := w.Store.DropLetter(ctx, w.tenant, ids[2]); err != nil {
		t.Error(err)
	}
	same(t, w.letters(t), map[string]ota.DeadLetter{ids[0]: buried[0]})
}

func letterIsRetried(t *testing.T, w *world) {
	ctx := t.Context()
	id, beside := ota.NewID(), ota.NewID()
	d := w.create(t, w.device(t, "d"))
	kept := w.bury(t, d.Ref, beside)
	first := w.bury(t, d.Ref, id)

	again := first
	again.Attempts, again.Reason = 3, "another"
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Retried, x.Dead = id, &again })
	same(t, w.letters(t), map[string]ota.DeadLetter{id: again, beside: kept})

	stale := turn(w.load(t, d.Ref)) // a turn that is refused leaves the letter
	w.commit(t, d.Ref, func(*ota.Turn) {})
	stale.Retried = id
	want(t, w.Store.Commit(ctx, stale), ota.Conflict)
	same(t, w.letters(t), map[string]ota.DeadLetter{id: again, beside: kept})

	x := turn(w.load(t, d.Ref))
	x.Home.Device.Updates = 7
	x.Retried = id
	one, two := *x, *x
	two.Home, two.Was = x.Home.Clone(), x.Was.Clone()
	for _, x := range []*ota.Turn{&one, &two} { // the same turn twice
		if err := w.Store.Commit(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	same(t, w.letters(t), map[string]ota.DeadLetter{beside: kept})

	late := turn(w.load(t, d.Ref))
	late.Home.Device.Updates = 8
	late.Retried = id
	want(t, w.Store.Commit(ctx, late), ota.NotFound)
	late.Retried = `"`
	want(t, w.Store.Commit(ctx, late), ota.NotFound)
	if got := w.load(t, d.Ref).Device.Updates; got != 7 {
		t.Errorf("a retry of what is gone has written: %d", got)
	}
}
