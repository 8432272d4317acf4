package chaintest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	walks    []*walk // jobs that do a branch, in the order in which they began
	plans    []*plan // what is scheduled, in that order too
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
	words   []ota.BrokerWord // to brokers
	trouble []string         // turns that failed
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
		Homes: w.st, Facts: w.st, Fresh: w.st, Doors: w.st, Slots: w.st, Members: w.st, Sender: (*sender)(w), Deliver: (*published)(w), Process: process, Runs: -1, Log: slog.New((*noter)(w)), Traced: w.traced,
	})
	return w.eng.Arm(w.ctx, tenant)
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
		w.note("disconnected: " + err.Error())
	}
	w.wake(a)
}

// kill ends the server as kill -9 would: what it had in memory is gone, the
// store stays. A new one is there at once, and whoever was connected connects
// again.
func (w *world) kill() error {
	w.rewalk()
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

// maxTrouble bounds what is told of turns that failed.
const maxTrouble = 20

// note keeps what went wrong at the server.
func (w *world) note(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.trouble) < maxTrouble && !slices.Contains(w.trouble, text) {
		w.trouble = append(w.trouble, text)
	}
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
	(*world)(n).note(text)
	return nil
}

// WithAttrs implements [slog.Handler].
func (n *noter) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements [slog.Handler].
func (n *noter) WithGroup(string) slog.Handler { return n }
