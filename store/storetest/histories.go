package storetest

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/windlass-ota/windlass/ota"
)

func countsByState(t *testing.T, w *world) {
	ctx := t.Context()
	pkg, rollout := w.newPackage("2").Package, ota.RolloutID(ota.NewID())
	follow := func(tr *ota.Track, enqueue bool) {
		tr.Followed = ota.Followed{Package: pkg.ID, Rollout: rollout}
		if enqueue {
			tr.Enqueue(pkg, "1", rollout, "", w.Store.Now())
		}
	}
	for i := range 12 {
		h := w.device(t, fmt.Sprint("d", i))
		f := &h.Device.Firmware
		follow(f, i%3 != 0) // 8 of 12
		if i%3 == 1 {
			if err := f.Initiate(time.Hour, w.Store.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if i == 2 {
			f.Cancel()
		}
		w.create(t, h)
	}
	counts := func(k ota.Kind, r ota.RolloutID) map[ota.State]int64 {
		t.Helper()
		c, err := w.Store.Counts(ctx, w.tenant, k, r)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	same(t, counts(ota.Firmware, ""), map[ota.State]int64{ota.Queued: 3, ota.Initiated: 4})
	same(t, counts(ota.Firmware, rollout), map[ota.State]int64{ota.Queued: 3, ota.Initiated: 4, ota.StandSkipped: 1, "": 4})
	same(t, counts(ota.Software, ""), map[ota.State]int64{})
}

// histories runs random lives of a few devices; the recount after it compares
// all counters, indexes, lines and due entries.
func histories(t *testing.T, w *world) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{w: newWorld(w.Harness), homes: map[string]*ota.Home{}}
		for i := range 2 {
			m.packages = append(m.packages, m.w.newPackage(strconv.Itoa(i+2)).Package)
			m.rollouts = append(m.rollouts, ota.RolloutID(ota.NewID()))
		}
		m.rollouts = append(m.rollouts, "")
		t.Repeat(map[string]func(*rapid.T){
			"create": m.create, "delete": m.delete, "enqueue": m.enqueue, "initiate": m.initiate, "report": m.report,
			"retry": m.retry, "cancel": m.cancel, "hold": m.hold, "assign": m.assign, "move": m.move, "post": m.post,
			"conflict": m.conflict, "": m.check,
		})
		if err := w.Check(context.Background()); err != nil {
			t.Fatalf("recount: %v", err)
		}
		m.end(t)
	})
}

// machine is the model: what each home should be.
type machine struct {
	w        *world
	homes    map[string]*ota.Home
	packages []*ota.Package
	rollouts []ota.RolloutID
}

// end deletes what is left: the recount after all histories finds nothing then.
func (m *machine) end(t *rapid.T) {
	for _, h := range m.homes {
		x := turn(h)
		x.Delete = true
		if err := m.w.Store.Commit(context.Background(), x); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
}

var someNames = []string{"a", "b", "c", "d"}

func (m *machine) check(t *rapid.T) {
	name := rapid.SampledFrom(someNames).Draw(t, "name")
	r, err := m.w.Store.Find(context.Background(), m.w.tenant, ota.DeviceRef, name)
	h, ok := m.homes[name]
	if !ok {
		want(t, err, ota.NotFound)
		return
	}
	if err != nil || r != h.Ref {
		t.Fatalf("find %s: %s, %v", name, r, err)
	}
	same(t, m.w.load(t, r), h)
}

func (m *machine) create(t *rapid.T) {
	name := rapid.SampledFrom(someNames).Draw(t, "name")
	h := m.w.device(t, name)
	h.Device.Credentials.Token += strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "token"))
	err := m.w.Store.Commit(context.Background(), &ota.Turn{ID: ota.NewTurnID(), Home: h})
	if _, taken := m.homes[name]; taken {
		want(t, err, ota.Invalid)
		return
	}
	want(t, err, "")
	m.homes[name] = h
}

// turn changes one home, if there is one, and keeps what came of it.
func (m *machine) turn(t *rapid.T, change func(*ota.Turn)) {
	name := rapid.SampledFrom(someNames).Draw(t, "name")
	h, ok := m.homes[name]
	if !ok {
		return
	}
	x := turn(h.Clone())
	change(x)
	if err := m.w.Store.Commit(context.Background(), x); err != nil {
		t.Fatalf("commit: %v", err)
	}
	m.homes[name] = x.Home
	if x.Delete {
		delete(m.homes, name)
	}
}

func (m *machine) track(t *rapid.T, x *ota.Turn) (*ota.Track, ota.Kind) {
	k := rapid.SampledFrom([]ota.Kind{ota.Firmware, ota.Firmware, ota.Software}).Draw(t, "kind")
	return x.Home.Device.Track(k), k
}

func (m *machine) delete(t *rapid.T) { m.turn(t, func(x *ota.Turn) { x.Delete = true }) }

func (m *machine) enqueue(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		tr, k := m.track(t, x)
		pkg := *rapid.SampledFrom(m.packages).Draw(t, "package")
		pkg.Kind = k
		r := rapid.SampledFrom(m.rollouts).Draw(t, "rollout")
		if rapid.Bool().Draw(t, "follow") {
			tr.Followed = ota.Followed{Package: pkg.ID, Rollout: r}
		}
		x.Home.Device.Updates++
		tr.Enqueue(&pkg, strconv.Itoa(x.Home.Device.Updates), r, "", m.w.Store.Now())
		tr.Update.Place = rapid.Float64Range(0, 1).Draw(t, "place")
		tr.Update.Priority = rapid.IntRange(-2, 2).Draw(t, "priority")
	})
}

func (m *machine) initiate(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		tr, _ := m.track(t, x)
		_ = tr.Initiate(time.Duration(rapid.IntRange(0, 1e9).Draw(t, "timeout")), m.w.Store.Now()) // a Conflict moves nothing
	})
}

func (m *machine) report(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		tr, _ := m.track(t, x)
		r := ota.Report{State: string(rapid.SampledFrom(ota.States()).Draw(t, "state"))}
		if rapid.Bool().Draw(t, "with version") {
			r.Title, r.Version = "fw", strconv.Itoa(rapid.IntRange(1, 3).Draw(t, "version"))
		}
		tr.Report(r, m.w.Store.Now())
		x.Values = []ota.Value{{Scope: ota.TelemetryScope, Key: "fw_state", JSON: []byte(strconv.Quote(r.State)), TS: m.w.Store.Now()}}
	})
}

func (m *machine) retry(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		tr, _ := m.track(t, x)
		tr.Retry(3, time.Duration(rapid.IntRange(0, 1e10).Draw(t, "wait")), rapid.Bool().Draw(t, "online"), m.w.Store.Now())
	})
}

func (m *machine) cancel(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		tr, _ := m.track(t, x)
		tr.Cancel()
	})
}

func (m *machine) hold(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		tr, _ := m.track(t, x)
		if rapid.Bool().Draw(t, "hold") {
			tr.Hold(m.w.Store.Now().Add(time.Minute), "night")
			return
		}
		x.Home.Device.Hear(m.w.Store.Now())
		tr.Ripe(m.w.Store.Now().Add(time.Hour))
	})
}

func (m *machine) assign(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		tr, _ := m.track(t, x)
		tr.Assigned = nil
		if rapid.Bool().Draw(t, "assign") {
			tr.Assigned = &ota.Assignment{Package: rapid.SampledFrom(m.packages).Draw(t, "package").ID, At: m.w.Store.Now()}
		}
	})
}

func (m *machine) move(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		x.Home.Device.Profile = rapid.SampledFrom([]ota.ProfileID{"p1", "p2"}).Draw(t, "profile")
	})
}

func (m *machine) post(t *rapid.T) {
	m.turn(t, func(x *ota.Turn) {
		switch rapid.IntRange(0, 2).Draw(t, "what") {
		case 0:
			x.Home.Post(ota.Pending{At: m.w.Store.Now().Add(time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "in"))), Event: ota.Decide})
		case 1:
			x.Home.Park(ota.Parked{At: m.w.Store.Now(), Digest: "d", Data: []byte("x")})
		default:
			x.Home.Drop(rapid.IntRange(1, 5).Draw(t, "num"))
		}
	})
}

// conflict commits a turn that must be refused, and must change nothing.
func (m *machine) conflict(t *rapid.T) {
	name := rapid.SampledFrom(someNames).Draw(t, "name")
	h, ok := m.homes[name]
	if !ok {
		return
	}
	x := turn(h.Clone())
	x.Home.Version++
	x.Was.Version++
	x.Home.Device.Firmware.Cancel()
	want(t, m.w.Store.Commit(context.Background(), x), ota.Conflict)
}
