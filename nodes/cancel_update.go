package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CancelUpdateConfig is the "with" of a cancel_update step.
type CancelUpdateConfig struct {
	Kind   engine.Kind `yaml:"kind"`
	Reason engine.Text `yaml:"reason"`
}

// CancelUpdate defines cancel_update, which closes an update without a verdict.
func CancelUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "cancel_update",
		Summary: "Closes the open update without a verdict; its place in the line and its time-outs go with it.",
		Doc:     "What the device has been told stays until clear_offer takes it away or another offer comes.",
		Subject: engine.Device,
		Sets:    []engine.Root{engine.ProofSettled},
		Outlets: []engine.Outlet{
			{Name: "cancelled"},
			{Name: "absent", Doc: "no update is open"},
		},
		Fields: []engine.Field{
			{Key: "kind", Doc: docKind},
			{Key: "reason", Doc: docReason, Required: true},
		},
		Writes: true,
		Example: `chain: example
summary: Withdraws what a device was offered when nothing is assigned to it any more.
trigger: unassigned
steps:
  - {node: cancel_update, with: {reason: unassigned}, to: {absent: next}}
  - node: clear_offer
`,
	}, CancelUpdateConfig{}, func(c CancelUpdateConfig) (engine.Node, error) { return &cancelUpdate{c.Kind, c.Reason}, nil })
}

type cancelUpdate struct {
	kind   engine.Kind
	reason engine.Text
}

func (n *cancelUpdate) Process(_ context.Context, r *engine.Run) (string, error) {
	k, err := kindOf(r, n.kind)
	if err != nil {
		return "", err
	}
	reason, err := n.reason.Get(r)
	if err != nil {
		return "", err
	}
	t := r.Track(k)
	if !t.Cancel() {
		return "absent", nil
	}
	u := t.Update
	u.History = append(u.History, ota.Step{At: r.Now, State: u.State, Note: ota.ClosedCancelled + ": " + clip(reason)})
	return "cancelled", nil
}
