package nodes

import (
	"context"
	"errors"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// OpenApprovalConfig is the "with" of an open_approval step.
type OpenApprovalConfig struct {
	Note      engine.Text `yaml:"note"`
	By        engine.Text `yaml:"by"`
	Approvals engine.Int  `yaml:"approvals"`
}

func openApprovalDefaults() OpenApprovalConfig {
	return OpenApprovalConfig{By: engine.Lit(ota.ByOperator), Approvals: engine.Lit(1)}
}

// Validate refuses what nobody could answer.
func (c OpenApprovalConfig) Validate() error { return engine.Within("approvals", c.Approvals, 1, 100) }

func approvalFields() []engine.Field {
	return []engine.Field{
		{Key: "note", Doc: "What is asked, for people."},
		{Key: "by", Doc: "Who may answer: people (`operator`), or whoever has one of the links too (`webhook`).", Enum: []string{ota.ByOperator, ota.ByWebhook}},
		{Key: "approvals", Doc: "How many must approve. Above 1, who has made the assignment does not count."},
	}
}

// OpenApproval defines open_approval, which asks without waiting.
func OpenApproval(links engine.Linker) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "open_approval",
		Summary: "Asks for an approval, and goes on at once: await_approval waits for the answer.",
		Doc: "An approval is about one file and one target; it is answered by people, or once by its links. " +
			"One denial denies. A rollout asks for one thing at a time: another approval takes the place of one that is open.",
		Subject: engine.RolloutSubject,
		Outlets: []engine.Outlet{{Name: "opened"}},
		Fields:  approvalFields(),
		Outputs: []engine.Output{
			{Name: "id", Type: engine.TextType, Doc: "the approval's id"},
			{Name: "approve_url", Type: engine.TextType, Doc: "whoever POSTs to it approves; empty where `by` is not `webhook`"},
			{Name: "deny_url", Type: engine.TextType, Doc: "whoever POSTs to it denies"},
		},
		Writes: true,
		Example: `chain: example
summary: Starts when the change board says yes.
trigger: rollout
steps:
  - {node: open_approval, name: ask, with: {note: "${rollout.package.title} ${rollout.package.version}", by: webhook}}
  - {node: log, with: {message: "approve at ${steps.ask.approve_url}"}}
  - {node: await_approval, with: {timeout: 2d}, to: {denied: no, timed_out: no}}
  - {node: run_stage, name: everyone, with: {share: 100%}, to: {timed_out: end}}
branches:
  no: [{node: cancel_rollout, with: {reason: the change board did not approve}}]
`,
	}, openApprovalDefaults(), func(c OpenApprovalConfig) (engine.Node, error) { return &openApproval{c, links}, nil })
}

type openApproval struct {
	OpenApprovalConfig
	links engine.Linker
}

func (n *openApproval) Process(_ context.Context, r *engine.Run) (string, error) {
	a, err := openFor(r, n.OpenApprovalConfig)
	if err != nil {
		return "", err
	}
	r.Set("id", a.ID)
	approve, deny := "", ""
	if a.By == ota.ByWebhook && r.Wanted("approve_url") || r.Wanted("deny_url") {
		if n.links == nil {
			return "", ota.Errorf(ota.Internal, "open approval", "no links can be made here")
		}
		var errs [2]error
		approve, errs[0] = n.links.Answer(a.Tenant, a.ID, true)
		deny, errs[1] = n.links.Answer(a.Tenant, a.ID, false)
		if err := errors.Join(errs[:]...); err != nil {
			return "", err
		}
	}
	r.Set("approve_url", approve)
	r.Set("deny_url", deny)
	return "opened", nil
}

// openFor opens an approval by settings.
func openFor(r *engine.Run, c OpenApprovalConfig) (*ota.Approval, error) {
	ro, err := conducted(r, "open approval")
	if err != nil {
		return nil, err
	}
	note, err := c.Note.Get(r)
	if err != nil {
		return nil, err
	}
	by, err := word(r, "by", c.By, ota.ByOperator, ota.ByWebhook)
	if err != nil {
		return nil, err
	}
	needs, err := c.Approvals.Get(r)
	if err != nil {
		return nil, err
	}
	if err := engine.Between("approvals", needs, 1, 100); err != nil {
		return nil, err
	}
	h := ro.OpenApproval(r.Package, r.Step(), clip(note), by, needs, r.Now)
	r.Also(false, h)
	return h.Approval, nil
}
