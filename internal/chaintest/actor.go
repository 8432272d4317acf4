package chaintest

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// actor is a device of a world. One that behaves is played by package sim, as a
// coroutine that runs when its time has come; the others do what the case says.
type actor struct {
	w       *world
	name    string
	ref     ota.Ref
	profile string
	session ota.SessionID // the open one, or none
	online  bool          // it connects when it can
	call    int64         // the last one of a method of it

	dev    *sim.Device
	next   func() (nap, bool)
	stop   func()
	cancel context.CancelFunc
	nap    nap // what it waits for
	asleep int // which nap that is

	inbox  []map[string]json.RawMessage
	how    behaviour
	dice   *rand.Rand
	fresh  bool // nothing has happened since the case began
	broken bool // its connection is gone, and it has not noticed
	reboot bool // is still to come
}

// nap is what a coroutine waits for: a time, zero for none, or a push.
type nap struct {
	until time.Time
	push  bool
}

var errDown = errors.New("the connection is lost")

// play makes the device act by itself. What runs on it is runs.
func (a *actor) play(how behaviour, runs ota.Version, chunk int64) {
	a.halt()
	a.how, a.fresh, a.reboot = how, true, how.RebootsAt > 0
	if how.word == "silent" {
		return
	}
	h := fnv.New64a()
	h.Write([]byte(a.w.seed + "/" + a.name))
	a.dice = rand.New(rand.NewPCG(h.Sum64(), 1)) //nolint:gosec // the same in each run
	a.dev = &sim.Device{
		Name: a.name, Wire: (*actorWire)(a), Clock: (*actorClock)(a), Kind: ota.Firmware, Runs: runs, Chunk: chunk, Install: installs, Retry: rebootFor,
		Behaves: sim.Behaviour{Fails: how.Fails, Lies: how.Lies, Slow: how.Slow}, Stay: true,
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.next, a.stop = iter.Pull(func(yield func(nap) bool) {
		_, _ = a.dev.Run(context.WithValue(ctx, yieldKey{}, yield)) // it stays until the case ends
	})
	a.resume()
}

type yieldKey struct{}

// halt ends what the device does by itself.
func (a *actor) halt() {
	if a.stop != nil {
		a.cancel()
		a.stop()
	}
	a.dev, a.next, a.stop, a.nap = nil, nil, nil, nap{}
	a.asleep++
}

// resume lets the device go on until it waits again.
func (a *actor) resume() {
	n, ok := a.next()
	a.asleep++
	if !ok {
		a.nap = nap{}
		return
	}
	a.nap = n
	a.w.wake(a)
}

// sleep gives way until d has gone by, or until a push has come.
func (a *actor) sleep(ctx context.Context, d time.Duration, push bool) error {
	yield, ok := ctx.Value(yieldKey{}).(func(nap) bool)
	n := nap{push: push}
	if d > 0 {
		n.until = a.w.st.Now().Add(d)
	}
	if !ok || !yield(n) {
		return context.Canceled
	}
	return ctx.Err()
}

// actorClock is the moved clock, for one device.
type actorClock actor

// Now implements [sim.Clock].
func (c *actorClock) Now() time.Time { return c.w.st.Now() }

// Sleep implements [sim.Clock].
func (c *actorClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	return (*actor)(c).sleep(ctx, d, false)
}

// actorWire is the device's connection to the engine of its world.
type actorWire actor

// Open implements [sim.Wire].
func (w *actorWire) Open(ctx context.Context) error {
	a := (*actor)(w)
	if a.fresh && a.session != (ota.SessionID{}) {
		return nil
	}
	for a.broken = false; !a.online; {
		if err := a.sleep(ctx, 0, true); err != nil {
			return err
		}
	}
	if err := a.sleep(ctx, wordTakes, false); err != nil {
		return err
	}
	if !a.online {
		return errDown
	}
	return a.w.connect(a, "mqtt")
}

// Close implements [sim.Wire].
func (w *actorWire) Close() error { return nil }

// Report implements [sim.Wire].
func (w *actorWire) Report(ctx context.Context, values map[string]any) error {
	if w.fresh { // the world stands as it is given
		return nil
	}
	body, err := json.Marshal(values)
	if err != nil {
		return err
	}
	_, err = (*actor)(w).say(ctx, ota.Message{Event: ota.Telemetry, Values: body})
	return err
}

// Attributes implements [sim.Wire].
func (w *actorWire) Attributes(ctx context.Context, names []string) (map[string]json.RawMessage, error) {
	a := (*actor)(w)
	if a.fresh {
		a.fresh = false
		return a.w.told(a.ref, ota.Firmware)
	}
	a.inbox = nil // the answer says it all
	replies, err := a.say(ctx, ota.Message{Event: ota.AttributesRequested, SharedKeys: names})
	if err != nil {
		return nil, err
	}
	for _, r := range replies {
		if r.Word == ota.SayAttributes {
			return members(r.Shared, nil)
		}
	}
	return nil, refusal("attributes", replies)
}

// Changes implements [sim.Wire].
func (w *actorWire) Changes(ctx context.Context) (map[string]json.RawMessage, error) {
	a := (*actor)(w)
	var patience time.Duration
	if a.how.Loses > 0 {
		patience = polls
	}
	for asked := false; len(a.inbox) == 0; asked = true {
		if a.broken {
			return nil, errDown
		}
		if asked && patience > 0 {
			return nil, nil
		}
		if err := a.sleep(ctx, patience, true); err != nil {
			return nil, err
		}
	}
	push := a.inbox[0]
	a.inbox = a.inbox[1:]
	return push, nil
}

// Chunk implements [sim.Wire].
func (w *actorWire) Chunk(ctx context.Context, k ota.Kind, v ota.Version, size, n int64) ([]byte, error) {
	a := (*actor)(w)
	replies, err := a.say(ctx, ota.Message{Event: ota.ChunkRequested, Kind: k, Want: v, Size: size, Chunk: n})
	if err != nil {
		return nil, err
	}
	for _, r := range replies {
		if r.Word != ota.SayChunk {
			continue
		}
		s := r.Section
		if a.reboot && float64(s.Off+s.Len) >= float64(a.how.RebootsAt)*float64(s.Package.Size) {
			a.reboot = false
			a.w.disconnect(a)
			return nil, errDown
		}
		return a.w.bytes(s), nil
	}
	return nil, refusal("chunk", replies)
}

// say is one word of the device: lost now and then, or said twice, as it
// behaves. It is said again until it is answered.
func (a *actor) say(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
	for {
		if err := a.sleep(ctx, wordTakes, false); err != nil {
			return nil, err
		}
		if a.broken || a.session == (ota.SessionID{}) {
			return nil, errDown
		}
		lost := a.how.Loses > 0 && a.dice.Float64() < float64(a.how.Loses)
		unanswered := a.how.Loses > 0 && a.dice.Float64() < float64(a.how.Loses)
		var replies []ota.Reply
		var err error
		if !lost {
			replies, err = a.w.handle(a, m)
			if a.how.Duplicates > 0 && a.dice.Float64() < float64(a.how.Duplicates) {
				replies, err = a.w.handle(a, m)
			}
		}
		if !lost && !unanswered {
			return replies, err
		}
		if err := a.sleep(ctx, repeats, false); err != nil {
			return nil, err
		}
	}
}

// hear takes words that are pushed to the device.
func (a *actor) hear(r ota.Reply) {
	if a.dev == nil || a.how.Loses > 0 && a.dice.Float64() < float64(a.how.Loses) {
		return
	}
	if push, err := members(r.Shared, r.Deleted); err == nil && len(push) > 0 {
		a.inbox = append(a.inbox, push)
		a.w.wake(a)
	}
}

// members are the attributes that a word names; those that are deleted are nil.
func members(shared []byte, deleted []string) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	if shared != nil {
		if err := json.Unmarshal(shared, &out); err != nil {
			return nil, err
		}
	}
	for _, name := range deleted {
		out[name] = nil
	}
	return out, nil
}

func refusal(what string, replies []ota.Reply) error {
	no := &sim.Refusal{What: what, Text: "no answer"}
	for _, r := range replies {
		if r.Word == ota.SayError {
			no.Text = string(r.Code) + " " + r.Text
		}
	}
	return no
}
