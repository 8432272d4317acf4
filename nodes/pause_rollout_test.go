package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestPauseRollout(t *testing.T) {
	begun := ota.Message{Event: ota.RolloutStarted, Rollout: rollout}
	pause := `chain: x
summary: Waits for people.
trigger: rollout
steps:
  - {node: pause_rollout, with: {reason: look at it}}
  - {node: log, with: {message: "${steps.pause_rollout.by}"}}
`
	facts(t, []fact{
		{"pauses", nil, pause, begun, nil, nil, "", func(t *testing.T, w *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{Again: true})
			same(t, "state", w.rollout().State, ota.RolloutPaused)
			same(t, "reason", w.rollout().Reason, "look at it")
		}},
		{"goes on when it is resumed", func(w *world) { w.rollout().PausedBy, w.rollout().ResumedBy = "pause_rollout", "ann" }, pause, begun,
			[]string{"pause_rollout resumed", "log done"}, nil, "", nil},
	})
}
