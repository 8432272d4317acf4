package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// PauseRolloutConfig is the "with" of a pause_rollout step.
type PauseRolloutConfig struct {
	Reason engine.Text `yaml:"reason"`
}

// PauseRollout defines pause_rollout, which waits for an operator.
func PauseRollout() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "pause_rollout",
		Summary: "Shuts the rollout's door until an operator resumes it.",
		Doc:     "Devices under way finish. What has failed until then is not judged again.",
		Subject: engine.RolloutSubject,
		Outlets: []engine.Outlet{{Name: "resumed", Doc: "an operator has resumed it"}},
		Fields:  []engine.Field{{Key: "reason", Doc: docReason, Required: true}},
		Outputs: []engine.Output{{Name: "by", Type: engine.TextType, Doc: "who resumed it"}},
		Guard:   true,
		Writes:  true,
		Waits:   true,
		Example: `chain: example
summary: Lets people look at the first twenty devices before it goes on.
trigger: rollout
steps:
  - {node: run_stage, name: first, with: {share: 1%, at_least: 20, max_failures: 1}, to: {failed: look}}
  - {node: pause_rollout, name: look, with: {reason: look at the first devices}}
  - {node: run_stage, name: everyone, with: {share: 100%}, to: {failed: end, timed_out: end}}
`,
	}, PauseRolloutConfig{}, func(c PauseRolloutConfig) (engine.Node, error) { return &pauseRollout{c.Reason}, nil })
}

type pauseRollout struct{ reason engine.Text }

func (n *pauseRollout) Process(_ context.Context, r *engine.Run) (string, error) {
	ro, err := conducted(r, "pause rollout")
	if err != nil {
		return "", err
	}
	if ro.PausedBy == r.Step() && ro.State == ota.RolloutRunning { // it was paused here, and is no more
		ro.PausedBy = ""
		r.Set("by", ro.ResumedBy)
		return "resumed", nil
	}
	if ro.PausedBy != r.Step() {
		reason, err := n.reason.Get(r)
		if err != nil {
			return "", err
		}
		ro.Pause(clip(reason), "chain:"+r.Chain().Name, r.Now)
		ro.PausedBy = r.Step()
	}
	return r.Park(engine.Wait{Again: true})
}
