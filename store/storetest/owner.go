package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Stored is the part of a store that owners work on.
type Stored interface {
	ota.Homes
	ota.Facts
	ota.Doors
	ota.Slots
	Ahead(ctx context.Context, t ota.TenantID, r ota.RolloutID, mark float64) (int, error)
	NewDevice(ctx context.Context, t ota.TenantID, name string) (ota.DeviceID, error)
}

// Process is a store as one process sees it, with its owner.
type Process struct {
	Stored
	ota.Owner
}

// Owners holds owners to the meaning of [ota.Owner]. open makes a new and empty
// store, which ends with the test, and returns what lets another process of a
// name work on it.
func Owners(t *testing.T, open func(t *testing.T) func(process string) Process) {
	for _, c := range []struct {
		name string
		test func(*testing.T, func(string) Process)
	}{
		{"shares are fair", ownersShare},
		{"what is due is done once", ownersDue},
		{"what was not done comes again", ownersBackoff},
		{"slots take turns", ownersTurns},
		{"a late owner is refused", ownersLate},
		{"best places first, through open doors", ownersOffers},
		{"who comes first in a line of bands", ownersBands},
		{"a pace is one for all", ownersPace},
		{"a pace may change", ownersPaceChange},
		{"a job reaches every member once", ownersJob},
		{"a job survives its owner", ownersJobDies},
		{"a job that does a branch counts and tells", ownersBranchJob},
		{"a job of one device, and a cancelled one", ownersBranchJobEnds},
		{"messages come until they are taken", ownersMessages},
		{"doors go by the book", doorsByTheBook},
		{"doors count each once", doorsCount},
		{"a thousand failures at once stop a rollout", doorsStop},
		{"slots are leased", slotsAreLeased},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

const tenant = ota.DefaultTenant

// eventually calls is until it is true, for what another process or the clock
// brings.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("within 30 s it did not happen that %s", what)
		}
	}
}

func own(t *testing.T, p Process) int {
	t.Helper()
	n, err := p.Own(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func commit(t *testing.T, p Process, h *ota.Home, change func(*ota.Turn)) *ota.Home {
	t.Helper()
	turn := &ota.Turn{ID: ota.NewTurnID(), Home: h}
	if h.Version > 0 {
		turn.Was = h.Clone()
	}
	if change != nil {
		change(turn)
	}
	if err := p.Commit(t.Context(), turn); err != nil {
		t.Fatalf("commit %s: %v", h.Ref, err)
	}
	return turn.Home
}

// profile stores a profile.
func profile(t *testing.T, p Process, name string) *ota.Home {
	t.Helper()
	id := ota.NewID()
	return commit(t, p, &ota.Home{
		Ref:     ota.Ref{Tenant: tenant, Type: ota.ProfileRef, ID: id},
		Profile: &ota.Profile{ID: ota.ProfileID(id), Tenant: tenant, Name: name, Created: p.Now()},
	}, nil)
}

// device stores a device of a profile, with nothing due.
func device(t *testing.T, p Process, name string, pr *ota.Home, change func(*ota.Home)) *ota.Home {
	t.Helper()
	id, err := p.NewDevice(t.Context(), tenant, name)
	if err != nil {
		t.Fatal(err)
	}
	h := &ota.Home{Ref: ota.RefOf(tenant, id), Device: &ota.Device{ID: id, Tenant: tenant, Name: name, Credentials: ota.Credentials{Token: "token of " + name}, Profile: ota.ProfileID(pr.Ref.ID), Created: p.Now()}}
	if change != nil {
		change(h)
	}
	return commit(t, p, h, nil)
}

func ownersShare(t *testing.T, process func(string) Process) {
	a, b := process("a"), process("b")
	profile(t, a, "makes the tenant known")
	all := ota.Shards + 1
	if n := own(t, a); n != all {
		t.Fatalf("alone it has %d of %d", n, all)
	}
	own(t, b)
	eventually(t, "two have half each", func() bool {
		na, nb := own(t, a), own(t, b)
		if na+nb > all {
			t.Fatalf("two have %d and %d of %d", na, nb, all)
		}
		return na+nb == all && max(na, nb) == (all+1)/2
	})
	for range 2 {
		if err := a.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the one that stays has all", func() bool { return own(t, b) == all })
	if tasks, _, err := a.Due(t.Context(), 10); len(tasks) > 0 || err != nil {
		t.Errorf("one that has released is handed %v, %v", tasks, err)
	}
}

// due reads tasks until there are n.
func due(t *testing.T, p Process, n int) []ota.Task {
	t.Helper()
	var all []ota.Task
	eventually(t, fmt.Sprintf("%d tasks are due", n), func() bool {
		tasks, _, err := p.Due(t.Context(), n-len(all))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tasks...)
		return len(all) >= n
	})
	return all
}

func ownersDue(t *testing.T, process func(string) Process) {
	a := process("a")
	pr := profile(t, a, "p")
	own(t, a)
	later := a.Now().Add(time.Hour)
	d := device(t, a, "d", pr, func(h *ota.Home) {
		h.Post(ota.Pending{At: a.Now(), Event: ota.Decide, Kind: ota.Firmware})
		h.Post(ota.Pending{At: later, Event: ota.Decide, Kind: ota.Software})
	})
	task := due(t, a, 1)[0]
	if task.Home != d.Ref || task.Key != d.Dues()[0].Key || task.Origin.Lease.Owner != "a" || task.Origin.Lease.Token == 0 {
		t.Fatalf("the task is %+v", task)
	}
	if again, next, err := a.Due(t.Context(), 10); len(again) > 0 || err != nil {
		t.Errorf("in flight it is handed out again: %v, next %v, %v", again, next, err)
	}
	h, err := a.Load(t.Context(), d.Ref)
	if err != nil {
		t.Fatal(err)
	}
	was := h.Clone()
	w := h.Work(task.Key, a.Now())
	if w.What != ota.DueEvent {
		t.Fatalf("what is due is %+v", w)
	}
	h.Drop(w.Pending.Num)
	if err := a.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: was, Home: h, Began: &task.Origin}); err != nil {
		t.Fatal(err)
	}
	a.Done(task)
	err = a.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h, Began: &task.Origin})
	wantCode(t, err, ota.Conflict)
	eventually(t, "the next one is known", func() bool {
		tasks, next, err := a.Due(t.Context(), 10)
		if len(tasks) > 0 || err != nil {
			t.Fatalf("done, it is handed out again: %v, %v", tasks, err)
		}
		return next.UnixMilli() == later.UnixMilli()
	})
}

// Done tells of the commit of another device: the hint comes without a look.
func ownersBackoff(t *testing.T, process func(string) Process) {
	a := process("a")
	pr := profile(t, a, "p")
	own(t, a)
	if tasks, _, err := a.Due(t.Context(), 10); len(tasks) > 0 || err != nil {
		t.Fatalf("%v, %v", tasks, err)
	}
	device(t, a, "d", pr, func(h *ota.Home) { h.Post(ota.Pending{At: a.Now(), Event: ota.Decide, Kind: ota.Firmware}) })
	select {
	case <-a.Hint():
	case <-time.After(5 * time.Second):
		t.Fatal("a commit of this process gives no hint")
	}
	tasks, _, err := a.Due(t.Context(), 10)
	if len(tasks) != 1 || err != nil {
		t.Fatalf("after the hint: %v, %v", tasks, err)
	}
	a.Done(tasks[0])
	began := time.Now()
	due(t, a, 1)
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("what failed comes again after %v", took)
	}
}

func ownersTurns(t *testing.T, process func(string) Process) {
	a := process("a")
	pr := profile(t, a, "p")
	const n = 40
	for i := range n {
		device(t, a, fmt.Sprint("d", i), pr, func(h *ota.Home) {
			for range 5 {
				h.Post(ota.Pending{At: a.Now(), Event: ota.Decide, Kind: ota.Firmware})
			}
		})
	}
	own(t, a)
	tasks, _, err := a.Due(t.Context(), 30)
	if err != nil || len(tasks) != 30 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	shards := map[int]int{}
	for _, task := range tasks {
		shards[task.Origin.Lease.Shard]++
	}
	if most := slices.Max(slices.Collect(maps.Values(shards))); most > 2 {
		t.Errorf("of 30 tasks one shard has %d, of %d", most, len(shards))
	}
	seen := map[string]bool{}
	for _, task := range append(tasks, due(t, a, 5*n-30)...) {
		k := task.Home.ID + task.Key
		if seen[k] {
			t.Fatalf("%s is handed out twice", k)
		}
		seen[k] = true
	}
}

func ownersLate(t *testing.T, process func(string) Process) {
	a, b := process("a"), process("b")
	pr := profile(t, a, "p")
	own(t, a)
	d := device(t, a, "d", pr, func(h *ota.Home) { h.Post(ota.Pending{At: a.Now(), Event: ota.Decide, Kind: ota.Firmware}) })
	old := due(t, a, 1)[0]
	if err := a.Release(t.Context()); err != nil { // or was stopped for longer than a lease lasts
		t.Fatal(err)
	}
	eventually(t, "the other has all", func() bool { return own(t, b) == ota.Shards+1 })
	h, err := a.Load(t.Context(), d.Ref)
	if err != nil {
		t.Fatal(err)
	}
	late := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h, Began: &old.Origin}
	wantCode(t, a.Commit(t.Context(), late), ota.Conflict)
	now := due(t, b, 1)[0]
	if now.Key != old.Key || now.Origin.Lease.Token <= old.Origin.Lease.Token || now.Origin.Lease.Owner != "b" {
		t.Errorf("the new owner has %+v, the old one had %+v", now, old)
	}
	late.Began = &now.Origin
	if err := b.Commit(t.Context(), late); err != nil {
		t.Errorf("the new owner is refused: %v", err)
	}
}
