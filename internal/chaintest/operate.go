package chaintest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// operateAct is what an operator does besides.
type operateAct struct {
	DeadLetters string     `yaml:"dead_letters"`
	Quarantine  versionDoc `yaml:"quarantine"`
	Release     versionDoc `yaml:"release"`
	Reason      string     `yaml:"reason"`
	As          string     `yaml:"as"`

	Pause    string `yaml:"pause"` // a stage, or whatever names the rollout for people
	Resume   string `yaml:"resume"`
	Promote  string `yaml:"promote"`
	Cancel   string `yaml:"cancel"`
	Retry    string `yaml:"retry"`
	Rollback string `yaml:"rollback"`
	Approve  string `yaml:"approve"` // a step
	Deny     string `yaml:"deny"`
	Withdraw string `yaml:"withdraw"`
	Remark   string `yaml:"remark"`
}

func (o *operateAct) read(rd *reader, n *yamlx.Node) {
	type plain operateAct
	rd.into(valueOf((*plain)(o)), n, "operate")
	if d := n.Get("dead_letters"); d != nil && o.DeadLetters != "retry" && o.DeadLetters != "drop" {
		rd.fault(d, ruleBadWord, "dead_letters is %q, want retry or drop", o.DeadLetters)
	}
}

func (o *operateAct) do(p *player, _ *yamlx.Node) error {
	w := p.w
	if err := w.operate(o); err != nil {
		return err
	}
	if o.DeadLetters != "" {
		if err := w.letters(o.DeadLetters == "retry"); err != nil {
			return err
		}
	}
	for _, q := range []struct {
		v      versionDoc
		reason string
	}{{o.Quarantine, o.Reason}, {o.Release, ""}} {
		if q.v.Title == "" {
			continue
		}
		ref, err := w.st.Find(w.ctx, tenant, ota.PackageRef, q.v.String())
		if err != nil {
			return err
		}
		h, err := w.st.Load(w.ctx, ref)
		if err != nil {
			return err
		}
		h.Package.Quarantine = q.reason
		if err := w.write(h); err != nil {
			return err
		}
	}
	return w.settle()
}

// operate does what an operator does with the rollout that was begun last, and
// with what it asks for.
func (w *world) operate(o *operateAct) error {
	as := o.As
	if as == "" {
		as = "an operator"
	}
	for _, x := range []struct{ what, stage string }{
		{ota.OperatePause, o.Pause}, {ota.OperateResume, o.Resume}, {ota.OperatePromote, o.Promote}, {ota.OperateCancel, o.Cancel},
		{ota.OperateRetry, o.Retry}, {ota.OperateRollback, o.Rollback},
	} {
		if x.stage == "" {
			continue
		}
		r := w.lastRollout()
		if r == nil {
			return fmt.Errorf("there is no rollout to %s", x.what)
		}
		if x.what == ota.OperatePromote && x.stage != r.Stage {
			return fmt.Errorf("the rollout is in stage %s, not in %s", r.Stage, x.stage)
		}
		if _, err := w.wish.Operate(w.ctx, ota.Ref{Tenant: tenant, Type: ota.RolloutRef, ID: string(r.ID)}, x.what, as, o.Reason); err != nil {
			return err
		}
	}
	for _, x := range []struct {
		step              string
		approve, withdraw bool
	}{{o.Approve, true, false}, {o.Deny, false, false}, {o.Withdraw, false, true}} {
		if x.step == "" {
			continue
		}
		a := w.approval(x.step)
		if a == nil {
			return fmt.Errorf("no step %s asks for an approval", x.step)
		}
		ref := ota.Ref{Tenant: tenant, Type: ota.ApprovalRef, ID: a.ID}
		if _, err := w.wish.Answer(w.ctx, ref, ota.Vote{By: as, Approve: x.approve, Remark: o.Remark}, x.withdraw); err != nil {
			return err
		}
	}
	return nil
}

// lastRollout is the one that was begun last, or nil.
func (w *world) lastRollout() (r *ota.Rollout) {
	for _, h := range w.st.all() {
		if h.Rollout != nil {
			r = h.Rollout
		}
	}
	return r
}

// approval is the last one that a step has asked for, or nil.
func (w *world) approval(step string) (a *ota.Approval) {
	for _, h := range w.st.all() {
		if h.Approval != nil && h.Approval.Step == step {
			a = h.Approval
		}
	}
	return a
}

// letters retries or drops all dead letters.
func (w *world) letters(retry bool) error {
	all, err := w.st.DeadLetters(w.ctx, tenant, 1<<20)
	if err != nil {
		return err
	}
	slices.Reverse(all)
	for _, l := range all {
		var err error
		if retry {
			_, err = w.eng.Retry(w.ctx, l)
		} else {
			err = w.st.DropLetter(w.ctx, tenant, l.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answerAct answers in the place of a step.
type answerAct struct {
	Chain   string      `yaml:"chain"`
	Step    string      `yaml:"step,must"`
	Outlet  string      `yaml:"outlet"`
	Values  *yamlx.Node `yaml:"values"`
	Error   string      `yaml:"error"`
	Message string      `yaml:"message"`
	Times   *int        `yaml:"times"`
}

func (a *answerAct) read(rd *reader, n *yamlx.Node) {
	type plain answerAct
	rd.into(valueOf((*plain)(a)), n, "answer")
	if (a.Outlet == "") == (a.Error == "") && n.Kind == yamlx.Map {
		rd.fault(n, ruleMissing, "answer needs an outlet, or an error")
	}
	if e := n.Get("error"); e != nil && !slices.Contains(codes, a.Error) {
		rd.fault(e, ruleBadWord, "error is %q, want one of %s", a.Error, strings.Join(codes, ", "))
	}
}

var codes = []string{string(ota.Invalid), string(ota.NotFound), string(ota.Conflict), string(ota.Busy), string(ota.Internal)}

func (a *answerAct) do(p *player, at *yamlx.Node) error {
	chain := a.Chain
	if chain == "" {
		chain = p.w.last.chain
	}
	if err := p.w.loads.hasOutlet(chain, a.Step, a.Outlet); err != nil {
		return err
	}
	m := &mock{outlet: a.Outlet, code: ota.Code(a.Error), message: a.Message, left: -1}
	if a.Times != nil {
		m.left = *a.Times
	}
	if a.Values != nil {
		m.values, _ = a.Values.Value().(map[string]any)
	}
	p.w.mocks.set(stepKey{chain, a.Step}, m)
	return nil
}
