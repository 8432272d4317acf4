package storetest

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/windlass-ota/windlass/ota"
)

// ChainStore is what a store is asked for about chains, and the homes that need
// them.
type ChainStore interface {
	Store
	ota.Revisions
	ota.Actives
}

// Chains holds a store to what [ota.Revisions] and [ota.Actives] say. h.Store
// must be a [ChainStore].
func Chains(t *testing.T, h Harness) {
	for _, f := range []struct {
		name string
		fact func(*testing.T, *world, ChainStore)
	}{
		{"a revision is kept as it was kept first", revisionIsKept},
		{"revisions are made active together, by one at a time", revisionsAreActivated},
		{"homes need revisions", revisionsAreNeeded},
		{"old revisions that nothing needs make room", revisionsMakeRoom},
	} {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(h)
			s, ok := h.Store.(ChainStore)
			if !ok {
				t.Fatalf("%T keeps no chains", h.Store)
			}
			f.fact(t, w, s)
			if err := h.Check(t.Context()); err != nil {
				t.Errorf("recount: %v", err)
			}
		})
	}
}

// revision makes a revision of a chain that nobody else has.
func revision(s ChainStore, chain, digest string) ota.ChainRevision {
	return ota.ChainRevision{
		Chain: chain, Digest: digest, Summary: "Says <&>.", At: s.Now().UTC(), By: "a file",
		Files: []ota.ChainFile{{Chain: chain, Name: chain + ".yaml", Text: "chain: " + chain + "\n"}, {Chain: "other", Name: "x|y.yaml", Text: "né\n"}},
	}
}

func keep(t *testing.T, s ChainStore, r ota.ChainRevision) ota.ChainRevision {
	t.Helper()
	if err := s.KeepChain(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// names are two words that this test alone has.
func names() (chain, digest string) { return "c" + ota.NewID()[:8], ota.NewID()[:8] }

func digests(t *testing.T, s ChainStore, chain string) map[string]ota.ChainRevision {
	t.Helper()
	all, err := s.KeptChains(t.Context(), chain)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]ota.ChainRevision{}
	for i, r := range all {
		out[r.Digest] = r
		if i > 0 && r.At.After(all[i-1].At) {
			t.Errorf("revision %s is newer than the one before it", r.Digest)
		}
	}
	return out
}

func revisionIsKept(t *testing.T, _ *world, s ChainStore) {
	chain, d := names()
	_, err := s.KeptChain(t.Context(), d)
	want(t, err, ota.NotFound)
	if all := digests(t, s, chain); len(all) != 0 {
		t.Errorf("a chain that was never published has %v", all)
	}
	r := keep(t, s, revision(s, chain, d))
	again := r
	again.By, again.At = "another", r.At.Add(time.Hour)
	keep(t, s, again)
	got, err := s.KeptChain(t.Context(), d)
	if diff := cmp.Diff(r, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("kept: %v, %s", err, diff)
	}
	other := keep(t, s, revision(s, chain, d+"2"))
	r.Files, other.Files = nil, nil
	if diff := cmp.Diff(map[string]ota.ChainRevision{d: r, d + "2": other}, digests(t, s, chain)); diff != "" {
		t.Errorf("listed: %s", diff)
	}
	for _, bad := range []string{"", "{x}", "a b", `"`} {
		want(t, s.KeepChain(t.Context(), ota.ChainRevision{Chain: bad, Digest: d}), ota.Invalid)
		want(t, s.KeepChain(t.Context(), ota.ChainRevision{Chain: chain, Digest: bad}), ota.Invalid)
		_, err := s.KeptChain(t.Context(), bad)
		want(t, err, ota.NotFound)
	}
}

// active reads all that is active.
func active(t *testing.T, s ChainStore) ota.ActiveChains {
	t.Helper()
	a, err := s.ActiveChains(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func revisionsAreActivated(t *testing.T, _ *world, s ChainStore) {
	ctx := t.Context()
	a, d := names()
	b, e := names()
	keep(t, s, revision(s, a, d))
	was := active(t, s)
	at := s.Now().UTC()
	one := ota.ActiveChain{Chain: a, Digest: d, File: d, At: at, By: "x | y"}
	two := ota.ActiveChain{Chain: b, Digest: e, At: at, By: ""}
	_, err := s.ActivateChains(ctx, was.Mark, []ota.ActiveChain{one, two})
	want(t, err, ota.Conflict) // the second is not kept: neither is active
	if now := active(t, s); now.Mark != was.Mark || now.Chains[a].Digest != "" {
		t.Errorf("half of them is active: %+v", now)
	}
	keep(t, s, revision(s, b, e))
	if same, err := s.ActivateChains(ctx, was.Mark, nil); err != nil || same != was.Mark {
		t.Errorf("nothing was made active: mark %q, %v, was %q", same, err, was.Mark)
	}
	mark, err := s.ActivateChains(ctx, was.Mark, []ota.ActiveChain{one, two})
	if err != nil {
		t.Fatal(err)
	}
	now := active(t, s)
	if diff := cmp.Diff([]ota.ActiveChain{one, two}, []ota.ActiveChain{now.Chains[a], now.Chains[b]}); diff != "" || now.Mark == was.Mark || now.Mark != mark {
		t.Errorf("active, under %s: %s", now.Mark, diff)
	}
	if same, err := s.ActiveChains(ctx, now.Mark); err != nil || same.Mark != now.Mark || same.Chains != nil {
		t.Errorf("nothing has changed: %+v, %v", same, err)
	}
	keep(t, s, revision(s, a, d+"2"))
	next := one
	next.Digest, next.File = d+"2", d+"2"
	errs := make([]error, 4)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { _, errs[i] = s.ActivateChains(context.Background(), now.Mark, []ota.ActiveChain{next}) })
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		want(t, err, ota.Conflict)
	}
	if won != 1 {
		t.Errorf("%d of four have won", won)
	}
	if all := digests(t, s, a); all[d].Left.IsZero() || !all[d+"2"].Left.IsZero() {
		t.Errorf("when they were active: %+v", all)
	}
	if now = active(t, s); now.Chains[a] != next || now.Chains[b] != two {
		t.Errorf("%+v", now)
	}
	if _, err := s.ActivateChains(ctx, now.Mark, []ota.ActiveChain{one}); err != nil { // and back
		t.Fatal(err)
	}
	if all := digests(t, s, a); !all[d].Left.IsZero() || all[d+"2"].Left.IsZero() {
		t.Errorf("back again: %+v", all)
	}
	_, err = s.ActivateChains(ctx, active(t, s).Mark, []ota.ActiveChain{{Chain: "a b", Digest: d}})
	want(t, err, ota.Invalid)
}

// needs counts the homes that need a digest.
func needs(t *testing.T, s ChainStore, digest string) int64 {
	t.Helper()
	all, err := s.NeededChains(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all[digest]
}

func revisionsAreNeeded(t *testing.T, w *world, s ChainStore) {
	chain, d := names()
	keep(t, s, revision(s, chain, d))
	home := w.device(t, "waits")
	home.Park(ota.Parked{At: s.Now().Add(time.Hour), Digest: d, Data: []byte("1")})
	home.Park(ota.Parked{At: s.Now().Add(time.Hour), Digest: d, Data: []byte("2")})
	w.create(t, home)
	id := ota.NewID()
	rollout := w.create(t, &ota.Home{Ref: ota.Ref{Tenant: w.tenant, Type: ota.RolloutRef, ID: id}, Rollout: &ota.Rollout{
		ID: ota.RolloutID(id), Tenant: w.tenant, Kind: ota.Firmware, State: ota.RolloutRunning, Started: s.Now(), Revision: d,
	}})
	if n := needs(t, s, d); n != 2 {
		t.Errorf("a device and a rollout need it, %d are counted", n)
	}
	if all := digests(t, s, chain); all[d].Needed != 2 {
		t.Errorf("listed: %+v", all[d])
	}
	w.commit(t, home.Ref, func(x *ota.Turn) { x.Home.Drop(1) })
	if got := w.load(t, rollout.Ref).Rollout.Revision; got != d || needs(t, s, d) != 2 {
		t.Errorf("it waits still, %d are counted; the rollout has %q", needs(t, s, d), got)
	}
	w.commit(t, rollout.Ref, func(x *ota.Turn) { x.Home.Rollout.State = ota.RolloutDone })
	w.commit(t, home.Ref, func(x *ota.Turn) { x.Home.Drop(2) })
	if n := needs(t, s, d); n != 0 {
		t.Errorf("nothing needs it, %d are counted", n)
	}
}

func revisionsMakeRoom(t *testing.T, w *world, s ChainStore) {
	chain, d := names()
	start := s.Now().UTC().Add(-100 * 24 * time.Hour)
	put := func(i int) {
		r := revision(s, chain, d+strconv.Itoa(i))
		r.At = start.Add(time.Duration(i) * time.Hour)
		keep(t, s, r)
	}
	for i := range 3 {
		put(i)
	}
	home := w.device(t, "waits")
	home.Park(ota.Parked{At: s.Now().Add(time.Hour), Digest: d + "0", Data: []byte("1")})
	w.create(t, home)
	activate := func(digest, file string) {
		if _, err := s.ActivateChains(t.Context(), active(t, s).Mark, []ota.ActiveChain{{Chain: chain, Digest: digest, File: file, At: s.Now()}}); err != nil {
			t.Fatal(err)
		}
	}
	activate(d+"1", d+"1")
	activate(d+"2", d+"1") // so that 1 is a file's, and was active just now
	for i := 3; i < ota.KeepRevisions+10; i++ {
		put(i)
	}
	all := digests(t, s, chain)
	for _, i := range []int{0, 1, 2, 10, ota.KeepRevisions + 9} {
		if _, ok := all[d+strconv.Itoa(i)]; !ok {
			t.Errorf("revision %d is gone", i)
		}
	}
	if n := len(all); n != ota.KeepRevisions+3 {
		t.Errorf("%d are kept", n)
	}
	_, err := s.KeptChain(t.Context(), d+"3")
	want(t, err, ota.NotFound)
	w.commit(t, home.Ref, func(x *ota.Turn) { x.Home.Drop(1) })
	put(ota.KeepRevisions + 10)
	if _, ok := digests(t, s, chain)[d+"0"]; ok {
		t.Error("what nothing needs any more is kept")
	}
}
