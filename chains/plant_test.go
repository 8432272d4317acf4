package chains_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// noon is when every plant begins.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// plant is a whole server without wires: the shipped chains over a store whose
// clock the test moves. It is the sender of its engine, and notes what is said.
type plant struct {
	t       *testing.T
	client  goredis.UniversalClient
	mini    *miniredis.Miniredis
	chains  []engine.Source
	starts  int
	store   *redis.Store
	owner   *redis.Owner
	engine  *engine.Engine
	wishes  ota.Wishes
	now     time.Time
	said    []ota.Reply
	present bool // somebody hears what is said
}

// newPlant starts one; chains besides the shipped ones are given as text. Those
// that name a profile take its devices from the shipped ones.
func newPlant(t *testing.T, besides ...string) *plant {
	t.Helper()
	client, mini := redistest.Memory(t)
	p := &plant{t: t, client: client, mini: mini, now: noon, present: true}
	for _, name := range names(t) {
		data, err := fs.ReadFile(chains.Shipped(), name+".yaml")
		p.must(err)
		p.chains = append(p.chains, engine.Source{Name: name + ".yaml", Data: data})
	}
	for _, text := range besides {
		name, _, _ := strings.Cut(strings.TrimPrefix(text, "chain: "), "\n")
		p.chains = append(p.chains, engine.Source{Name: name + ".yaml", Data: []byte(text)})
	}
	p.start()
	return p
}

// start begins a server process over what is stored.
func (p *plant) start() {
	p.t.Helper()
	p.starts++
	process := fmt.Sprint("plant", p.starts)
	store := redis.New(p.client)
	p.store = store
	p.t.Cleanup(func() { store.Close() })
	owner, err := redis.NewOwner(p.store, process)
	p.owner = owner
	p.must(err)
	p.wishes = ota.Wishes{Homes: p.store, Facts: p.store, Chain: "rollout"}
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{Facts: p.store, Wishes: p.wishes, Rates: p.store, Doors: p.store, Slots: p.store}))
	p.must(err)
	set, err := engine.Compile(p.chains, reg, engine.Options{})
	if err != nil {
		p.t.Fatal(engine.FaultsOf(err).Text())
	}
	p.engine = engine.New(set, engine.Host{Homes: p.store, Facts: p.store, Fresh: p.store, Doors: p.store, Slots: p.store, Members: p.store, Sender: p, Process: process, Log: slog.New(slog.DiscardHandler)})
	p.at(p.now)
}

// kill takes the process away in the middle of what it does, and starts another
// one: what is in the store is all that is left. The leases run out first.
func (p *plant) kill() {
	p.t.Helper()
	p.engine.Wait()
	was, err := p.owner.Own(p.t.Context())
	p.must(err)
	p.start()
	p.at(p.now.Add(time.Minute))
	is, err := p.owner.Own(p.t.Context())
	p.must(err)
	if is != was {
		p.t.Fatalf("the new process works %d slots of %d", is, was)
	}
	p.work()
}

// Send implements engine.Sender.
func (p *plant) Send(_ context.Context, words []ota.Reply) (bool, error) {
	p.said = append(p.said, words...)
	return p.present, nil
}

func (p *plant) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) at(now time.Time) {
	p.now = now
	p.mini.SetTime(now)
	p.must(p.store.SyncClock(p.t.Context()))
}

// profile, device and pkg make nouns.
func (p *plant) profile(name string) ota.Ref {
	ref := ota.Ref{Tenant: ota.DefaultTenant, Type: ota.ProfileRef, ID: ota.NewID()}
	h := &ota.Home{Ref: ref, Profile: &ota.Profile{ID: ota.ProfileID(ref.ID), Tenant: ref.Tenant, Name: name, Created: p.now}}
	p.must(p.store.Commit(p.t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}))
	return ref
}

func (p *plant) device(name string, profile ota.Ref) ota.Ref {
	id, err := p.store.NewDevice(p.t.Context(), ota.DefaultTenant, name)
	p.must(err)
	h := ota.NewDevice(ota.Device{ID: id, Tenant: ota.DefaultTenant, Name: name, Profile: ota.ProfileID(profile.ID), Credentials: ota.Credentials{Token: "token of " + name}}, p.now)
	p.must(p.store.Commit(p.t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}))
	return h.Ref
}

func (p *plant) pkg(version string, k ota.Kind, profile ota.Ref) ota.Ref {
	ref := ota.Ref{Tenant: ota.DefaultTenant, Type: ota.PackageRef, ID: ota.NewID()}
	h := &ota.Home{Ref: ref, Package: &ota.Package{
		ID: ota.PackageID(ref.ID), Tenant: ref.Tenant, Profile: ota.ProfileID(profile.ID), Kind: k, Version: ota.Version{Title: "app", Version: version},
		Blob: "d" + version, Size: 2500, Algorithm: ota.CRC32, Checksum: "00000000", Ready: true, Created: p.now,
	}}
	p.must(p.store.Commit(p.t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}))
	return ref
}

func (p *plant) assign(pkg, target ota.Ref) {
	p.t.Helper()
	_, err := p.wishes.Assign(p.t.Context(), ota.Wish{Tenant: ota.DefaultTenant, Package: pkg, Target: target, By: "ann"})
	p.must(err)
	p.work()
}

// say is a message of a device; its answer comes back.
func (p *plant) say(d ota.Ref, e ota.Event, change func(*ota.Message)) []ota.Reply {
	p.t.Helper()
	m := ota.Message{Event: e, Tenant: d.Tenant, Device: ota.DeviceID(d.ID), Transport: "mqtt", Address: "192.0.2.1"}
	if change != nil {
		change(&m)
	}
	replies, err := p.engine.Handle(p.t.Context(), m)
	p.must(err)
	p.work()
	return replies
}

func (p *plant) report(d ota.Ref, values string) {
	p.t.Helper()
	p.say(d, ota.Telemetry, func(m *ota.Message) { m.Values = []byte(values) })
}

func (p *plant) track(d ota.Ref, k ota.Kind) *ota.Track {
	p.t.Helper()
	h, err := p.store.Load(p.t.Context(), d)
	p.must(err)
	return h.Device.Track(k)
}

func (p *plant) state(d ota.Ref) ota.State {
	p.t.Helper()
	u := p.track(d, ota.Firmware).Update
	if u == nil {
		return ""
	}
	return u.State
}

// pass lets time go by, working what falls due on the way at its moment.
func (p *plant) pass(d time.Duration) {
	p.t.Helper()
	for until := p.now.Add(d); ; {
		p.work()
		_, next, err := p.owner.Due(p.t.Context(), 1)
		p.must(err)
		if next.IsZero() || next.After(until) {
			p.at(until)
			p.work()
			return
		}
		p.at(next)
	}
}

// work does what is due until nothing is.
func (p *plant) work() {
	p.t.Helper()
	ctx := p.t.Context()
	idle := 0 // asking once may only have spread a job
	for range 1000 {
		_, err := p.owner.Own(ctx)
		p.must(err)
		tasks, _, err := p.owner.Due(ctx, 100)
		p.must(err)
		offers, err := p.owner.Offers(ctx, 100)
		p.must(err)
		tasks = append(tasks, offers...)
		if idle++; len(tasks) > 0 {
			idle = 0
		}
		if idle == 2 {
			return
		}
		for _, t := range tasks {
			p.do(ctx, t)
			p.owner.Done(t)
		}
	}
	p.t.Fatal("what is due never ends")
}

func (p *plant) do(ctx context.Context, t ota.Task) {
	p.t.Helper()
	m := ota.Message{Event: ota.Due, Tenant: t.Home.Tenant, Home: t.Home, Key: t.Key, Kind: t.Kind, Began: &t.Origin}
	switch {
	case t.Page != nil:
		for _, r := range t.Page.Members {
			d := ota.Message{Event: ota.Decide, Tenant: r.Tenant, Device: ota.DeviceID(r.ID), Kind: t.Page.Kind, Cause: t.Page.Cause, Revision: t.Page.Revision}
			_, err := p.engine.Handle(ctx, d)
			p.must(err)
		}
		p.must(p.owner.Advance(ctx, *t.Page, t.Origin.Lease, len(t.Page.Members)))
		return
	case t.Message != nil, t.Key == ota.DoorKey:
		if t.Message != nil {
			m = *t.Message
		}
		_, err := p.engine.Handle(ctx, m)
		p.must(err)
		p.must(p.owner.Delivered(ctx, t))
		return
	case t.Origin.Place != nil:
		m.Event, m.Device = ota.OfferDue, ota.DeviceID(t.Home.ID)
	}
	_, err := p.engine.Handle(ctx, m)
	p.must(err)
}

// check recounts everything that the store derives from its homes.
func (p *plant) check() {
	p.t.Helper()
	r, err := p.store.Check(p.t.Context())
	p.must(err)
	if err := r.Err(); err != nil {
		p.t.Error(err)
	}
}
