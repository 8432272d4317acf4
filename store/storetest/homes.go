package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/windlass-ota/windlass/ota"
)

// Store is what a store of state is asked for besides [ota.Owner] and [ota.Bus].
type Store interface {
	ota.Homes
	ota.Facts
	ota.Lister
	ota.Letters
	// NewDevice returns an id that no device of the tenant has had.
	NewDevice(ctx context.Context, t ota.TenantID, name string) (ota.DeviceID, error)
}

// Harness is a store under test, and the few things that its interfaces do not
// reach. Each fact of a suite uses a tenant of its own.
type Harness struct {
	Store Store
	// Check recounts everything that follows from the homes, and says what differs.
	Check func(ctx context.Context) error
	// Hold makes l the lease in force.
	Hold func(ctx context.Context, l ota.Lease) error
	// RaiseShard sets the revision of a tenant's shard.
	RaiseShard func(ctx context.Context, t ota.TenantID, shard int, revision int64) error
	// Entry is how what a home has coming under key is called in [ota.Origin].
	Entry func(r ota.Ref, key string) string
}

// Homes holds a store to what [ota.Homes], [ota.Facts] and [ota.Lister] say.
func Homes(t *testing.T, h Harness) {
	for _, f := range []struct {
		name string
		fact func(*testing.T, *world)
	}{
		{"what was committed is loaded", committedIsLoaded},
		{"what is not there is not found", absentIsNotFound},
		{"somebody was faster", staleIsConflict},
		{"the same turn is committed once", sameTurnOnce},
		{"one of many writers wins at a time", writersTakeTurns},
		{"a home is deleted with all that hangs on it", deletedIsGone},
		{"what began a turn counts once", beganCountsOnce},
		{"a place in line counts once", placeCountsOnce},
		{"a late owner is refused", lateOwnerIsRefused},
		{"a target chosen by old facts is refused", oldFactsAreRefused},
		{"a turn is written whole or not at all", wholeOrNotAtAll},
		{"also: the tenant's revision goes into the job", raiseGoesIntoJob},
		{"also: changed nouns of the same slot", alsoChanged},
		{"a device created twice by its name is one", createdOnce},
		{"names of devices are unique", deviceNamesAreUnique},
		{"one of many creators gets the name", oneCreatorWins},
		{"names of nouns are unique", nounNamesAreUnique},
		{"tokens are looked up", tokensAreFound},
		{"all that a device proves itself by is looked up", keysAreFound},
		{"values are kept as they were written", valuesAreKept},
		{"pages go through all devices once", pagesOfDevices},
		{"pages go through nouns by name", pagesOfNouns},
		{"counts by state and rollout", countsByState},
		{"references to a package", references},
		{"dead letters, newest first", deadLetters},
		{"a dead letter is found and dropped once", letterIsDropped},
		{"a dead letter is retried once", letterIsRetried},
		{"tenants do not see each other", tenantsAreApart},
		{"random histories: counters equal a recount", histories},
	} {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(h)
			f.fact(t, w)
			if err := h.Check(t.Context()); err != nil {
				t.Errorf("recount: %v", err)
			}
		})
	}
}

// world is one tenant in the store under test.
type world struct {
	Harness
	tenant  ota.TenantID
	profile ota.ProfileID
}

func newWorld(h Harness) *world {
	return &world{Harness: h, tenant: ota.TenantID(ota.NewID()), profile: ota.ProfileID(ota.NewID())}
}

// fataler is a test, or one try of a property.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// device makes the home of a device that is not stored yet.
func (w *world) device(t fataler, name string) *ota.Home {
	t.Helper()
	id, err := w.Store.NewDevice(context.Background(), w.tenant, name)
	if err != nil {
		t.Fatalf("number %s: %v", name, err)
	}
	return &ota.Home{Ref: ota.RefOf(w.tenant, id), Device: &ota.Device{
		ID: id, Tenant: w.tenant, Name: name, Profile: w.profile, Credentials: ota.Credentials{Token: "token of " + name + " of " + string(w.tenant)}, Created: w.Store.Now(),
	}}
}

// create stores a home.
func (w *world) create(t fataler, h *ota.Home) *ota.Home {
	t.Helper()
	if err := w.Store.Commit(context.Background(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
		t.Fatalf("create %s: %v", h.Ref, err)
	}
	return h
}

func (w *world) load(t fataler, r ota.Ref) *ota.Home {
	t.Helper()
	h, err := w.Store.Load(context.Background(), r)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return h
}

// turn begins a turn of h, to be changed.
func turn(h *ota.Home) *ota.Turn { return &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h} }

// commit commits what change makes of the home as it is.
func (w *world) commit(t fataler, r ota.Ref, change func(*ota.Turn)) {
	t.Helper()
	x := turn(w.load(t, r))
	change(x)
	if err := w.Store.Commit(context.Background(), x); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func want(t fataler, err error, code ota.Code) {
	t.Helper()
	if got := ota.CodeOf(err); got != code {
		t.Fatalf("error %v has code %q, want %q", err, got, code)
	}
}

func same(t fataler, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func committedIsLoaded(t *testing.T, w *world) {
	d := w.create(t, w.device(t, "d1"))
	if d.Version != 1 || d.LastTurn == "" {
		t.Errorf("after the first commit: version %d, last turn %x", d.Version, d.LastTurn)
	}
	same(t, w.load(t, d.Ref), d)
	x := turn(d)
	d.Device.Zone = "Europe/Kyiv"
	d.Post(ota.Pending{At: w.Store.Now().Add(time.Hour + 1234), Event: ota.Decide})
	if err := w.Store.Commit(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if d.Version != 2 || d.LastTurn != x.ID {
		t.Errorf("after the second: version %d, last turn %x, want 2, %x", d.Version, d.LastTurn, x.ID)
	}
	same(t, w.load(t, d.Ref), d) // also where a time had a part of a millisecond
	got, err := w.Store.Get(t.Context(), d.Ref)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, d)
}

func absentIsNotFound(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	shard, num, _ := d.Device.ID.Place()
	for _, r := range []ota.Ref{
		ota.RefOf(w.tenant, ota.NewDeviceID(3, 77)),
		ota.RefOf(w.tenant, ota.NewDeviceID(shard, num)), // its place, not its id
		ota.RefOf("other", d.Device.ID),
		ota.RefOf(w.tenant, "no id"), {},
		{Tenant: w.tenant, Type: ota.ProfileRef, ID: ota.NewID()},
		{Tenant: w.tenant, Type: ota.PackageRef, ID: "a:b{c}"},
	} {
		_, err := w.Store.Load(ctx, r)
		want(t, err, ota.NotFound)
	}
	_, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, "d2")
	want(t, err, ota.NotFound)
	_, err = w.Store.Find(ctx, w.tenant, ota.PackageRef, "a@1")
	want(t, err, ota.NotFound)
	_, err = w.Store.ByKey(ctx, "nobody's")
	want(t, err, ota.NotFound)
}

func staleIsConflict(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	early := turn(d.Clone())
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Home.Device.Zone = "A" })
	early.Home.Device.Zone = "B"
	want(t, w.Store.Commit(ctx, early), ota.Conflict)
	if got := w.load(t, d.Ref).Device.Zone; got != "A" {
		t.Errorf("zone is %q", got)
	}
	again := &ota.Home{Ref: d.Ref, Device: d.Device}
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: again}), ota.Conflict)
}

func sameTurnOnce(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	x := turn(d)
	d.Device.Updates = 5
	first, second := *x, *x
	second.Home, second.Was = d.Clone(), x.Was.Clone()
	for _, one := range []*ota.Turn{&first, &second} {
		one.Dead = &ota.DeadLetter{ID: "x", Tenant: w.tenant}
		if err := w.Store.Commit(ctx, one); err != nil {
			t.Fatal(err)
		}
		if one.Home.Version != 2 || one.Home.LastTurn != x.ID {
			t.Errorf("version %d, last turn %x", one.Home.Version, one.Home.LastTurn)
		}
	}
	if got := w.load(t, d.Ref); got.Version != 2 {
		t.Errorf("stored version %d, want 2", got.Version)
	}
	if dead, err := w.Store.DeadLetters(ctx, w.tenant, 10); err != nil || len(dead) != 1 {
		t.Errorf("%d dead letters, %v; want 1", len(dead), err)
	}
}

func writersTakeTurns(t *testing.T, w *world) {
	const writers, each = 8, 10
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				for {
					h, err := w.Store.Load(ctx, d.Ref)
					if err != nil {
						t.Error(err)
						return
					}
					x := turn(h)
					h.Device.Updates++
					if err = w.Store.Commit(ctx, x); err == nil {
						break
					}
					if ota.CodeOf(err) != ota.Conflict {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wait.Wait()
	if got := w.load(t, d.Ref); got.Device.Updates != writers*each || got.Version != writers*each+1 {
		t.Errorf("%d updates in version %d", got.Device.Updates, got.Version)
	}
}

func deletedIsGone(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	x := turn(d)
	x.Values = []ota.Value{{Scope: ota.SharedScope, Key: "a", JSON: []byte("1")}}
	d.Post(ota.Pending{At: w.Store.Now(), Event: ota.Decide})
	if err := w.Store.Commit(ctx, x); err != nil {
		t.Fatal(err)
	}
	del := turn(d)
	del.Delete = true
	twice := *del
	twice.Home = del.Home.Clone()
	if err := errors.Join(w.Store.Commit(ctx, del), w.Store.Commit(ctx, &twice)); err != nil {
		t.Fatal(err)
	}
	_, err := w.Store.Load(ctx, d.Ref)
	want(t, err, ota.NotFound)
	_, err = w.Store.Find(ctx, w.tenant, ota.DeviceRef, "d1")
	want(t, err, ota.NotFound)
	_, err = w.Store.ByKey(ctx, d.Device.Credentials.Token)
	want(t, err, ota.NotFound)
	if v, err := w.Store.Values(ctx, d.Ref, ota.SharedScope, nil); err != nil || len(v) != 0 {
		t.Errorf("values %v, %v", v, err)
	}
	if n := w.create(t, w.device(t, "d1")); n.Ref == d.Ref {
		t.Errorf("the new device has the id of the old one")
	}
}
