package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestCancelRollout(t *testing.T) {
	begun := ota.Message{Event: ota.RolloutStarted, Rollout: rollout}
	stop := `chain: x
summary: Ends at once.
trigger: rollout
steps: [{node: cancel_rollout, with: {reason: not today}}]
`
	facts(t, []fact{
		{"cancels", nil, stop, begun, []string{"cancel_rollout"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "state", w.rollout().State, ota.RolloutCancelled)
			same(t, "reason", w.rollout().Reason, "not today")
			same(t, "open", w.rollout().Open(), false)
		}},
		{"is over already", func(w *world) { w.rollout().State = ota.RolloutReplaced }, stop, begun, []string{"cancel_rollout error"}, nil, ota.Conflict, nil},
	})
}
