package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// RollbackRolloutConfig is the "with" of a rollback_rollout step.
type RollbackRolloutConfig struct {
	Chain  engine.Text `yaml:"chain"`
	Reason engine.Text `yaml:"reason"`
}

// RollbackRollout defines rollback_rollout, which goes back to the package before.
func RollbackRollout(w engine.Wisher) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "rollback_rollout",
		Summary: "Assigns to the rollout's target what it was assigned before, as a new rollout.",
		Doc:     "This rollout is replaced by that, whose updates have the cause `rollback`.",
		Subject: engine.RolloutSubject,
		Outlets: []engine.Outlet{
			{Name: "assigned"},
			{Name: "absent", Doc: "the target was assigned nothing before, or that package cannot be assigned any more"},
		},
		Fields: []engine.Field{
			{Key: "chain", Doc: "The chain that conducts the way back; left out, the one configured."},
			{Key: "reason", Doc: docReason},
		},
		Outputs: []engine.Output{{Name: "rollout", Type: engine.TextType, Doc: "the id of the new rollout; empty where there is none"}},
		Writes:  true,
		Example: `chain: example
summary: Goes back where one device in fifty fails.
trigger: rollout
steps:
  - {node: run_stage, name: everyone, with: {share: 100%, max_failed: 2%, max_in_flight: 100}, to: {failed: back}}
branches:
  back:
    - {node: rollback_rollout, with: {reason: "${rollout.reason}"}, to: {absent: stop}}
  stop: [{node: cancel_rollout, with: {reason: it failed and there is nothing to go back to}}]
`,
	}, RollbackRolloutConfig{}, func(c RollbackRolloutConfig) (engine.Node, error) {
		return &rollbackRollout{c, w}, nil
	})
}

type rollbackRollout struct {
	RollbackRolloutConfig
	wishes engine.Wisher
}

func (n *rollbackRollout) Process(ctx context.Context, r *engine.Run) (string, error) {
	ro, err := conducted(r, "roll back rollout")
	if err != nil {
		return "", err
	}
	chain, err := n.Chain.Get(r)
	if err != nil {
		return "", err
	}
	reason, err := n.Reason.Get(r)
	if err != nil {
		return "", err
	}
	done, err := engine.Called(ctx, r, "roll back", func() (ota.WishDone, error) {
		return n.wishes.Rollback(ctx, r.Home.Ref, chain, "chain:"+r.Chain().Name, reason, ro.ID)
	})
	switch ota.CodeOf(err) {
	case "":
	case ota.Invalid, ota.NotFound:
		r.Set("rollout", "")
		return "absent", nil
	default:
		return "", err
	}
	r.Set("rollout", string(done.Rollout))
	ro.End(ota.RolloutReplaced, clip(reason), "chain:"+r.Chain().Name, r.Now)
	return "assigned", nil
}
