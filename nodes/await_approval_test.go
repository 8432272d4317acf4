package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestAwaitApproval(t *testing.T) {
	begun := ota.Message{Event: ota.RolloutStarted, Rollout: rollout}
	ask := `chain: x
summary: Asks and waits.
trigger: rollout
steps:
  - {node: await_approval, name: ask, with: {timeout: 2d}, to: {denied: end, timed_out: end}}
  - {node: log, with: {message: "${steps.ask.by} ${steps.ask.remark}"}}
`
	asked := func(state ota.ApprovalState, until time.Duration) func(w *world) {
		return func(w *world) {
			w.rollout().Asked = &ota.Asked{ID: "a1", Step: "ask", State: state, Until: start.Add(until), By: "ann"}
		}
	}
	facts(t, []fact{
		{"opens one and waits", nil, ask, begun, nil, nil, "", func(t *testing.T, w *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{At: start.Add(48 * time.Hour), Again: true})
			same(t, "asks", w.rollout().Asked.State, ota.ApprovalOpen)
		}},
		{"open still", asked(ota.ApprovalOpen, time.Hour), ask, begun, nil, nil, "", func(t *testing.T, _ *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{At: start.Add(time.Hour), Again: true})
		}},
		{"approved", asked(ota.ApprovalApproved, time.Hour), ask, begun, []string{"ask approved", "log done"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "asks", w.rollout().Asked, (*ota.Asked)(nil))
		}},
		{"denied", asked(ota.ApprovalDenied, time.Hour), ask, begun, []string{"ask denied"}, nil, "", nil},
		{"nobody has decided", asked(ota.ApprovalOpen, 0), ask, begun, []string{"ask timed_out"}, nil, "", nil},
	})
}
