package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

const failsOnBattery = head + `
fields: {telemetry: {battery: number}}
vars: {low: 20}
steps:
  - {node: settle}
  - {node: filter, with: {if: '(device.telemetry.battery ?? 0) > vars.low'}}
  - {node: boom, with: {code: internal}}
`

// changing is a shelf whose device has values.
type changing struct {
	*shelf
	battery string
}

func (c *changing) Values(_ context.Context, _ ota.Ref, s ota.Scope, keys []string) ([]ota.Value, error) {
	if s == ota.TelemetryScope && (keys == nil || slices.Contains(keys, "battery")) && c.battery != "" {
		return []ota.Value{{Scope: s, Key: "battery", JSON: []byte(c.battery)}}, nil
	}
	return nil, nil
}

func changingEngine(t *testing.T, texts ...string) (*Engine, *changing) {
	t.Helper()
	s := &changing{newShelf(), "35"}
	return New(testSet(t, Options{}, texts...), Host{Homes: s, Facts: s, Fresh: s}), s
}

// TestReplayOfLetter: what failed is run again through a changed chain on what
// it read then, and nothing comes of it.
func TestReplayOfLetter(t *testing.T) {
	e, s := changingEngine(t, failsOnBattery)
	if _, err := e.Handle(t.Context(), telemetry(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	dead := s.last().Dead
	if dead == nil {
		t.Fatal("there is no dead letter")
	}
	x, err := RecordedLetter(*dead)
	if err != nil || x.Seen == nil || hopsText(x.Path) != "settle.settled filter.passed boom.error" || x.Seen.Home.Device.Name != "dev-1" {
		t.Fatalf("%+v, %v", x, err)
	}
	s.battery, s.device().Name = "1", "renamed"
	turns := len(s.turns)
	mended := testSet(t, Options{}, strings.Replace(failsOnBattery, "{node: boom, with: {code: internal}}", `{node: move, with: {state: "${(device.telemetry.battery ?? 0) > 30 and device.name == 'dev-1' ? 'UPDATED' : 'FAILED'}"}}`, 1)).Chain("x")
	r, err := Replay(t.Context(), x, mended, s, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if hopsText(r.Path) != "settle.settled filter.passed move.moved" || r.End != RunEnded || len(r.Notes) != 0 || !slices.Contains(r.Said, "device.firmware.update.state: QUEUED → UPDATED") {
		t.Errorf("%+v, path %s", r, hopsText(r.Path))
	}
	if len(r.Steps) != 3 || fmt.Sprint(r.Steps[1].Vars["vars.low"]) != "20" {
		t.Errorf("%+v", r.Steps)
	}
	if len(s.turns) != turns || s.device().Firmware.Update.State != ota.Queued {
		t.Error("the replay had an effect")
	}
}

// TestReplayReadsToday: what the run did not read then is read today, and that
// is told.
func TestReplayReadsToday(t *testing.T) {
	e, s := changingEngine(t, withTail(failing("telemetry", "internal")))
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
		t.Fatal(err)
	}
	x, err := RecordedLetter(*s.last().Dead)
	if err != nil {
		t.Fatal(err)
	}
	s.battery = "5"
	c := testSet(t, Options{}, failsOnBattery).Chain("x")
	r, err := Replay(t.Context(), x, c, s, s.now)
	if err != nil || hopsText(r.Path) != "settle.settled filter.rejected" || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "battery of the telemetry values were not read then") {
		t.Errorf("%+v, %v", r, err)
	}
	x.Seen = nil
	r, err = Replay(t.Context(), x, c, s, s.now)
	if err != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "on those of today") {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Replay(t.Context(), x, testSet(t, Options{}, head+"steps: [{node: settle}]\n").Chain("x"), s, s.now)
	if err != nil || r.End != RunEnded {
		t.Errorf("%+v, %v", r, err)
	}
	x.Home = ota.RefOf("main", "gone")
	if _, err := Replay(t.Context(), x, c, s, s.now); ota.CodeOf(err) != ota.NotFound {
		t.Errorf("its device is gone: %v", err)
	}
}

// TestCalled: a replay takes the answers of then.
func TestCalled(t *testing.T) {
	answer, calls := "first", 0
	ask := Define(Spec{Name: "ask", Subject: Device, Writes: true, Outlets: []Outlet{{Name: "first"}, {Name: "second"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(ctx context.Context, r *Run) (string, error) {
			return Called(ctx, r, "the way", func() (string, error) { calls++; return answer, nil })
		}), nil
	})
	fails := Define(Spec{Name: "fails", Outlets: []Outlet{{Name: "fine"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(context.Context, *Run) (string, error) { return "", fmt.Errorf("no") }), nil
	})
	reg, err := NewRegistry([]Factory{ask, fails})
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(sources(head+"steps: [{node: ask, to: {second: end}}, {node: fails}]\n"), reg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	e := New(set, Host{Homes: s, Facts: s, Fresh: s})
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
		t.Fatal(err)
	}
	x, err := RecordedLetter(*s.last().Dead)
	if err != nil {
		t.Fatal(err)
	}
	answer = "second"
	r, err := Replay(t.Context(), x, set.Chain("x"), s, s.now)
	if err != nil || calls != 1 || hopsText(r.Path) != "ask.first fails.error" || r.End != RunKept {
		t.Errorf("%d calls, %+v, %v", calls, r, err)
	}
	x.Seen.Calls = nil
	r, err = Replay(t.Context(), x, set.Chain("x"), s, s.now)
	if err != nil || calls != 2 || hopsText(r.Path) != "ask.second" || len(r.Notes) != 1 {
		t.Errorf("%d calls, %+v, %v", calls, r, err)
	}
}

// TestEvidenceIsBounded: what is too much is left out, and that is told.
func TestEvidenceIsBounded(t *testing.T) {
	e, s := changingEngine(t, failsOnBattery)
	s.battery = "35" + strings.Repeat(" ", maxKept)
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
		t.Fatal(err)
	}
	dead := s.last().Dead
	x, err := RecordedLetter(*dead)
	if err != nil || x.Seen != nil || x.Lost == "" || len(x.Path) != 3 || len(dead.Seen) > 1000 {
		t.Errorf("%d bytes, %+v, %v", len(dead.Seen), x, err)
	}
	dead.Seen = []byte("no flate")
	if _, err := RecordedLetter(*dead); err == nil {
		t.Error("rubbish was read")
	}
	dead.Seen = nil
	if x, err := RecordedLetter(*dead); err != nil || x.Path != nil || x.Seen != nil {
		t.Errorf("an old letter: %+v, %v", x, err)
	}
}

func FuzzEvidence(f *testing.F) {
	f.Add([]byte("{}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = readEvidence(b)
	})
}

// TestTap: a tap keeps what it was asked for, masked, and comes off.
func TestTap(t *testing.T) {
	secret := Options{Secrets: map[string]string{"key": `s3"cret`, "short": "x"}}
	chain := head + "vars: {n: 1}\nsteps: [{node: settle}, {node: set, with: {n: \"${vars.n + 1}\"}}, {node: boom, with: {when: \"${msg.values.fails}\", code: invalid}}, {node: say, with: {text: 's3\"cret ${vars.n}'}}]\n"
	s := newShelf()
	e := New(testSet(t, secret, chain, answeringElse), Host{Homes: s, Facts: s, Fresh: s})
	now := testTime
	e.taps.now = func() time.Time { return now }
	run := func(fails int) {
		t.Helper()
		if _, err := e.Handle(t.Context(), telemetry(fmt.Sprintf(`{"fails":%d}`, fails))); (err != nil) != (fails > 0) {
			t.Fatal(err)
		}
	}
	for what, x := range map[string]Tap{"there is no chain": {Chain: "z", Failures: true}, "has no step": {Chain: "x", Step: "z", Failures: true}, "15m at most": {Chain: "x"}, "over already": {Chain: "x", Until: now}} {
		if _, err := e.Tap(x); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, x := range []Tap{{Chain: "x", Failures: true}, {Chain: "x", Step: "set", Until: now.Add(time.Minute)}, {Chain: "q", Failures: true}} {
		if _, err := e.Tap(x); err != nil {
			t.Fatal(err)
		}
	}
	run(0)
	run(1)
	failed, err := e.Tapped(t.Context(), "x", "", 0)
	if err != nil || len(failed) != 1 || failed[0].Num != 1 || failed[0].End != RunFailed || len(failed[0].Steps) != 3 || failed[0].Seen == nil {
		t.Fatalf("%+v, %v", failed, err)
	}
	all, err := e.Tapped(t.Context(), "x", "set", 0)
	if err != nil || len(all) != 2 || all[1].ID != failed[0].ID || fmt.Sprint(all[0].Steps[1].Set["vars.n"]) != "2" {
		t.Fatalf("%+v, %v", all, err)
	}
	if said := all[0].Steps[3].Wants; len(said) != 1 || said[0] != "reply body secret:key 2" {
		t.Errorf("%q", said)
	}
	x, err := e.Recorded(failed[0].ID[:10])
	if err != nil || x.Source != "tap" || len(x.Steps) != 3 || x.Seen == nil {
		t.Errorf("%+v, %v", x, err)
	}
	if n := len(e.Taps()); n != 3 {
		t.Errorf("%d taps", n)
	}
	now = now.Add(time.Minute)
	if _, err := e.Tapped(t.Context(), "x", "set", 0); ota.CodeOf(err) != ota.NotFound || len(e.Taps()) != 2 {
		t.Errorf("it has not come off: %v", err)
	}
	for _, chain := range []string{"x", "q"} {
		if err := e.Untap(chain, ""); err != nil {
			t.Error(err)
		}
	}
	if err := e.Untap("x", ""); ota.CodeOf(err) != ota.NotFound || e.taps.on.Load() != nil {
		t.Errorf("%v", err)
	}
	x, err = e.Recorded(failed[0].ID)
	if err != nil || x.Source != "recorder" || x.Seen != nil {
		t.Errorf("%+v, %v", x, err)
	}
}

const answeringElse = "chain: q\nsummary: A test.\ntrigger: attributes_requested\nsteps: [{node: say, with: {text: fine}}]\n"

// TestTapIsBounded: a tap keeps the latest, and never more than it may.
func TestTapIsBounded(t *testing.T) {
	e, s := changingEngine(t, withTail(mended("telemetry")))
	if _, err := e.Tap(Tap{Chain: "x", Until: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	long := `{"a":"` + strings.Repeat("z", 40<<10) + `"}`
	for range 60 {
		s.now = s.now.Add(time.Second)
		if _, err := e.Handle(t.Context(), telemetry(long)); err != nil {
			t.Fatal(err)
		}
	}
	x := e.Taps()[0]
	if x.Bytes > tapBytes || x.Runs == 0 || x.Runs+int(x.Dropped) != 60 || x.Last != 60 {
		t.Errorf("%+v", x)
	}
	r, err := e.Recorded(s.lastRun(e))
	if err != nil || string(r.Message.Values) != long {
		t.Errorf("%d bytes, %v", len(r.Message.Values), err)
	}
	if err := e.Untap("x", ""); err != nil {
		t.Fatal(err)
	}
	r, err = e.Recorded(s.lastRun(e))
	if err != nil || r.Lost == "" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Replay(t.Context(), r, e.Set().Chain("x"), s, s.now); err == nil {
		t.Error("a run without its message was replayed")
	}
}

func (c *changing) lastRun(e *Engine) string { return e.Runs(RunQuery{Limit: 1})[0].ID }

// TestTapWaits: whoever reads a tap hears of a run when it comes, and of the end.
func TestTapWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := changingEngine(t, withTail(mended("telemetry")))
		if _, err := e.Tap(Tap{Chain: "x", Until: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		got := make(chan int)
		read := func(ctx context.Context, after uint64) {
			go func() {
				runs, err := e.Tapped(ctx, "x", "", after)
				if err != nil {
					t.Error(err)
				}
				got <- len(runs)
			}()
			synctest.Wait()
		}
		read(t.Context(), 0)
		if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
			t.Fatal(err)
		}
		if n := <-got; n != 1 {
			t.Errorf("%d runs", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		read(ctx, 1)
		if n := <-got; n != 0 {
			t.Errorf("%d runs", n)
		}
		read(t.Context(), 1)
		if n := <-got; n != 0 { // the minute is over
			t.Errorf("%d runs", n)
		}
		if len(e.Taps()) != 0 || e.taps.on.Load() != nil {
			t.Error("it has not come off by itself")
		}
	})
}

// TestTapOfCalled: a chain that others call is tapped where they call it.
func TestTapOfCalled(t *testing.T) {
	e, _ := changingEngine(t, branching, inner)
	for _, x := range []Tap{{Chain: "inner", Failures: true}, {Chain: "inner", Step: "filter", Until: time.Now().Add(time.Minute)}} {
		if _, err := e.Tap(x); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Handle(t.Context(), telemetry(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	runs, err := e.Tapped(t.Context(), "inner", "filter", 0)
	if err != nil || len(runs) != 1 || runs[0].Chain != "x" || runs[0].Steps[1].Step != "call/filter" || e.Taps()[0].Runs != 0 {
		t.Errorf("%+v, %v", runs, err)
	}
}

// TestEvidenceIsMasked: neither a secret nor a token lies in a dead letter.
func TestEvidenceIsMasked(t *testing.T) {
	s := newShelf()
	s.device().Credentials.Token, s.device().Zone = "tok-en", "s3cret"
	chain := withTail(failing("telemetry", "internal"))
	e := New(testSet(t, Options{Secrets: map[string]string{"key": "s3cret", "went": "it went wrong"}}, chain), Host{Homes: s, Facts: s, Fresh: s})
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
		t.Fatal(err)
	}
	dead := s.last().Dead
	x, err := RecordedLetter(*dead)
	if err != nil || x.Seen.Home.Device.Credentials.Token != "" || x.Seen.Home.Device.Zone != "secret:key" || !strings.Contains(dead.Reason, "secret:went") || strings.Contains(dead.Reason, "it went wrong") {
		t.Errorf("%+v, %q, %v", x.Seen.Home.Device, dead.Reason, err)
	}
	if s.device().Credentials.Token != "tok-en" {
		t.Error("the device's own token is gone")
	}
}
