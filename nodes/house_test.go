package nodes_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// house is a server without doors: the shipped chains over a world, whose clock
// it moves, and all that is due done at once.
type house struct {
	*world
	t      *testing.T
	engine *engine.Engine
	said   []string // to devices, unasked, since it was last looked at
}

func newHouse(t *testing.T, devices ...string) *house {
	t.Helper()
	w := newWorld()
	delete(w.homes, ota.RefOf(tenant, device))
	delete(w.homes, ref(ota.RolloutRef, string(rollout)))
	set, err := compile(t, engine.Deps{}, shipped(t))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{world: w, t: t}
	h.engine = engine.New(set, engine.Host{Homes: w, Facts: w, Fresh: w, Sender: h, Process: "p", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	for i, name := range devices {
		d := ota.NewDevice(ota.Device{ID: ota.NewDeviceID(i, 1), Tenant: tenant, Name: name, Profile: profile}, w.now)
		w.homes[d.Ref] = d
	}
	t.Cleanup(func() {
		h.engine.Wait()
		if len(w.dead) > 0 {
			t.Errorf("dead letters: %q", w.dead)
		}
	})
	h.settle()
	return h
}

// Send implements engine.Sender: a device hears while it has a session.
func (h *house) Send(_ context.Context, words []ota.Reply) (bool, error) {
	d := h.homes[ota.RefOf(tenant, words[0].Device)].Device
	if len(d.Sessions) == 0 {
		return false, nil
	}
	for _, s := range saidBy(engine.Trial{Pushes: words}) {
		h.said = append(h.said, d.Name+": "+strings.TrimPrefix(s, "push "))
	}
	return true, nil
}

// heard takes what was said to devices since the last time.
func (h *house) heard() []string {
	said := h.said
	h.said = nil
	return said
}

func (h *house) wish(x ota.Wish) {
	h.t.Helper()
	x.Tenant = tenant
	w := ota.Wishes{Homes: h.world, Facts: h.world, Chain: "rollout"}
	do := w.Assign
	if x.Package.ID == "" {
		do = w.Unassign
	}
	if _, err := do(context.Background(), x); err != nil {
		h.t.Fatal(err)
	}
	h.settle()
}

// assign gives a target a package; "" takes it away.
func (h *house) assign(target ota.Ref, p ota.PackageID) {
	h.t.Helper()
	x := ota.Wish{Target: target, Kind: ota.Firmware}
	if p != "" {
		x.Package = ref(ota.PackageRef, string(p))
	}
	h.wish(x)
}

func (h *house) named(name string) ota.Ref {
	r, err := h.Find(context.Background(), tenant, ota.DeviceRef, name)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) track(name string) *ota.Track { return &h.homes[h.named(name)].Device.Firmware }

// handle lets a device speak and returns what it is answered.
func (h *house) handle(name string, m ota.Message) []string {
	h.t.Helper()
	m.Tenant, m.Device, m.Transport = tenant, ota.DeviceID(h.named(name).ID), "mqtt"
	replies, err := h.engine.Handle(context.Background(), m)
	if err != nil {
		h.t.Fatalf("%s says %s: %v", name, m.Event, err)
	}
	h.settle()
	return saidBy(engine.Trial{Replies: replies})
}

func (h *house) connect(name string) {
	h.t.Helper()
	h.handle(name, ota.Message{Event: ota.Connected, Session: ota.SessionID{Process: "p", Num: 1}})
}

func (h *house) disconnect(name string) {
	h.t.Helper()
	h.handle(name, ota.Message{Event: ota.Disconnected, Session: ota.SessionID{Process: "p", Num: 1}})
}

func (h *house) report(name string, reports ...string) {
	h.t.Helper()
	for _, r := range reports {
		h.handle(name, ota.Message{Event: ota.Telemetry, Values: []byte(r)})
	}
}

// pass moves the clock, stopping wherever something is due.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	end := h.now.Add(d)
	for {
		next := end
		for _, home := range h.homes {
			for _, e := range home.Dues() {
				if e.At.After(h.now) && e.At.Before(next) {
					next = e.At
				}
			}
		}
		h.now = next
		h.settle()
		if !next.Before(end) {
			return
		}
	}
}

// settle does all that is due, until nothing is.
func (h *house) settle() {
	h.t.Helper()
	for range 100 {
		if !h.due() && !h.offers() {
			return
		}
	}
	h.t.Fatal("there is always something due")
}

func (h *house) refs() []ota.Ref {
	var out []ota.Ref
	for r := range h.homes {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b ota.Ref) int { return strings.Compare(a.String(), b.String()) })
	return out
}

func (h *house) due() (any bool) {
	h.t.Helper()
	for _, r := range h.refs() {
		for _, e := range h.homes[r].Dues() {
			if e.At.After(h.now) {
				continue
			}
			any = true
			if h.homes[r].Work(e.Key, h.now).What == ota.DueSpread {
				h.spread(r)
				continue
			}
			m := ota.Message{Event: ota.Due, Tenant: tenant, Home: r, Key: e.Key}
			if r.Type == ota.DeviceRef {
				m.Device = ota.DeviceID(r.ID)
			}
			if _, err := h.engine.Handle(context.Background(), m); err != nil {
				h.t.Fatalf("due %s of %s: %v", e.Key, r, err)
			}
		}
	}
	return any
}

// spread lets every member of a job's target decide.
func (h *house) spread(job ota.Ref) {
	h.t.Helper()
	j := h.homes[job].Job
	delete(h.homes, job)
	for _, r := range h.refs() {
		if d := h.homes[r].Device; d == nil || string(d.Profile) != j.Target.ID {
			continue
		}
		m := ota.Message{Event: ota.Decide, Tenant: tenant, Device: ota.DeviceID(r.ID), Kind: j.Kind, Cause: j.Cause, Revision: j.Revision}
		if _, err := h.engine.Handle(context.Background(), m); err != nil {
			h.t.Fatalf("decide %s: %v", r, err)
		}
	}
}

// offers gives each device that stands in an open line its turn.
func (h *house) offers() (any bool) {
	h.t.Helper()
	for _, r := range h.refs() {
		d := h.homes[r].Device
		if d == nil {
			continue
		}
		for _, k := range ota.Kinds() {
			u := d.Track(k).Update
			if !u.Waiting() {
				continue
			}
			if ro := h.homes[ref(ota.RolloutRef, string(u.Rollout))]; u.Rollout != "" && (ro == nil || !ro.Rollout.Open()) {
				continue
			}
			any = true
			m := ota.Message{Event: ota.OfferDue, Tenant: tenant, Device: ota.DeviceID(r.ID), Kind: k, Rollout: u.Rollout}
			if _, err := h.engine.Handle(context.Background(), m); err != nil {
				h.t.Fatalf("offer %s: %v", r, err)
			}
		}
	}
	return any
}

// stands prints where each device's firmware stands.
func (h *house) stands(names ...string) []string {
	var out []string
	for _, n := range names {
		u := h.track(n).Update
		if u == nil {
			out = append(out, n+": nothing")
			continue
		}
		s := fmt.Sprintf("%s: %s %s", n, u.Target, u.State)
		for _, x := range []string{u.Closed, u.Error} {
			if x != "" {
				s += ", " + x
			}
		}
		out = append(out, s)
	}
	return out
}
