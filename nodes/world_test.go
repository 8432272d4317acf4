package nodes_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// The world of the tests: one profile, one device, some packages.
const (
	tenant  = ota.DefaultTenant
	device  = ota.DeviceID("11000000-0001-8000-8000-000000000000")
	profile = ota.ProfileID("profile-pump")
	rollout = ota.RolloutID("rollout-1")
	app11   = ota.PackageID("app-1.1")
	app12   = ota.PackageID("app-1.2")
	app13   = ota.PackageID("app-1.3")
	tool10  = ota.PackageID("tool-1.0")
)

// start is the moment at which every test begins.
var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// world is the stored state that a test begins with, in memory.
type world struct {
	homes  map[ota.Ref]*ota.Home
	values map[ota.Ref]map[ota.Scope][]ota.Value // sorted by key
	now    time.Time
	wishes []ota.Wish
	book   ota.Book // of the rollout
	blobs  files
	counts []string // what chains have counted

	drawn, buckets []string // from which tokens were asked for
	tokens         time.Duration
	away           error

	revision int64
	dead     []string
	slots    map[string]bool // key, holder
}

func newWorld() *world {
	w := &world{homes: map[ota.Ref]*ota.Home{}, values: map[ota.Ref]map[ota.Scope][]ota.Value{}, now: start}
	w.put(ota.Home{Device: &ota.Device{ID: device, Tenant: tenant, Name: "dev-1", Profile: profile, Created: start}})
	w.put(ota.Home{Profile: &ota.Profile{ID: profile, Tenant: tenant, Name: "pump"}})
	w.put(ota.Home{Rollout: &ota.Rollout{ID: rollout, Tenant: tenant, Kind: ota.Firmware, Package: app12, State: ota.RolloutRunning}})
	for _, p := range []ota.Package{
		{ID: app11, Kind: ota.Firmware, Version: ota.Version{Title: "app", Version: "1.1"}},
		{ID: app12, Kind: ota.Firmware, Version: ota.Version{Title: "app", Version: "1.2", Tag: "app 1.2"}},
		{ID: app13, Kind: ota.Firmware, Version: ota.Version{Title: "app", Version: "1.3"}},
		{ID: tool10, Kind: ota.Software, Version: ota.Version{Title: "tool", Version: "1.0"}},
	} {
		p.Tenant, p.Profile, p.Ready, p.Blob, p.Size = tenant, profile, true, "digest-of-"+string(p.ID), 10
		p.Algorithm, p.Checksum = ota.CRC32, "43beb7e8"
		w.put(ota.Home{Package: &p})
	}
	return w
}

func (w *world) put(h ota.Home) {
	h.Ref = ota.Ref{Tenant: tenant}
	switch {
	case h.Device != nil:
		h.Ref.Type, h.Ref.ID = ota.DeviceRef, string(h.Device.ID)
	case h.Profile != nil:
		h.Ref.Type, h.Ref.ID = ota.ProfileRef, string(h.Profile.ID)
	case h.Rollout != nil:
		h.Ref.Type, h.Ref.ID = ota.RolloutRef, string(h.Rollout.ID)
	case h.Package != nil:
		h.Ref.Type, h.Ref.ID = ota.PackageRef, string(h.Package.ID)
	}
	h.Version = 1
	w.homes[h.Ref] = &h
}

func (w *world) device() *ota.Device   { return w.homes[ota.RefOf(tenant, device)].Device }
func (w *world) firmware() *ota.Track  { return &w.device().Firmware }
func (w *world) profile() *ota.Profile { return w.homes[ref(ota.ProfileRef, string(profile))].Profile }
func (w *world) rollout() *ota.Rollout { return w.homes[ref(ota.RolloutRef, string(rollout))].Rollout }
func (w *world) pkg(id ota.PackageID) *ota.Package {
	return w.homes[ref(ota.PackageRef, string(id))].Package
}

func ref(t ota.RefType, id string) ota.Ref { return ota.Ref{Tenant: tenant, Type: t, ID: id} }

// assign gives the profile a package, by the rollout.
func (w *world) assign(id ota.PackageID) {
	w.profile().Assign(w.pkg(id).Kind, &ota.Assignment{Package: id, Rollout: rollout, At: start})
}

// queue begins an update of the device to a package, by the rollout.
func (w *world) queue(id ota.PackageID) *ota.Update {
	d, p := w.device(), w.pkg(id)
	d.Updates++
	d.Track(p.Kind).Enqueue(p, "1", rollout, "", w.now)
	return d.Track(p.Kind).Update
}

// offer begins an update and offers it.
func (w *world) offer(id ota.PackageID) *ota.Update {
	u := w.queue(id)
	if err := w.device().Track(u.Kind).Initiate(24*time.Hour, w.now); err != nil {
		panic(err)
	}
	return u
}

func (w *world) session(transport string) {
	w.device().OpenSession(ota.Session{ID: ota.SessionID{Process: "p", Num: 1}, Transport: transport, Since: w.now})
}

// value stores a value of the device.
func (w *world) value(s ota.Scope, key, json string) {
	w.set(ota.RefOf(tenant, device), ota.Value{Scope: s, Key: key, JSON: []byte(json), TS: start})
}

func (w *world) set(d ota.Ref, v ota.Value) {
	if w.values[d] == nil {
		w.values[d] = map[ota.Scope][]ota.Value{}
	}
	kept := slices.DeleteFunc(w.values[d][v.Scope], func(x ota.Value) bool { return x.Key == v.Key })
	if v.JSON != nil {
		kept = append(kept, v)
	}
	slices.SortFunc(kept, func(a, b ota.Value) int { return cmp.Compare(a.Key, b.Key) })
	w.values[d][v.Scope] = kept
}

// Below, world is ota.Homes and ota.Facts.

func (w *world) Now() time.Time { return w.now }

func (w *world) Load(_ context.Context, r ota.Ref) (*ota.Home, error) {
	h, ok := w.homes[r]
	if !ok {
		return nil, ota.Errorf(ota.NotFound, "load", "there is no %s", r)
	}
	return h.Clone(), nil
}

func (w *world) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	h, ok := w.homes[r]
	if !ok {
		return nil, ota.Errorf(ota.NotFound, "get", "there is no %s", r)
	}
	return h, nil
}

func (w *world) Commit(_ context.Context, t *ota.Turn) error {
	if h := w.homes[t.Home.Ref]; h != nil && h.Version != t.Home.Version {
		return ota.Errorf(ota.Conflict, "commit", "%s was written by another", t.Home.Ref)
	}
	if t.Raise {
		w.revision++
	}
	for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
		h = h.Clone()
		if h.Version++; h.Job != nil {
			h.Job.Revision = w.revision
		}
		w.homes[h.Ref] = h
	}
	for _, v := range t.Values {
		w.set(t.Home.Ref, v)
	}
	if t.Dead != nil {
		w.dead = append(w.dead, t.Dead.Chain+": "+t.Dead.Reason)
	}
	return nil
}

func (w *world) Find(_ context.Context, _ ota.TenantID, typ ota.RefType, name string) (ota.Ref, error) {
	for r, h := range w.homes {
		if r.Type == typ && name == nameOf(h) {
			return r, nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "find", "there is no %s %s", typ, name)
}

func nameOf(h *ota.Home) string {
	switch {
	case h.Device != nil:
		return h.Device.Name
	case h.Profile != nil:
		return h.Profile.Name
	case h.Package != nil:
		return h.Package.Version.String()
	}
	return ""
}

func (w *world) ByKey(context.Context, string) (ota.Ref, error) {
	return ota.Ref{}, ota.Errorf(ota.NotFound, "token", "the tests know none")
}

func (w *world) Values(_ context.Context, d ota.Ref, s ota.Scope, keys []string) ([]ota.Value, error) {
	var out []ota.Value
	for _, v := range w.values[d][s] {
		if keys == nil || slices.Contains(keys, v.Key) {
			out = append(out, v)
		}
	}
	return out, nil
}

func (w *world) Revision(context.Context, ota.TenantID) (int64, error) { return w.revision, nil }

// files are blobs in memory, by digest. Nil is one that nothing can be read from.
type files map[string]string

func (f files) Open(_ context.Context, digest string) (ota.Blob, error) {
	s, ok := f[digest]
	if !ok {
		return nil, ota.Errorf(ota.Busy, "open blob", "%s is away", digest)
	}
	return memory{strings.NewReader(s)}, nil
}

func (f files) Put(context.Context, io.Reader, ota.ChecksumAlgorithm, int64) (ota.BlobInfo, error) {
	return ota.BlobInfo{}, errors.New("put blob: nodes write none")
}

func (f files) Delete(context.Context, string) error {
	return errors.New("delete blob: nodes delete none")
}

type memory struct{ *strings.Reader }

func (memory) Close() error { return nil }

// Link makes the world an engine.Linker; it has no address for a package without
// an id.
func (w *world) Answer(_ ota.TenantID, approval string, approve bool) (string, error) {
	return fmt.Sprintf("https://ota/%s/%v", approval, approve), nil
}

func (w *world) Link(t ota.TenantID, p ota.PackageID, _ time.Time) (string, error) {
	if p == "" {
		return "", ota.Errorf(ota.Internal, "make a link", "nobody has said how devices reach this server")
	}
	return "https://ota/" + string(t) + "/" + string(p), nil
}

// Add makes the world an engine.Metrics.
func (w *world) Add(chain, name, kind string, labels map[string]string, value float64) {
	w.counts = append(w.counts, fmt.Sprint(chain, " ", kind, " ", name, labels, " ", value))
}

// Unassign takes the device's own assignment away.
func (w *world) Unassign(_ context.Context, x ota.Wish) (ota.WishDone, error) {
	w.wishes = append(w.wishes, x)
	if x.Target.Type != ota.DeviceRef {
		return ota.WishDone{}, ota.Errorf(ota.Busy, "unassign", "the store is away")
	}
	t := w.device().Track(x.Kind)
	if t.Assigned == nil {
		return ota.WishDone{}, nil
	}
	t.Assigned = nil
	return ota.WishDone{Changed: true}, nil
}

// CreateDevice makes a device as ota.Wishes does.
func (w *world) CreateDevice(ctx context.Context, t ota.TenantID, name, profile string) (ota.Ref, bool, error) {
	newID := func(context.Context, ota.TenantID, string) (ota.DeviceID, error) { return ota.NewDeviceID(9, 9), nil }
	return ota.Wishes{Homes: w, Facts: w, NewID: newID}.CreateDevice(ctx, t, name, profile)
}

// List shows the packages whose name begins with a prefix, one on a page.
func (w *world) List(_ context.Context, q ota.Query) (ota.Page, error) {
	var page ota.Page
	var names []string
	found := map[string]*ota.Home{}
	for r, h := range w.homes {
		if name := nameOf(h); r.Type == q.Type && strings.HasPrefix(name, q.Prefix) && name > q.Cursor {
			names, found[name] = append(names, name), h
		}
	}
	slices.Sort(names)
	if len(names) > 0 {
		page.Homes = append(page.Homes, found[names[0]])
	}
	if len(names) > 1 {
		page.Next = names[0]
	}
	return page, nil
}

// TakeSlot makes the world [ota.Slots].
func (w *world) TakeSlot(_ context.Context, k ota.SlotKnock) (bool, error) {
	return len(w.slots) < k.Max, nil
}

// FreeSlot makes the world [ota.Slots].
func (w *world) FreeSlot(context.Context, ota.TenantID, string, string) error { return nil }

// Admit makes the world [ota.Doors].
func (w *world) Admit(_ context.Context, k ota.Knock) (ota.Answer, error) {
	d, _ := w.homes[k.Rollout].Rollout.Door()
	return w.book.Admit(d, k, w.now), nil
}

// Tell makes the world [ota.Doors].
func (w *world) Tell(context.Context, ota.Ref, ota.DeviceID, ota.Told) error { return nil }

// Tally makes the world [ota.Doors].
func (w *world) Tally(context.Context, ota.Ref) (ota.Tally, error) { return w.book.Now(w.now), nil }

// Rollback makes the world an engine.Wisher.
func (w *world) Rollback(context.Context, ota.Ref, string, string, string, ota.RolloutID) (ota.WishDone, error) {
	return ota.WishDone{}, ota.Errorf(ota.NotFound, "roll back", "there is nothing before it")
}

// Assign makes the world an engine.Wisher: it assigns to profiles and devices
// at once, without a rollout.
func (w *world) Assign(ctx context.Context, x ota.Wish) (ota.WishDone, error) {
	w.wishes = append(w.wishes, x)
	pkg, err := w.Get(ctx, x.Package)
	if err != nil {
		return ota.WishDone{}, err
	}
	if err := ota.CheckAssign(pkg.Package, x.Tenant, pkg.Package.Kind, profile); err != nil {
		return ota.WishDone{}, err
	}
	if x.Target.Type != ota.DeviceRef {
		return ota.WishDone{}, ota.Errorf(ota.Busy, "assign", "the store is away")
	}
	t := w.device().Track(pkg.Package.Kind)
	if t.Assigned != nil && t.Assigned.Package == pkg.Package.ID {
		return ota.WishDone{}, nil
	}
	t.Assigned = &ota.Assignment{Package: pkg.Package.ID, By: x.By, Chain: x.Chain, Args: x.Args}
	return ota.WishDone{Changed: true, Rollout: "rollout-2"}, nil
}
