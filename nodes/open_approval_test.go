package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestOpenApproval(t *testing.T) {
	begun := ota.Message{Event: ota.RolloutStarted, Rollout: rollout}
	facts(t, []fact{
		{"asks, and goes on", nil, `chain: x
summary: Asks.
trigger: rollout
steps:
  - {node: open_approval, name: ask, with: {note: "may ${rollout.package.title} go out?", by: webhook, approvals: 2}}
  - {node: log, with: {message: "${steps.ask.approve_url} ${steps.ask.deny_url}"}}
`, begun, []string{"ask opened", "log done"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			a := w.rollout().Asked
			if a == nil || a.Step != "ask" || a.State != ota.ApprovalOpen || a.ID == "" {
				t.Errorf("the rollout asks for %+v", a)
			}
		}},
	})
}
