package chaintest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// scheduleAct is what an operator schedules: it is carried out at a time, or
// after one has gone by. One whose time is over is carried out at once, and late.
type scheduleAct struct {
	Name    string        `yaml:"name"`
	Type    string        `yaml:"type"`
	Target  *targetDoc    `yaml:"target"`
	Package *versionDoc   `yaml:"package"`
	Scope   string        `yaml:"scope"`
	Values  *yamlx.Node   `yaml:"values"`
	Method  string        `yaml:"method"`
	Params  *yamlx.Node   `yaml:"params"`
	Chain   string        `yaml:"chain"` // of a custom event
	Args    textsDoc      `yaml:"args"`
	At      *time.Time    `yaml:"at"`
	In      time.Duration `yaml:"in"`
}

// plan is a scheduled event that is to come.
type plan struct {
	at time.Time // when it is carried out
	m  ota.Message
}

func (s *scheduleAct) read(rd *reader, n *yamlx.Node) {
	type plain scheduleAct
	rd.into(valueOf((*plain)(s)), n, "schedule")
	if n.Kind != yamlx.Map {
		return
	}
	t := n.Get("type")
	switch {
	case t == nil && s.Chain == "":
		rd.fault(n, ruleMissing, "schedule needs the key type, or a chain")
	case t != nil && !slices.Contains(ota.PlannedTypes(), s.Type) && engine.DidYouMean(s.Type, ota.PlannedTypes()) != "":
		rd.fault(t, ruleBadWord, "there is no type %q of scheduled events%s", s.Type, engine.DidYouMean(s.Type, ota.PlannedTypes()))
	case s.At != nil && s.In != 0:
		rd.fault(n, ruleWrongType, "schedule has at and in, want one of them")
	}
}

func (s *scheduleAct) do(p *player, _ *yamlx.Node) error {
	w := p.w
	x := &ota.Planned{Name: s.Name, Type: s.Type, Scope: ota.Scope(s.Scope), Chain: s.Chain, Args: maps.Clone(s.Args)}
	if x.Name == "" {
		x.Name = "a schedule of the test"
	}
	if s.Target != nil {
		x.Target = string(s.Target.typ) + ":" + s.Target.name
	}
	if s.Package != nil {
		x.Package = s.Package.String()
	}
	if s.Chain != "" {
		if err := w.eng.Set().Chain(s.Chain).CanRunAlone(s.Args); err != nil {
			return fmt.Errorf("chain %s: %w", s.Chain, err)
		}
	}
	due := w.st.Now().Add(s.In)
	if s.At != nil {
		due = *s.At
	}
	m := ota.Message{Event: ota.Scheduled, Tenant: tenant, TS: due, Method: s.Method, Plan: x}
	if s.Values != nil {
		m.Values = jsonOf(s.Values)
	}
	if s.Params != nil {
		m.Params = jsonOf(s.Params)
	}
	w.plans = append(w.plans, &plan{due, m})
	w.refused = nil
	return w.settle()
}

// planned takes the first event that is to be carried out by now.
func (w *world) planned(now time.Time) *plan {
	i := slices.IndexFunc(w.plans, func(p *plan) bool { return !p.at.After(now) })
	if i < 0 {
		return nil
	}
	p := w.plans[i]
	w.plans = slices.Delete(w.plans, i, i+1)
	return p
}

func (w *world) carryOut(p *plan) {
	_, w.refused = w.eng.Handle(w.ctx, p.m)
	w.eng.Wait()
	if ota.CodeOf(w.refused) == ota.Busy {
		w.note("scheduled: " + w.refused.Error())
		w.plans = append(w.plans, &plan{w.st.Now().Add(time.Second), p.m})
	}
}
