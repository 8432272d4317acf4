package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// branching takes a way by its message.
const branching = head + `
steps:
  - {node: call, with: {chain: inner}, to: {odd: away}}
  - {node: settle, when: msg.values.a == 1}
  - {node: boom, with: {when: "${msg.values.fails ?? 0}", code: invalid}, to: {error: mend}}
branches:
  away: [{node: settle}]
  mend: [{node: settle}, {node: boom, name: again, with: {when: "${msg.values.fails == 2 ? 1 : 0}", code: internal}}]
`

const inner = "chain: inner\nsummary: A test.\ntrigger: call\noutlets: [done, odd]\n" +
	"steps: [{node: filter, with: {if: msg.values.a != 3}, to: {rejected: out}}, {node: return}]\nbranches:\n  out: [{node: return, with: {outlet: odd}}]\n"

func hopsText(hops []Hop) string {
	var out []string
	for _, h := range hops {
		out = append(out, strings.TrimSuffix(h.Step+"."+h.Outlet, "."))
	}
	return strings.Join(out, " ")
}

// TestRecorder: every run is in the ring with its way and its end.
func TestRecorder(t *testing.T) {
	tests := []struct {
		name, chain, values string
		path                string
		end                 Ending
		step                string
	}{
		{"plain", branching, `{"a":1}`, "call/filter.passed settle.settled boom.fine", RunEnded, ""},
		{"skipped", branching, `{"a":2}`, "call/filter.passed settle boom.fine", RunEnded, ""},
		{"another outlet", branching, `{"a":3}`, "call/filter.rejected away.settle.settled", RunEnded, ""},
		{"error road", branching, `{"a":1,"fails":1}`, "call/filter.passed settle.settled boom.error mend.settle.settled again.fine", RunEnded, ""},
		{"dead", branching, `{"a":1,"fails":2}`, "call/filter.passed settle.settled boom.error mend.settle.settled again.error", RunKept, "again"},
		{"refused", withTail(failing("telemetry", "invalid")), `{}`, "boom.error", RunFailed, "boom"},
		{"busy", withTail(failing("telemetry", "busy")), `{}`, "boom.error", RunFailed, "boom"},
		{"waits", head + "steps: [{node: settle}, {node: wait, with: {for: 1h}}]\n", `{}`, "settle.settled", RunWaits, "wait"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			s := newShelf()
			e := testEngine(t, s, x.chain, inner)
			_, err := e.Handle(t.Context(), telemetry(x.values))
			if x.end == RunFailed != (err != nil) {
				t.Fatal(err)
			}
			runs := e.Runs(RunQuery{Home: thing, Limit: 10})
			if len(runs) != 1 {
				t.Fatalf("%d runs", len(runs))
			}
			r := runs[0]
			if hopsText(r.Path) != x.path || r.End != x.end || r.Step != x.step || r.Chain != "x" || r.Digest == "" || r.Event != ota.Telemetry || r.Home != thing {
				t.Errorf("%+v, path %s, want %s", r, hopsText(r.Path), x.path)
			}
			if x.end == RunKept && (r.Letter != s.last().Dead.ID || r.Code != ota.Internal || r.Error == "") {
				t.Errorf("%+v", r)
			}
			if x.end == RunWaits && !r.Until.Equal(testTime.Add(time.Hour)) {
				t.Errorf("until %s", r.Until)
			}
			again, m, kept, ok := e.Run(r.ID[:12])
			if !ok || !kept || again.ID != r.ID || string(m.Values) != x.values {
				t.Errorf("%+v %+v %t %t", again, m, kept, ok)
			}
		})
	}
}

// TestRecorderRing: the ring holds the last runs, and what asks pushes nothing
// out that has moved.
func TestRecorderRing(t *testing.T) {
	set := testSet(t, Options{}, branching, inner, asking)
	e := New(set, Host{Homes: newShelf(), Runs: 8})
	put := func(moves bool, n int) {
		r := set.Chain(map[bool]string{true: "x", false: "q"}[moves]).newRun(telemetry(fmt.Sprintf(`{"n":%d}`, n)), testTime.Add(time.Duration(n)*time.Second))
		defer r.release()
		if moves {
			r.id, r.Home = ota.NewTurnID(), &ota.Home{}
		}
		e.records.note(r, thing, outcome{end: RunEnded})
	}
	for n := range 20 {
		put(true, n)
	}
	for n := range 100 {
		put(false, 20+n)
	}
	runs := e.Runs(RunQuery{Limit: 100})
	moved := 0
	for _, r := range runs {
		if !r.Asked {
			moved++
		}
		if got, m, _, ok := e.Run(r.ID[:12]); !ok || got.ID != r.ID || !strings.Contains(string(m.Values), "n") {
			t.Errorf("%s cannot be found: %+v", r.ID, got)
		}
	}
	if len(runs) != 10 || moved != 8 || !runs[0].Asked || !runs[2].Started.Equal(testTime.Add(19*time.Second)) {
		t.Errorf("%d runs, %d of them moved: %+v", len(runs), moved, runs)
	}
	if n := len(e.Runs(RunQuery{Chain: "q", Limit: 1})); n != 1 {
		t.Errorf("%d runs of q", n)
	}
	if _, _, _, ok := e.Run("0"); ok {
		t.Error("half an id finds a run")
	}
}

// TestRecorderTogether: many runs at once, and people who look.
func TestRecorderTogether(t *testing.T) {
	set := testSet(t, Options{}, branching, inner)
	e := New(set, Host{Homes: newShelf(), Runs: 4})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				r := set.Chain("x").newRun(telemetry(fmt.Sprintf(`{"n":%d}`, i)), testTime)
				r.Home = &ota.Home{}
				e.records.note(r, thing, outcome{end: RunEnded})
				r.release()
			}
		})
		wg.Go(func() {
			for range 50 {
				for _, r := range e.Runs(RunQuery{Limit: 4}) {
					e.Run(r.ID)
				}
			}
		})
	}
	wg.Wait()
}

// TestPackedPath: the path in an update's history is short, and reads as what
// was run.
func TestPackedPath(t *testing.T) {
	for _, values := range []string{`{"a":1}`, `{"a":2}`, `{"a":3}`, `{"a":1,"fails":1}`, `{"a":1,"fails":2}`} {
		c := testSet(t, Options{}, branching, inner).Chain("x")
		r := testRun(c, telemetry(values))
		r.exec(t.Context(), c.Triggers[0].Start) //nolint:errcheck // some of them fail
		p := PackedPath(c.packPath(r.path))
		hops, cut := c.Unpack(p)
		if hopsText(hops) != pathText(r) || cut || len(p) > 20 || p.Digest() != c.Digest[:16] {
			t.Errorf("%s: %d bytes of %s are %s, cut %t, want %s", values, len(p), p.Digest(), hopsText(hops), cut, pathText(r))
		}
	}
}

func TestPackedPathOfALoop(t *testing.T) {
	c := testSet(t, Options{}, head+"steps: [{node: settle}, {node: guard, to: {again: settle, enough: end}}]\n").Chain("x")
	r := testRun(c, telemetry(`{}`))
	r.exec(t.Context(), c.Triggers[0].Start) //nolint:errcheck // it is over the limit
	p := c.packPath(r.path)
	hops, cut := c.Unpack(PackedPath(p))
	if len(p) > maxPacked || !cut || len(hops) < 90 || hops[89] != (Hop{"guard", "again"}) {
		t.Errorf("%d bytes, %d hops, cut %t", len(p), len(hops), cut)
	}
}

func FuzzUnpack(f *testing.F) {
	c := testSet(f, Options{}, branching, inner).Chain("x")
	f.Add("12345678\x00\x00\x01\xff\xfd\x00\x01\xfc")
	f.Fuzz(func(t *testing.T, p string) {
		if hops, _ := c.Unpack(PackedPath(p)); len(hops) > len(p) {
			t.Errorf("%d hops in %d bytes", len(hops), len(p))
		}
	})
}

// TestChronicle: what a run adds to an update's history says by which way.
func TestChronicle(t *testing.T) {
	s := newShelf()
	s.now = testTime.Add(time.Minute)
	offer := Define(Spec{Name: "offer", Subject: Device, Writes: true, Outlets: []Outlet{{Name: "offered"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			return "offered", r.Track(ota.Firmware).Initiate(time.Hour, r.Now)
		}), nil
	})
	reg, err := NewRegistry([]Factory{offer})
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(sources(head+"steps: [{node: offer}]\n"), reg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := New(set, Host{Homes: s, Facts: s, Fresh: s})
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
		t.Fatal(err)
	}
	h := s.device().Firmware.Update.History
	if len(h) != 2 || h[0].Path != "" || h[1].State != ota.Initiated {
		t.Fatalf("%+v", h)
	}
	hops, _ := set.Chain("x").Unpack(PackedPath(h[1].Path))
	if hopsText(hops) != "offer.offered" {
		t.Errorf("%q is %v", h[1].Path, hops)
	}
}

// TestTrace: who looks on sees every step with what it saw and set.
func TestTrace(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, head+`
vars: {n: 1}
steps:
  - {node: set, with: {n: "${vars.n + 1}"}}
  - {node: move, with: {state: UPDATED}}
  - {node: say, with: {text: "${vars.n}"}}
  - {node: settle, when: vars.n == 3}
  - {node: boom}
`)
	var got []*Trace
	e.looker = func(x *Trace) { got = append(got, x) }
	s.faster = 1 // the first try is no run
	if _, err := e.Handle(t.Context(), telemetry(`{"a":1}`)); ota.CodeOf(err) != ota.Busy {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("%d traces", len(got))
	}
	x := got[0]
	if x.End != RunFailed || x.Code != ota.Busy || x.Step != "boom" || string(x.Message.Values) != `{"a":1}` || len(x.Steps) != 5 || x.ID == "" {
		t.Fatalf("%+v", x)
	}
	if y := x.Steps[0]; y.Step != "set" || y.Vars["vars.n"] != 1 || y.Set["vars.n"] != 2 || y.Outlet != "done" {
		t.Errorf("%+v", y)
	}
	if y := x.Steps[1]; y.Vars["vars.n"] != 2 || y.Set["was"] != "QUEUED" || y.Outlet != "moved" {
		t.Errorf("%+v", y)
	}
	if y := x.Steps[2]; len(y.Wants) != 1 || y.Wants[0] != "reply body 2" {
		t.Errorf("%+v", y)
	}
	if y := x.Steps[3]; y.Outlet != "" || y.Error != "" {
		t.Errorf("%+v", y)
	}
	if y := x.Steps[4]; y.Outlet != "error" || y.Error == "" || y.Wants != nil {
		t.Errorf("%+v", y)
	}
	if x.Seen == nil || x.Seen.Home.Device.Name != "dev-1" || len(x.Seen.Homes) != 1 {
		t.Errorf("%+v", x.Seen)
	}
}

// TestRecorderOfResumed: the turns of a run that waited are one run, and the last
// of them is shown.
func TestRecorderOfResumed(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, head+"steps: [{node: settle}, {node: wait, with: {for: 1h}}, {node: settle, name: later, when: msg.values.a == 2}]\n")
	if _, err := e.Handle(t.Context(), telemetry(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Hour)
	if _, err := e.Handle(t.Context(), ota.Message{Event: ota.Due, Tenant: "main", Home: thing, Key: "r:1"}); err != nil {
		t.Fatal(err)
	}
	runs := e.Runs(RunQuery{Limit: 10})
	if len(runs) != 2 || !runs[0].Resumed || runs[1].Resumed || hopsText(runs[0].Path) != "wait.over later" || runs[1].End != RunWaits {
		t.Fatalf("%+v", runs)
	}
	x, err := e.Recorded(runs[0].ID)
	if err != nil || !x.Resumed || x.End != RunEnded {
		t.Errorf("%+v, %v", x, err)
	}
	r, err := Replay(t.Context(), x, e.Set().Chain("x"), s, s.now)
	if err != nil || hopsText(r.Path) != "settle.settled" || r.End != RunWaits || r.Step != "wait" || r.Steps[1].Outlet != "waits" || len(r.Notes) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}
