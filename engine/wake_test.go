package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

type listenConfig struct {
	Event string `yaml:"event"`
	If    *Cond  `yaml:"if"`
}

type listenNode struct {
	c     listenConfig
	asked *int
}

func (n *listenNode) Process(_ context.Context, r *Run) (string, error) {
	return r.Park(Wait{At: r.Now.Add(time.Hour), Outlet: "late", Event: ota.Event(n.c.Event)})
}

func (n *listenNode) Wake(_ context.Context, r *Run) (string, error) {
	*n.asked++
	if n.c.If != nil {
		if ok, err := n.c.If.Eval(r); err != nil || !ok {
			return "", err
		}
	}
	r.Set("msg", r.CameValue())
	return "came", nil
}

// listens is the test registry with a node that waits for an event, and one that
// notes a text in the device's name.
func listens(t *testing.T, asked *int) *Registry {
	t.Helper()
	listen := Define(Spec{
		Name: "listen", Subject: Device, Waits: true, Outlets: []Outlet{{Name: "came"}, {Name: "late"}}, Outputs: []Output{{"msg", AnyType, ""}},
		Fields: []Field{{Key: "event", Required: true, Enum: DeviceEvents()}, {Key: "if", Of: "event"}},
	}, listenConfig{}, func(c listenConfig) (Node, error) { return &listenNode{c, asked}, nil })
	write := Define(Spec{Name: "write", Subject: Device, Writes: true, Outlets: []Outlet{{Name: "written"}}, Fields: []Field{{Key: "text", Required: true}}}, sayConfig{}, func(c sayConfig) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			s, err := c.Text.Get(r)
			r.Home.Device.Name += " " + s
			return "written", err
		}), nil
	})
	reg, err := NewRegistry([]Factory{listen, write, wait(), say(), move(), boom()})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// waitingEngine has a run that waits for telemetry since attributes came.
func waitingEngine(t *testing.T, asked *int, steps string, besides ...string) (*Engine, *shelf) {
	t.Helper()
	s := newShelf()
	chain := "chain: w\nsummary: A test.\ntrigger: attributes\nvars: {n: 2}\nsteps:\n  - {node: set, with: {n: \"${vars.n + 1}\"}}\n" + steps
	set, err := Compile(sources(append(besides, chain)...), listens(t, asked), Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	e := New(set, Host{Homes: s, Facts: s, Fresh: s, Sender: s, Process: "me"})
	handle(t, e, ota.Message{Event: ota.AttributesReported, Tenant: "main", Device: "d", Values: []byte(`{"a":"own"}`)})
	if len(s.homes[thing].Parked) != 1 {
		t.Fatal("no run waits")
	}
	return e, s
}

func handle(t *testing.T, e *Engine, m ota.Message) {
	t.Helper()
	if _, err := e.Handle(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// fire works all that is due at the device.
func (s *shelf) fire(t *testing.T, e *Engine) {
	t.Helper()
	for _, d := range s.homes[thing].Dues() {
		if !d.At.After(s.now) {
			handle(t, e, ota.Message{Event: ota.Due, Tenant: "main", Home: thing, Key: d.Key})
		}
	}
}

func (s *shelf) noted() string { return strings.TrimPrefix(s.device().Name, "dev-1") }

const heard = "  - {node: listen, with: {event: telemetry, if: \"msg.values.n == vars.n\"}, to: {late: late}}\n" +
	"  - {node: write, with: {text: \"${steps.listen.msg.values.n} ${msg.values.a}\"}}\nbranches: {late: [{node: write, with: {text: late}}]}\n"

func TestWake(t *testing.T) {
	const first = "chain: x\nsummary: A test.\ntrigger: telemetry\nsteps: [{node: write, with: {text: \"first\"}}]\n"
	tests := []struct {
		name    string
		besides []string
		do      func(t *testing.T, e *Engine, s *shelf)
		want    string
		asked   int
	}{
		{"the one that fits", nil, func(t *testing.T, e *Engine, s *shelf) {
			handle(t, e, telemetry(`{"n":1}`))
			handle(t, e, telemetry(`{"n":3}`))
			s.fire(t, e)
		}, " 3 own", 3},
		{"its own chain first", []string{first}, func(t *testing.T, e *Engine, s *shelf) {
			handle(t, e, telemetry(`{"n":3}`))
			s.fire(t, e)
		}, " first 3 own", 2},
		{"another event", nil, func(t *testing.T, e *Engine, s *shelf) {
			handle(t, e, ota.Message{Event: ota.Connected, Tenant: "main", Device: "d"})
			s.fire(t, e)
		}, "", 0},
		{"too late", nil, func(t *testing.T, e *Engine, s *shelf) {
			s.now = s.now.Add(time.Hour)
			s.fire(t, e)
			handle(t, e, telemetry(`{"n":3}`))
			s.fire(t, e)
		}, " late", 0},
		{"it came before the end, and both are due", nil, func(t *testing.T, e *Engine, s *shelf) {
			handle(t, e, telemetry(`{"n":3}`))
			s.now = s.now.Add(2 * time.Hour)
			s.fire(t, e)
		}, " 3 own", 2},
		{"twice before it is worked", nil, func(t *testing.T, e *Engine, s *shelf) {
			handle(t, e, telemetry(`{"n":3}`))
			handle(t, e, telemetry(`{"n":3}`))
			s.fire(t, e)
			s.fire(t, e)
		}, " 3 own", 2},
		{"a chain that fails and is kept has heard it", []string{strings.Replace(first, "steps: [", "steps: [{node: boom, with: {code: internal}}, ", 1)}, func(t *testing.T, e *Engine, s *shelf) {
			handle(t, e, telemetry(`{"n":3}`))
			s.fire(t, e)
		}, " 3 own", 2},
		{"larger than a run may hold", nil, func(t *testing.T, e *Engine, s *shelf) {
			handle(t, e, telemetry(`{"n":3,"b":"`+strings.Repeat("x", maxParked)+`"}`))
			s.fire(t, e)
			if d := s.last().Dead; d == nil || !strings.Contains(d.Reason, "larger than a waiting run may hold") {
				t.Errorf("dead letter %+v", d)
			}
		}, "", 1},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			asked := 0
			e, s := waitingEngine(t, &asked, heard, x.besides...)
			x.do(t, e, s)
			if got := s.noted(); got != x.want || asked != x.asked {
				t.Errorf("noted %q and asked %d times, want %q and %d", got, asked, x.want, x.asked)
			}
		})
	}
}

// TestWakeAndConflict: of the event and the end of the time, what is stored
// first counts, and nothing is done twice.
func TestWakeAndConflict(t *testing.T) {
	asked := 0
	e, s := waitingEngine(t, &asked, heard)
	s.faster = 1 // the event's turn runs again
	handle(t, e, telemetry(`{"n":3}`))
	s.faster = 1 // and so does the waiter's
	s.fire(t, e)
	if got := s.noted(); got != " 3 own" {
		t.Errorf("noted %q", got)
	}
}

// TestAskedEventWakes: a mere question has no commit, save where somebody waits
// for it.
func TestAskedEventWakes(t *testing.T) {
	asked := 0
	const answers = "chain: q\nsummary: A test.\ntrigger: rpc_requested\nsteps: [{node: say, with: {text: here}}]\n"
	e, s := waitingEngine(t, &asked, "  - {node: listen, with: {event: rpc_requested, if: msg.method == \"go\"}, to: {late: end}}\n  - {node: write, with: {text: \"${steps.listen.msg.method}\"}}\n", answers)
	ask := func(method string) {
		replies, err := e.Handle(t.Context(), ota.Message{Event: ota.RPCRequested, Tenant: "main", Device: "d", Method: method})
		if err != nil || len(replies) != 1 || string(replies[0].Body) != "here" {
			t.Errorf("%+v, %v", replies, err)
		}
	}
	ask("stay")
	ask("go")
	s.fire(t, e)
	turns := len(s.turns)
	ask("go")
	if got := s.noted(); got != " go" || len(s.turns) != turns {
		t.Errorf("noted %q, and a mere question has written: %v", got, len(s.turns) != turns)
	}
}

// TestAwaitedValues: what fields declare holds of the awaited message too.
func TestAwaitedValues(t *testing.T) {
	asked := 0
	e, s := waitingEngine(t, &asked, "  - {node: listen, with: {event: telemetry, if: \"(msg.values.t ?? 0) > 5\"}, to: {late: end}}\n  - {node: write, with: {text: \"${steps.listen.msg.values.t}\"}}\nfields: {telemetry: {t: number}}\n")
	handle(t, e, telemetry(`{"t":"warm"}`))
	handle(t, e, telemetry(`{"t":7}`))
	s.fire(t, e)
	if got := s.noted(); got != " 7" {
		t.Errorf("noted %q", got)
	}
}

// TestSecondTryGoesOnWithAnswers: a call that was answered is not made again when
// somebody wrote the home meanwhile; the next turn makes its own.
func TestSecondTryGoesOnWithAnswers(t *testing.T) {
	calls := 0
	draw := Define(Spec{Name: "draw", Subject: Device, Writes: true, Outlets: []Outlet{{Name: "drawn"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(ctx context.Context, r *Run) (string, error) {
			n, err := Called(ctx, r, "token", func() (int, error) { calls++; return calls, nil })
			r.Home.Device.Updates = 10*r.Home.Device.Updates + n
			return "drawn", err
		}), nil
	})
	reg, err := NewRegistry([]Factory{draw})
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(sources(head+"steps: [{node: draw}, {node: draw, name: again}, {node: draw, name: third}]\n"), reg, Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	s := newShelf()
	e := New(set, Host{Homes: s, Facts: s, Fresh: s})
	s.faster = 3
	handle(t, e, telemetry(`{}`))
	if calls != 3 || s.device().Updates != 123 {
		t.Errorf("%d calls in four tries, and %d", calls, s.device().Updates)
	}
	handle(t, e, telemetry(`{}`))
	if calls != 6 || s.device().Updates != 123456 {
		t.Errorf("%d calls after a second turn, and %d", calls, s.device().Updates)
	}
}

// TestGoingOnAsksNoWhen: the condition of a step was judged when the run came to
// it; what has changed since does not matter.
func TestGoingOnAsksNoWhen(t *testing.T) {
	asked := 0
	e, s := waitingEngine(t, &asked, "  - {node: listen, when: device.name == \"dev-1\", with: {event: telemetry}, to: {late: end}}\n  - {node: write, with: {text: on}}\nbranches: {x: [{node: write, with: {text: x}}]}\non_error: x\n")
	s.homes[thing].Device.Name = "dev-1 renamed"
	handle(t, e, telemetry(`{"n":3}`))
	s.fire(t, e)
	if got := s.noted(); got != " renamed on" {
		t.Errorf("noted %q", got)
	}

	f := flaky{1, false, ota.Busy}
	c := f.chain(t, "{node: flaky, when: device.online, retry: {backoff: 1m, jitter: 0%}, to: {error: sorry}}")
	m := telemetry(`{}`)
	m.Event = ota.Connected
	r := testRun(c, m)
	defer r.release()
	if err := r.exec(t.Context(), c.Triggers[0].Start); err != nil || r.park == nil {
		t.Fatalf("%v, %+v", err, r.park)
	}
	p, err := r.parked()
	if err != nil {
		t.Fatal(err)
	}
	state, err := readParked(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	again := testRun(c, state.Message)
	defer again.release()
	again.device.Heard = time.Time{} // away by now
	at, err := again.resume(state, false)
	if err == nil {
		err = again.exec(t.Context(), at)
	}
	if err != nil || pathText(again) != "flaky.fine" {
		t.Errorf("error %v, path %q", err, pathText(again))
	}
}

// TestRunIsTheSameOverItsWaits: its id, when it began and how often it came by.
func TestRunIsTheSameOverItsWaits(t *testing.T) {
	asked := 0
	e, s := waitingEngine(t, &asked, "  - {node: write, with: {text: \"${run.id} ${run.started}\"}}\n  - {node: listen, with: {event: telemetry}, to: {late: end}}\n  - {node: write, name: after, with: {text: \"${run.id} ${run.started}\"}}\n")
	before := s.noted()
	s.now = s.now.Add(time.Minute)
	handle(t, e, telemetry(`{"n":3}`))
	s.fire(t, e)
	if got := s.noted(); before == "" || got != before+before {
		t.Errorf("noted %q, then %q", before, got)
	}
}

// TestNounThatIsGone: a run whose package was deleted while it waited is kept for
// people.
func TestNounThatIsGone(t *testing.T) {
	asked := 0
	e, s := waitingEngine(t, &asked, heard)
	h := s.homes[thing].Clone()
	run, err := readParked(h.Parked[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	r := testRun(e.Set().Chain("w"), run.Message)
	r.Package = &ota.Package{ID: "gone"}
	if r.nouns().Package != "gone" {
		t.Error("the run does not say which package it has")
	}
	r.Facts = s
	err = r.recall(t.Context(), &parkedRun{Step: "listen", nounsOf: r.nouns()})
	if ota.CodeOf(err) != ota.Internal || !strings.Contains(err.Error(), "the package that the run is about is gone") {
		t.Errorf("error %v", err)
	}
}
