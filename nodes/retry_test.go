package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
)

func looping(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: update_finished\nvars: {n: 0}\nsteps:\n  - {node: set, with: {n: \"${vars.n + 1}\"}}\n" +
		"  - {node: retry, with: {" + with + "}, to: {again: set, exhausted: end}}\n"
}

func TestRetry(t *testing.T) {
	facts(t, []fact{
		{"waits first", nil, looping("jitter: 0%"), finished, []string{"set done"}, nil, "", func(t *testing.T, _ *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{At: start.Add(5 * time.Second), Outlet: "again"})
		}},
		{"jitter goes either way", nil, looping("backoff: 10m, jitter: 50%"), finished, []string{"set done"}, nil, "", func(t *testing.T, _ *world, tr engine.Trial) {
			if d := tr.Waits.At.Sub(start); d < 5*time.Minute || d > 15*time.Minute || d == 10*time.Minute {
				t.Errorf("waits %s", d)
			}
		}},
		{"without a wait it goes round at once, and ends", nil, looping("backoff: 0s, attempts: 2"), finished,
			[]string{"set done", "retry again", "set done", "retry again", "set done", "retry exhausted"}, nil, "", nil},
		{"no attempts", nil, looping("attempts: 0"), finished, []string{"set done", "retry exhausted"}, nil, "", nil},
	})
}

func TestRetrySettings(t *testing.T) {
	refused(t, looping, []refusal{
		{"attempts: -1", "attempts is -1, want 0 to 1000"},
		{"factor: 0.5", "factor is 0.5, want 1 to 100"},
		{"tries: 3", "retry has no setting tries"},
	})
}
