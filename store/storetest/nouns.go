package storetest

import (
	"fmt"
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
	return ota.Wishes{Homes: w.Store, Facts: w.Store, Chain: "rollout", NewID: w.Store.NewDevice}
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

// A device that is created twice by its name is one device.
func createdOnce(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.create(t, w.newProfile("pump"))
	x := w.wishes()
	_, _, err := x.CreateDevice(ctx, w.tenant, "d", "valve")
	want(t, err, ota.NotFound)
	_, _, err = x.CreateDevice(ctx, w.tenant, "", "pump")
	want(t, err, ota.Invalid)
	r, made, err := x.CreateDevice(ctx, w.tenant, "d", "pump")
	if err != nil || !made {
		t.Fatalf("create d: %v, made %v, %v", r, made, err)
	}
	if d := w.load(t, r).Device; d.Name != "d" || d.Profile != p.Profile.ID || d.Credentials.Token == "" {
		t.Errorf("the device is %+v", d)
	}
	again, made, err := x.CreateDevice(ctx, w.tenant, "d", "pump")
	if err != nil || made || again != r {
		t.Errorf("create d again: %v, made %v, %v", again, made, err)
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
	if old.Rollout.State != ota.RolloutReplaced || old.Version != 2 || len(old.Pending) != 1 || old.Pending[0].Event != ota.Wished {
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
