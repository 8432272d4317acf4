package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// FailUpdateConfig is the "with" of a fail_update step.
type FailUpdateConfig struct {
	Reason  engine.Text `yaml:"reason"`
	Verdict engine.Text `yaml:"verdict"`
}

// The verdicts that fail_update can give.
const (
	verdictFailed = "failed"
	verdictSilent = "silent"
)

// FailUpdate defines fail_update, which ends an update badly.
func FailUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "fail_update",
		Summary: "Ends the open update as FAILED, with a reason.",
		Doc:     "The attributes of the offer stay, as they do on ThingsBoard. Where no update is open it is an error `conflict`.",
		Subject: engine.UpdateSubject,
		Sets:    []engine.Root{engine.RootUpdate, engine.ProofSettled},
		Outlets: []engine.Outlet{{Name: "failed"}},
		Fields: []engine.Field{
			{Key: "reason", Doc: docReason, Required: true},
			{Key: "verdict", Doc: "What a rollout counts it as: `silent` for a device that used up its time-outs without a word.", Enum: []string{verdictFailed, verdictSilent}},
		},
		Writes: true,
		Example: `chain: example
summary: Fails an update at the first silence, without another attempt.
trigger: state_timeout
steps:
  - {node: fail_update, with: {reason: "no word in ${update.state} for ${update.waited}", verdict: silent}}
`,
	}, FailUpdateConfig{Verdict: engine.Lit(verdictFailed)}, func(c FailUpdateConfig) (engine.Node, error) {
		return &failUpdate{c.Reason, c.Verdict}, nil
	})
}

type failUpdate struct{ reason, verdict engine.Text }

func (n *failUpdate) Process(_ context.Context, r *engine.Run) (string, error) {
	reason, err := n.reason.Get(r)
	if err != nil {
		return "", err
	}
	verdict, err := word(r, "verdict", n.verdict, verdictFailed, verdictSilent)
	if err != nil {
		return "", err
	}
	u := r.Update()
	if u == nil || !r.Track(u.Kind).Fail(clip(reason), verdict == verdictSilent, r.Now) {
		return "", ota.Errorf(ota.Conflict, "fail update", "no update is open")
	}
	return "failed", nil
}
