package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// flaky fails busy this many times, or waits for its context's end.
type flaky struct {
	fails int
	hangs bool
	code  ota.Code
}

func (f *flaky) chain(t *testing.T, step string) *Chain {
	t.Helper()
	node := Define(Spec{Name: "flaky", Outlets: []Outlet{{Name: "fine"}}, Writes: true}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(ctx context.Context, r *Run) (string, error) {
			r.Push(ota.Reply{})
			if f.hangs {
				<-ctx.Done()
				return "", ctx.Err()
			}
			if f.fails--; f.fails >= 0 {
				return "", ota.Errorf(f.code, "flaky", "not now")
			}
			return "fine", nil
		}), nil
	})
	reg, err := NewRegistry([]Factory{node, say()})
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(sources("chain: x\nsummary: A test.\ntrigger: connected\nsteps:\n  - "+step+"\nbranches:\n  sorry: [{node: set, with: {a: \"${error.attempt}\"}}]\nvars: {a: 0}\n"), reg, Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	return set.Chain("x")
}

func TestRetry(t *testing.T) {
	tests := []struct {
		name, step string
		flaky      flaky
		took       time.Duration
		path       string
		code       ota.Code
		parks      time.Duration
	}{
		{"fine at once", "{node: flaky, retry: {attempts: 3}, to: {error: sorry}}", flaky{0, false, ota.Busy}, 0, "flaky.fine", "", 0},
		{"fine at the third", "{node: flaky, retry: {attempts: 3, backoff: 100ms, jitter: 0%}, to: {error: sorry}}", flaky{2, false, ota.Busy}, 300 * time.Millisecond, "flaky.fine", "", 0},
		{"used up", "{node: flaky, retry: {attempts: 2, backoff: 100ms, jitter: 0%}, to: {error: sorry}}", flaky{9, false, ota.Busy}, 100 * time.Millisecond, "flaky.error sorry.set.done", "", 0},
		{"bounded", "{node: flaky, retry: {attempts: 4, backoff: 100ms, factor: 10, max_backoff: 200ms, jitter: 0%}, to: {error: sorry}}", flaky{3, false, ota.Busy}, 500 * time.Millisecond, "flaky.fine", "", 0},
		{"another code is not tried again", "{node: flaky, retry: {attempts: 3}, to: {error: sorry}}", flaky{1, false, ota.Conflict}, 0, "flaky.error sorry.set.done", "", 0},
		{"a timeout is busy", "{node: flaky, timeout: 100ms, to: {error: sorry}}", flaky{0, true, ""}, 100 * time.Millisecond, "flaky.error sorry.set.done", "", 0},
		{"a timeout of each attempt", "{node: flaky, timeout: 100ms, retry: {attempts: 2, backoff: 1s, jitter: 0%}, to: {error: sorry}}", flaky{0, true, ""}, 1200 * time.Millisecond, "flaky.error sorry.set.done", "", 0},
		{"a long wait is parked", "{node: flaky, retry: {backoff: 1m, jitter: 0%}, to: {error: sorry}}", flaky{1, false, ota.Busy}, 0, "", "", time.Minute},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := x.flaky.chain(t, x.step)
				m := telemetry(`{}`)
				m.Event = ota.Connected
				r := testRun(c, m)
				defer r.release()
				began := time.Now()
				err := r.exec(context.Background(), c.Triggers[0].Start)
				if ota.CodeOf(err) != x.code || time.Since(began) != x.took {
					t.Errorf("error %v after %s, want %q after %s", err, time.Since(began), x.code, x.took)
				}
				if got := pathText(r); got != x.path {
					t.Errorf("path %q, want %q", got, x.path)
				}
				if x.parks == 0 != (r.park == nil) {
					t.Fatalf("parks: %+v", r.park)
				}
				if x.parks == 0 {
					if x.path == "flaky.fine" && len(r.wants.pushes) != 1 {
						t.Errorf("%d words are wanted; those of failed attempts are dropped", len(r.wants.pushes))
					}
					return
				}
				p, err := r.parked()
				if err != nil || !p.At.Equal(testTime.Add(x.parks)) {
					t.Fatalf("parked %+v, error %v", p, err)
				}
				state, err := readParked(p.Data)
				if err != nil {
					t.Fatal(err)
				}
				again := testRun(c, state.Message)
				defer again.release()
				at, err := again.resume(state, false)
				if err == nil {
					err = again.exec(context.Background(), at)
				}
				if err != nil || pathText(again) != "flaky.fine" {
					t.Errorf("error %v, path %q", err, pathText(again))
				}
			})
		})
	}
}

func TestRetrySettings(t *testing.T) {
	for _, x := range []struct{ steps, want string }{
		{"{node: say, with: {text: a}, retry: {attempts: 0}}", "x.yaml:4:46: attempts is 0, want 1 to 100 (bad_literal)"},
		{"{node: say, with: {text: a}, retry: {atempts: 2}}", "x.yaml:4:46: retry has no setting atempts; did you mean attempts? (unknown_key)"},
		{"{node: say, with: {text: a}, timeout: soon}", "x.yaml:4:47: timeout is \"soon\", want a duration above 0 (bad_literal)"},
		{"{node: move, retry: {backoff: 5s}}, {node: say, with: {text: b}}", "x.yaml:4:52: say comes behind move, which may wait; whoever asked has been answered by then. Reply first (reply_before_wait)"},
	} {
		_, err := Compile(sources(head+"steps: ["+x.steps+"]\n"), testRegistry(t), Options{})
		if err == nil {
			t.Errorf("%s loads", x.steps)
			continue
		}
		if got := FaultsOf(err)[0].String(); got != x.want {
			t.Errorf("got  %s\nwant %s", got, x.want)
		}
	}
}
