package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestRollbackRollout(t *testing.T) {
	begun := ota.Message{Event: ota.RolloutStarted, Rollout: rollout}
	facts(t, []fact{
		{"nothing before it", nil, `chain: x
summary: Goes back.
trigger: rollout
steps: [{node: rollback_rollout, to: {absent: end}}]
`, begun, []string{"rollback_rollout absent"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "state", w.rollout().State, ota.RolloutRunning)
		}},
	})
}
