package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CancelRolloutConfig is the "with" of a cancel_rollout step.
type CancelRolloutConfig struct {
	Reason engine.Text `yaml:"reason"`
}

// CancelRollout defines cancel_rollout, which ends a rollout.
func CancelRollout() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "cancel_rollout",
		Summary: "Ends the rollout: devices that wait leave the queue, those under way finish.",
		Doc:     "The assignment stays what it is, and is offered to nobody any more; assigning the package again begins another rollout.",
		Subject: engine.RolloutSubject,
		Fields:  []engine.Field{{Key: "reason", Doc: docReason, Required: true}},
		Writes:  true,
		Example: `chain: example
summary: Tries ten devices, and goes no further where one of them fails.
trigger: rollout
steps:
  - {node: run_stage, name: ten, with: {share: 0%, at_least: 10, max_failures: 1}, to: {failed: stop}}
  - {node: run_stage, name: everyone, with: {share: 100%}, to: {timed_out: end}}
branches:
  stop: [{node: cancel_rollout, with: {reason: "${rollout.reason}"}}]
`,
	}, CancelRolloutConfig{}, func(c CancelRolloutConfig) (engine.Node, error) { return &cancelRollout{c.Reason}, nil })
}

type cancelRollout struct{ reason engine.Text }

func (n *cancelRollout) Process(_ context.Context, r *engine.Run) (string, error) {
	if _, err := conducted(r, "cancel rollout"); err != nil {
		return "", err
	}
	reason, err := n.reason.Get(r)
	if err != nil {
		return "", err
	}
	t := &ota.Turn{Home: r.Home}
	ota.CancelRollout(t, clip(reason), "chain:"+r.Chain().Name, r.Now)
	r.Also(t.Raise, t.Also...)
	for _, o := range t.Out {
		r.Send(o.To, o.Message)
	}
	return "", nil
}
