package nodes

import (
	"context"
	"errors"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// AwaitApprovalConfig is the "with" of an await_approval step.
type AwaitApprovalConfig struct {
	Note      engine.Text     `yaml:"note"`
	By        engine.Text     `yaml:"by"`
	Approvals engine.Int      `yaml:"approvals"`
	Timeout   engine.Duration `yaml:"timeout"`
}

// Validate refuses what nobody could answer.
func (c AwaitApprovalConfig) Validate() error {
	return errors.Join(engine.Within("approvals", c.Approvals, 1, 100), engine.Within("timeout", c.Timeout, time.Second, 10*365*24*time.Hour))
}

// AwaitApproval defines await_approval, which waits for the answer to an approval.
func AwaitApproval() engine.Factory {
	d := openApprovalDefaults()
	return engine.Define(engine.Spec{
		Name:    "await_approval",
		Summary: "Waits for the answer to the open approval, or opens one.",
		Doc:     "`note`, `by` and `approvals` are those of an approval that is opened here; where open_approval has opened one they do not matter.",
		Subject: engine.RolloutSubject,
		Outlets: []engine.Outlet{
			{Name: "approved", Doc: "enough have approved"},
			{Name: "denied", Doc: "one has denied"},
			{Name: "timed_out", Doc: "not decided in time; the approval has expired"},
		},
		Fields: append(approvalFields(), engine.Field{Key: "timeout", Doc: "How long to wait."}),
		Outputs: []engine.Output{
			{Name: "by", Type: engine.TextType, Doc: "who decided it"},
			{Name: "remark", Type: engine.TextType, Doc: "what they said"},
		},
		Guard:  true,
		Writes: true,
		Waits:  true,
		Example: `chain: example
summary: Starts when two people have said yes.
trigger: rollout
steps:
  - {node: await_approval, with: {note: "May it go out?", approvals: 2, timeout: 3d}, to: {denied: no, timed_out: no}}
  - {node: run_stage, name: everyone, with: {share: 100%}, to: {timed_out: end}}
branches:
  no: [{node: cancel_rollout, with: {reason: nobody wanted it}}]
`,
	}, AwaitApprovalConfig{By: d.By, Approvals: d.Approvals, Timeout: engine.Lit(7 * 24 * time.Hour)}, func(c AwaitApprovalConfig) (engine.Node, error) {
		return &awaitApproval{c}, nil
	})
}

type awaitApproval struct{ AwaitApprovalConfig }

func (n *awaitApproval) Process(ctx context.Context, r *engine.Run) (string, error) {
	ro, err := conducted(r, "await approval")
	if err != nil {
		return "", err
	}
	if ro.Asked == nil {
		if _, err := openFor(r, OpenApprovalConfig{n.Note, n.By, n.Approvals}); err != nil {
			return "", err
		}
	}
	a := ro.Asked
	if a.Until.IsZero() {
		timeout, err := n.Timeout.Get(r)
		if err != nil {
			return "", err
		}
		a.Until = r.Now.Add(timeout)
	}
	var outlet string
	switch {
	case a.State == ota.ApprovalApproved:
		outlet = "approved"
	case a.State == ota.ApprovalDenied:
		outlet = "denied"
	case !a.Until.After(r.Now):
		outlet = "timed_out"
		if err := expire(ctx, r, a.ID); err != nil {
			return "", err
		}
	default:
		return r.Park(engine.Wait{At: a.Until, Again: true})
	}
	r.Set("by", a.By)
	r.Set("remark", a.Remark)
	ro.Asked = nil
	return outlet, nil
}

// expire closes an approval that nobody has decided.
func expire(ctx context.Context, r *engine.Run, id string) error {
	h, err := r.Facts.Get(ctx, ota.Ref{Tenant: r.Msg.Tenant, Type: ota.ApprovalRef, ID: id})
	if ota.CodeOf(err) == ota.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	is := h.Clone()
	is.Approval.State, is.Approval.Decided = ota.ApprovalExpired, r.Now
	r.Also(false, is)
	return nil
}
