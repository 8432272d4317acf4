package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func (w *world) newProfile(name string) *ota.Home {
	id := ota.NewID()
	return &ota.Home{Ref: ota.Ref{Tenant: w.tenant, Type: ota.ProfileRef, ID: id}, Profile: &ota.Profile{ID: ota.ProfileID(id), Tenant: w.tenant, Name: name}}
}

func (w *world) newPackage(version string) *ota.Home {
	id := ota.NewID()
	return &ota.Home{Ref: ota.Ref{Tenant: w.tenant, Type: ota.PackageRef, ID: id}, Package: &ota.Package{
		ID: ota.PackageID(id), Tenant: w.tenant, Profile: w.profile, Kind: ota.Firmware, Version: ota.Version{Title: "fw", Version: version}, URL: "https://example.com/fw", Ready: true,
	}}
}

// wishes writes as an operator's assignment does.
func (w *world) wishes() ota.Wishes {
	return ota.Wishes{Homes: w.Store, Facts: w.Store, Chain: "rollout"}
}

func raiseGoesIntoJob(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.create(t, w.newProfile("pump"))
	w.profile = p.Profile.ID
	pkg := w.create(t, w.newPackage("2"))
	before, err := w.Store.Revision(ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.wishes().Assign(ctx, ota.Wish{Tenant: w.tenant, Package: pkg.Ref, Target: p.Ref, By: "me"})
	if err != nil || !done.Changed {
		t.Fatalf("assign: %+v, %v", done, err)
	}
	after, err := w.Store.Revision(ctx, w.tenant)
	if err != nil || after != before+1 {
		t.Fatalf("revision went from %d to %d, %v", before, after, err)
	}
	page, err := w.Store.List(ctx, ota.Query{Tenant: w.tenant, Type: ota.JobRef, Limit: 10})
	if err != nil || len(page.Homes) != 1 || page.Homes[0].Job.Revision != after {
		t.Fatalf("jobs %+v, %v; want one of revision %d", page.Homes, err, after)
	}
	r := w.load(t, ota.Ref{Tenant: w.tenant, Type: ota.RolloutRef, ID: string(done.Rollout)})
	if r.Rollout.State != ota.RolloutRunning || len(r.Dues()) != 1 {
		t.Errorf("rollout %+v", r.Rollout)
	}
	job := page.Homes[0]
	x := turn(job)
	job.Job.Done = 3
	if err := w.Store.Commit(ctx, x); err != nil {
		t.Fatal(err)
	}
	if got := w.load(t, job.Ref).Job; got.Revision != after || got.Done != 3 {
		t.Errorf("a job that is written again: %+v", got)
	}
}

func alsoChanged(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.create(t, w.newProfile("pump"))
	w.profile = p.Profile.ID
	one, two := w.create(t, w.newPackage("1")), w.create(t, w.newPackage("2"))
	first, err := w.wishes().Assign(ctx, ota.Wish{Tenant: w.tenant, Package: one.Ref, Target: p.Ref})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.wishes().Assign(ctx, ota.Wish{Tenant: w.tenant, Package: two.Ref, Target: p.Ref}); err != nil {
		t.Fatal(err)
	}
	old := w.load(t, ota.Ref{Tenant: w.tenant, Type: ota.RolloutRef, ID: string(first.Rollout)})
	if old.Rollout.State != ota.RolloutReplaced || old.Version != 2 || len(old.Dues()) != 0 {
		t.Errorf("the replaced rollout: version %d %+v", old.Version, old.Rollout)
	}
	stale := turn(w.load(t, p.Ref))
	stale.Home.Profile.Name = "pump 2"
	before := old.Clone()
	before.Version = 1
	stale.Also = []*ota.Home{before}
	want(t, w.Store.Commit(ctx, stale), ota.Conflict)
	if got := w.load(t, p.Ref).Profile.Name; got != "pump" {
		t.Errorf("the profile is %q", got)
	}
}

func deviceNamesAreUnique(t *testing.T, w *world) {
	ctx := t.Context()
	a, b := w.create(t, w.device(t, "a")), w.create(t, w.device(t, "b/{x}: \u00e9"))
	second := w.device(t, "a")
	second.Device.Token = "another"
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: second}), ota.Invalid)
	_, err := w.Store.Load(ctx, second.Ref)
	want(t, err, ota.NotFound)
	_, err = w.Store.ByToken(ctx, "another")
	want(t, err, ota.NotFound)

	x := turn(w.load(t, b.Ref))
	x.Home.Device.Name = "a"
	want(t, w.Store.Commit(ctx, x), ota.Invalid)

	w.commit(t, a.Ref, func(x *ota.Turn) { x.Home.Device.Name = "c" })
	_, err = w.Store.Find(ctx, w.tenant, ota.DeviceRef, "a")
	want(t, err, ota.NotFound)
	for name, h := range map[string]*ota.Home{"c": a, "b/{x}: \u00e9": b} {
		if r, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, name); err != nil || r != h.Ref {
			t.Errorf("find %s: %s, %v", name, r, err)
		}
	}
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Device.Name = "a" })
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Device.Name = "b" })
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Device.Name = "a" })
	if r, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, "a"); err != nil || r != b.Ref {
		t.Errorf("find a: %s, %v", r, err)
	}
}

func oneCreatorWins(t *testing.T, w *world) {
	ctx := t.Context()
	for round := range 5 {
		name := fmt.Sprint("wanted ", round)
		var won, lost atomic.Int32
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				h := w.device(t, name)
				h.Device.Token += fmt.Sprint(i)
				switch err := w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h}); ota.CodeOf(err) {
				case "":
					won.Add(1)
				case ota.Invalid:
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || lost.Load() != 7 {
			t.Fatalf("%d won and %d lost", won.Load(), lost.Load())
		}
	}
}

func nounNamesAreUnique(t *testing.T, w *world) {
	ctx := t.Context()
	a, b := w.create(t, w.newProfile("a")), w.create(t, w.newProfile("b"))
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: w.newProfile("a")}), ota.Invalid)
	x := turn(w.load(t, b.Ref))
	x.Home.Profile.Name = "a"
	want(t, w.Store.Commit(ctx, x), ota.Invalid)
	del := turn(w.load(t, a.Ref))
	del.Delete = true
	if err := w.Store.Commit(ctx, del); err != nil {
		t.Fatal(err)
	}
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Profile.Name = "a" })
	if r, err := w.Store.Find(ctx, w.tenant, ota.ProfileRef, "a"); err != nil || r != b.Ref {
		t.Errorf("find a: %s, %v", r, err)
	}
	pkg := w.create(t, w.newPackage("1"))
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: w.newPackage("1")}), ota.Invalid)
	if r, err := w.Store.Find(ctx, w.tenant, ota.PackageRef, "fw@1"); err != nil || r != pkg.Ref {
		t.Errorf("find fw@1: %s, %v", r, err)
	}
}

func tokensAreFound(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d"))
	old := d.Device.Token
	if r, err := w.Store.ByToken(ctx, old); err != nil || r != d.Ref {
		t.Fatalf("%s, %v", r, err)
	}
	thief := w.device(t, "thief")
	thief.Device.Token = old
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: thief}), ota.Invalid)
	_, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, "thief")
	want(t, err, ota.NotFound)
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Home.Device.Token = "new " + old })
	_, err = w.Store.ByToken(ctx, old)
	want(t, err, ota.NotFound)
	if r, err := w.Store.ByToken(ctx, "new "+old); err != nil || r != d.Ref {
		t.Fatalf("%s, %v", r, err)
	}
}

func valuesAreKept(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d"))
	at := w.Store.Now()
	set := []ota.Value{
		{Scope: ota.SharedScope, Key: "b", JSON: []byte("1.10"), TS: at},
		{Scope: ota.SharedScope, Key: "a", JSON: []byte(`"x y"`), TS: at},
		{Scope: ota.ClientScope, Key: "a", JSON: []byte("null"), TS: at},
		{Scope: ota.TelemetryScope, Key: "a", JSON: []byte("{}")},
	}
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Values = set })
	get := func(s ota.Scope, keys ...string) []ota.Value {
		t.Helper()
		v, err := w.Store.Values(ctx, d.Ref, s, keys)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	same(t, get(ota.SharedScope), []ota.Value{set[1], set[0]})
	same(t, get(ota.SharedScope, "b", "zz", "b", "a"), []ota.Value{set[1], set[0]})
	same(t, get(ota.ClientScope, "a"), set[2:3])
	same(t, get(ota.TelemetryScope, "a", "b"), set[3:])
	same(t, get(ota.ServerScope), []ota.Value(nil))
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Values = []ota.Value{{Scope: ota.SharedScope, Key: "b"}} })
	same(t, get(ota.SharedScope), set[1:2])
}

func pagesOfDevices(t *testing.T, w *world) {
	ctx := t.Context()
	pkg := w.newPackage("2").Package
	var all, odd, queued []ota.Ref
	for i := range 60 {
		h := w.device(t, fmt.Sprintf("d%02d", i))
		if i%2 == 1 {
			h.Device.Profile = "odd"
			odd = append(odd, h.Ref)
		}
		if i%10 == 0 {
			h.Device.Firmware.Enqueue(pkg, "1", "", "", w.Store.Now())
			queued = append(queued, h.Ref)
		}
		all = append(all, w.create(t, h).Ref)
	}
	gone := turn(w.load(t, all[7]))
	gone.Delete = true
	if err := w.Store.Commit(ctx, gone); err != nil {
		t.Fatal(err)
	}
	without := func(refs []ota.Ref) []ota.Ref {
		return slices.DeleteFunc(slices.Clone(refs), func(r ota.Ref) bool { return r == all[7] })
	}
	for _, limit := range []int{1, 7, 1000} {
		for name, c := range map[string]struct {
			q    ota.Query
			want []ota.Ref
		}{
			"all":     {ota.Query{}, without(all)},
			"profile": {ota.Query{Profile: "odd"}, without(odd)},
			"state":   {ota.Query{Kind: ota.Firmware, State: ota.Queued}, queued},
			"none":    {ota.Query{Kind: ota.Software, State: ota.Queued}, nil},
		} {
			c.q.Tenant, c.q.Type, c.q.Limit = w.tenant, ota.DeviceRef, limit
			got := w.walk(t, ctx, c.q)
			sortRefs(got)
			sortRefs(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s by %d: %d devices, want %d", name, limit, len(got), len(c.want))
			}
		}
	}
	for _, q := range []ota.Query{{Limit: 0}, {Limit: 1001}, {Limit: 1, Cursor: "x"}, {Limit: 1, Cursor: "256.0"}} {
		q.Tenant, q.Type = w.tenant, ota.DeviceRef
		_, err := w.Store.List(ctx, q)
		want(t, err, ota.Invalid)
	}
}

func (w *world) walk(t fataler, ctx context.Context, q ota.Query) (refs []ota.Ref) { //nolint:revive // t comes first in tests
	t.Helper()
	for {
		page, err := w.Store.List(ctx, q)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if len(page.Homes) > q.Limit {
			t.Fatalf("%d homes in a page of %d", len(page.Homes), q.Limit)
		}
		for _, h := range page.Homes {
			refs = append(refs, h.Ref)
		}
		if page.Next == "" {
			return refs
		}
		q.Cursor = page.Next
	}
}

func sortRefs(refs []ota.Ref) {
	slices.SortFunc(refs, func(a, b ota.Ref) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
}

func pagesOfNouns(t *testing.T, w *world) {
	ctx := t.Context()
	var names []string
	for i := range 23 {
		names = append(names, w.create(t, w.newProfile(fmt.Sprintf("p%02d", 22-i))).Profile.Name)
	}
	slices.Sort(names)
	for _, limit := range []int{1, 5, 23, 100} {
		var got []string
		for _, r := range w.walk(t, ctx, ota.Query{Tenant: w.tenant, Type: ota.ProfileRef, Limit: limit}) {
			got = append(got, w.load(t, r).Profile.Name)
		}
		if !slices.Equal(got, names) {
			t.Errorf("by %d: %v", limit, got)
		}
	}
}

func references(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.create(t, w.newProfile("pump"))
	w.profile = p.Profile.ID
	pkg, d := w.create(t, w.newPackage("1")), w.create(t, w.device(t, "d"))
	refs := func() string {
		t.Helper()
		s, err := w.Store.References(ctx, w.tenant, pkg.Package.ID)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	assign := func(target ota.Ref, on bool) {
		t.Helper()
		x := ota.Wish{Tenant: w.tenant, Package: pkg.Ref, Kind: ota.Firmware, Target: target}
		do := w.wishes().Unassign
		if on {
			do = w.wishes().Assign
		}
		if _, err := do(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	got := []string{refs()}
	assign(d.Ref, true)
	got = append(got, refs())
	assign(d.Ref, false)
	assign(p.Ref, true)
	got = append(got, refs())
	assign(p.Ref, false)
	same(t, append(got, refs()), []string{"", "device d", "profile pump", ""})
}

func deadLetters(t *testing.T, w *world) {
	ctx := t.Context()
	now := w.Store.Now()
	var homes []*ota.Home
	for i := range 3 {
		homes = append(homes, w.create(t, w.device(t, fmt.Sprint("d", i))))
	}
	for i := range 300 {
		w.commit(t, homes[i%3].Ref, func(x *ota.Turn) {
			x.Dead = &ota.DeadLetter{ID: fmt.Sprint(i), Tenant: w.tenant, At: now.Add(time.Duration(i) * time.Second), Reason: "why", Message: ota.Message{Event: ota.Telemetry, Values: []byte(`{"a":1}`)}}
		})
	}
	got, err := w.Store.DeadLetters(ctx, w.tenant, 5)
	if err != nil || len(got) != 5 {
		t.Fatalf("%d dead letters, %v", len(got), err)
	}
	for i, d := range got {
		if d.ID != fmt.Sprint(299-i) || string(d.Message.Values) != `{"a":1}` {
			t.Errorf("dead letter %d is %+v", i, d)
		}
	}
	if all, err := w.Store.DeadLetters(ctx, w.tenant, 1000); err != nil || len(all) >= 300 || len(all) < 3 {
		t.Errorf("%d are kept, %v: they must be bounded", len(all), err)
	}
}

func tenantsAreApart(t *testing.T, w *world) {
	ctx := t.Context()
	other := newWorld(w.Harness)
	mine, theirs := w.create(t, w.device(t, "d")), other.create(t, other.device(t, "d"))
	for _, x := range []struct {
		w    *world
		want ota.Ref
	}{{w, mine.Ref}, {other, theirs.Ref}} {
		if r, err := x.w.Store.Find(ctx, x.w.tenant, ota.DeviceRef, "d"); err != nil || r != x.want {
			t.Errorf("find d: %v, %v", r, err)
		}
		if got := x.w.walk(t, ctx, ota.Query{Tenant: x.w.tenant, Type: ota.DeviceRef, Limit: 10}); len(got) != 1 || got[0] != x.want {
			t.Errorf("list: %v", got)
		}
	}
	_, err := w.Store.Load(ctx, ota.RefOf(w.tenant, theirs.Device.ID))
	want(t, err, ota.NotFound)
}
