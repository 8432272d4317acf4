package chaintest

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

const tenant = ota.DefaultTenant

// conductor is the chain that conducts what names no other.
const conductor = "rollout"

// world is one case being played.
type world struct {
	ctx   context.Context //nolint:containedctx // of the case; every act has it
	seed  string          // of all chance
	given *given
	loads *loads
	st    *store
	cw    *clockwork
	files *blobs
	eng   *engine.Engine
	lives int // how often the server was started
	wish  ota.Wishes
	mocks *mocks

	actors   []*actor
	byID     map[ota.DeviceID]*actor
	sleep    sleepers
	session  uint64
	rollouts int
	chunk    int64 // that devices ask for
	began    time.Time

	mu   sync.Mutex     // of what an engine's goroutine may tell
	runs map[runKey]run // the last ones
	seen *Coverage

	last    runKey // whose run is looked at: of the chain under test
	replies []ota.Reply
	refused error
	said    []ota.Reply
	trouble []string // turns that failed
}

// runKey names the last run through a chain, or the last that a step called.
type runKey struct{ chain, by string }

// run is a run through one chain, or through a chain that another called.
type run struct {
	engine.Traced
	full []engine.Hop // with the steps of the chains that it called
}

// errStuck is a world that never comes to rest.
var errStuck = errors.New("the same moment never ends: each turn brings another one")

// maxTurns bounds the turns of one moment.
const maxTurns = 1_000_000

// start starts the server, on what the store holds.
func (w *world) start() error {
	w.lives++
	process := fmt.Sprintf("test-%d", w.lives)
	set, err := w.loads.compile(w)
	if err != nil {
		return err
	}
	w.eng = engine.New(set, engine.Host{
		Homes: w.st, Facts: w.st, Fresh: w.st, Sender: (*sender)(w), Process: process, Log: slog.New((*noter)(w)), Traced: w.traced,
	})
	return nil
}

func (w *world) process() string { return w.eng.Process }

// traced notes a run.
func (w *world) traced(t engine.Traced) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.loads.segments(t) {
		r := run{Traced: t, full: s.full}
		r.Steps = s.steps
		if s.chain != t.Chain.Name {
			r.Vars = nil
		}
		w.runs[runKey{s.chain, ""}], w.runs[runKey{s.chain, s.by}] = r, r
		w.seen.take(s)
	}
}

// sender takes the words that the engine says unasked.
type sender world

// Send implements [engine.Sender].
func (s *sender) Send(_ context.Context, words []ota.Reply) (heard bool, err error) {
	for _, r := range words {
		a := s.byID[r.Device]
		if a == nil || a.session.Process != s.eng.Process {
			continue
		}
		heard = true
		s.said = append(s.said, r)
		if r.Word == ota.SayRPC {
			a.call = r.Call
		}
		a.hear(r)
	}
	return heard, nil
}

// handle lets the engine do what a device says.
func (w *world) handle(a *actor, m ota.Message) ([]ota.Reply, error) {
	m.Tenant, m.Device = tenant, ota.DeviceID(a.ref.ID)
	m.Transport, m.Address = cmp.Or(m.Transport, "mqtt"), cmp.Or(m.Address, "192.0.2.1")
	if m.Session == (ota.SessionID{}) {
		m.Session = a.session
	}
	replies, err := w.eng.Handle(w.ctx, m)
	w.eng.Wait()
	return replies, err
}

// connect opens a session of a device.
func (w *world) connect(a *actor, transport string) error {
	w.session++
	a.session, a.online, a.broken = ota.SessionID{Process: w.process(), Num: w.session}, true, false
	_, err := w.handle(a, ota.Message{Event: ota.Connected, Transport: transport})
	return err
}

// disconnect ends the session of a device, where it has one.
func (w *world) disconnect(a *actor) {
	if a.session == (ota.SessionID{}) {
		return
	}
	m := ota.Message{Event: ota.Disconnected, Session: a.session}
	a.session, a.broken = ota.SessionID{}, true
	if _, err := w.handle(a, m); err != nil {
		w.trouble = append(w.trouble, "disconnected: "+err.Error())
	}
	w.wake(a)
}

// kill ends the server as kill -9 would: what it had in memory is gone, the
// store stays. A new one is there at once, and whoever was connected connects
// again.
func (w *world) kill() error {
	if err := w.start(); err != nil {
		return err
	}
	for _, a := range w.actors {
		if a.session == (ota.SessionID{}) {
			continue
		}
		a.session, a.broken = ota.SessionID{}, true
		if a.dev != nil {
			w.wake(a)
		} else if err := w.connect(a, "mqtt"); err != nil {
			return err
		}
	}
	return nil
}

// told are the attributes that offer a device something.
func (w *world) told(r ota.Ref, k ota.Kind) (map[string]json.RawMessage, error) {
	h, err := w.st.Get(w.ctx, r)
	if err != nil {
		return nil, err
	}
	id := h.Device.Track(k).Offer.Package
	if id == "" {
		return map[string]json.RawMessage{}, nil
	}
	p, err := w.st.Get(w.ctx, ota.Ref{Tenant: tenant, Type: ota.PackageRef, ID: string(id)})
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	for _, v := range ota.OfferAttributes(p.Package) {
		out[v.Name] = json.RawMessage(v.JSON)
	}
	return out, nil
}

func (w *world) bytes(s ota.Section) []byte {
	if b := w.files.bytes(s.Package.Blob); int64(len(b)) >= s.Off+s.Len {
		return b[s.Off : s.Off+s.Len]
	}
	return nil
}

// sleepers are devices that go on at a time.
type sleepers []sleeper

type sleeper struct {
	at  time.Time
	seq int
	a   *actor
	nap int
}

func (h sleepers) Len() int { return len(h) }
func (h sleepers) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h sleepers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *sleepers) Push(x any) { *h = append(*h, x.(sleeper)) } //nolint:forcetypeassert // ours alone

// Pop implements [heap.Interface].
func (h *sleepers) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// wake lets a device go on when what it waits for has come: at once where that
// is a push, or the end of its connection.
func (w *world) wake(a *actor) {
	at := a.nap.until
	if a.nap.push && (len(a.inbox) > 0 || a.broken || a.online && a.session == (ota.SessionID{})) {
		at = w.st.Now()
	}
	if a.next == nil || at.IsZero() {
		return
	}
	heap.Push(&w.sleep, sleeper{at, a.w.cw.tick(), a, a.asleep})
}

// awake takes the next device whose time has come.
func (w *world) awake(now time.Time) *actor {
	for len(w.sleep) > 0 && !w.sleep[0].at.After(now) {
		if x := heap.Pop(&w.sleep).(sleeper); x.a.asleep == x.nap { //nolint:forcetypeassert // ours alone
			return x.a
		}
	}
	return nil
}

// next is when something happens next; zero where nothing will.
func (w *world) next() time.Time {
	for len(w.sleep) > 0 && w.sleep[0].a.asleep != w.sleep[0].nap {
		heap.Pop(&w.sleep)
	}
	at := w.cw.next()
	if len(w.sleep) > 0 && (at.IsZero() || w.sleep[0].at.Before(at)) {
		at = w.sleep[0].at
	}
	return at
}

// settle does all that happens at this moment.
func (w *world) settle() error {
	now := w.st.Now()
	for range maxTurns {
		if x, ok := w.cw.due(now); ok {
			w.due(x, now)
			continue
		}
		if offers := w.cw.offers(now, w.home); len(offers) > 0 {
			for _, c := range offers {
				w.offer(c)
			}
			continue
		}
		if a := w.awake(now); a != nil {
			a.resume()
			continue
		}
		return w.ctx.Err()
	}
	return errStuck
}

// pass lets time go by, and what happens on the way happen at its moment, until
// enough says so or the time is over; it says which.
func (w *world) pass(d time.Duration, enough func() bool) (bool, error) {
	for until := w.st.Now().Add(d); ; {
		if err := w.settle(); err != nil {
			return false, err
		}
		if enough() {
			return true, nil
		}
		now := w.st.Now()
		if !now.Before(until) {
			return false, nil
		}
		at := w.next()
		if at.IsZero() || at.After(until) {
			at = until
		}
		w.st.move(at)
	}
}

func (w *world) home(r ota.Ref) *ota.Home {
	h, err := w.st.Get(w.ctx, r)
	if err != nil {
		return nil
	}
	return h
}

// due works one thing that is due. What cannot be done is tried again later.
func (w *world) due(x coming, now time.Time) {
	m := ota.Message{Event: ota.Due, Tenant: x.ref.Tenant, Key: x.entry.Key, Began: &ota.Origin{Key: x.entry.Key, Due: x.entry.At.UnixMilli()}}
	if x.ref.Type == ota.DeviceRef {
		m.Device = ota.DeviceID(x.ref.ID)
	} else {
		m.Home = x.ref
	}
	var err error
	if h := w.home(x.ref); h != nil && h.Job != nil && h.Work(x.entry.Key, now).What == ota.DueSpread {
		err = w.job(h)
	} else {
		_, err = w.eng.Handle(w.ctx, m)
		w.eng.Wait()
	}
	if err != nil {
		w.trouble = append(w.trouble, x.entry.Key+": "+err.Error())
	}
	if w.cw.stands(x) {
		w.cw.again(x, now)
	}
}

// offer lets a queued update be offered.
func (w *world) offer(c called) {
	d := ota.DeviceID(c.ref.ID)
	m := ota.Message{Event: ota.OfferDue, Tenant: c.ref.Tenant, Device: d, Kind: c.kind, Began: &ota.Origin{Place: &ota.Place{Rollout: c.rollout, Kind: c.kind, Device: d, At: c.place}}}
	if _, err := w.eng.Handle(w.ctx, m); err != nil {
		w.trouble = append(w.trouble, "offer: "+err.Error())
	}
	w.eng.Wait()
	w.cw.called(c, w.st.Now())
}

// job tells every device of a target what is in force now.
func (w *world) job(h *ota.Home) error {
	j := h.Job
	for _, d := range w.st.devices() {
		if d.Device.Profile != ota.ProfileID(j.Target.ID) {
			continue
		}
		_, err := w.eng.Handle(w.ctx, ota.Message{Event: ota.Decide, Tenant: tenant, Device: d.Device.ID, Kind: j.Kind, Cause: j.Cause, Revision: j.Revision})
		w.eng.Wait()
		if err != nil {
			w.trouble = append(w.trouble, d.Device.Name+": decide: "+err.Error())
		}
	}
	is := h.Clone()
	is.Job.Spread = true
	for i := range ota.Shards {
		is.Job.End(i, 0)
	}
	return w.st.Commit(w.ctx, &ota.Turn{ID: ota.NewTurnID(), Home: is, Was: h})
}

// noter keeps what the engine logs as a warning or worse.
type noter world

// Enabled implements [slog.Handler].
func (n *noter) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements [slog.Handler].
func (n *noter) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble = append(n.trouble, text)
	return nil
}

// WithAttrs implements [slog.Handler].
func (n *noter) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements [slog.Handler].
func (n *noter) WithGroup(string) slog.Handler { return n }
