package engine

import (
	"context"
	"fmt"

	"github.com/windlass-ota/windlass/ota"
)

// alone is how a chain that others call is run by itself, for a scheduled event
// that names it.
type alone struct {
	start int32
	why   string // why it cannot be, or ""
}

// scheduled carries out what an operator has scheduled: by the chain that hears
// it, or by the one that a custom event names. Its home is the message's, and
// where that names none one for all events of that name.
func (e *Engine) scheduled(ctx context.Context, m ota.Message) error {
	if m.Plan == nil {
		return ota.Errorf(ota.Invalid, "carry out a schedule", "the message does not say what is scheduled")
	}
	if m.Home == (ota.Ref{}) {
		m.Home = ota.RefOfInlet(m.Tenant, "scheduled."+ota.IDOf(m.Plan.Name))
		if err := e.homeOfDoor(ctx, m.Home); err != nil {
			return err
		}
	}
	_, err := e.move(ctx, m, m.Home, e.planned)
	return err
}

// planned is the job of a scheduled event.
func (e *Engine) planned(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
	p := m.Plan
	if p == nil {
		return job{msg: m}.breaks(ota.Errorf(ota.Internal, "carry out a schedule", "the message does not say what is scheduled")), nil
	}
	if p.Chain == "" {
		chain, trig, err := e.answer(ctx, facts, h, m)
		return heardOf(job{msg: m, chain: chain, trig: trig}), err
	}
	c := e.Set().Chain(p.Chain)
	if err := c.CanRunAlone(p.Args); err != nil {
		return job{msg: m, only: p.Chain}.breaks(ota.Errorf(ota.Internal, "carry out schedule "+p.Name, "chain %s: %w", p.Chain, err)), nil
	}
	return job{msg: m, chain: c, trig: &Trigger{Event: ota.Scheduled, Start: c.alone.start}, only: c.Name, args: p.Args}, nil
}

// CanRunAlone says why the chain cannot carry out a scheduled event that names
// it, with those args: it is not one that others call, it is about a device or
// another noun, or its params do not fit. c may be nil.
func (c *Chain) CanRunAlone(args map[string]string) error {
	switch {
	case c == nil:
		return ota.Errorf(ota.NotFound, "run chain", "there is no such chain")
	case c.alone == nil:
		return ota.Errorf(ota.Invalid, "run chain", "a schedule can name a chain with the trigger call alone")
	case c.alone.why != "":
		return ota.Errorf(ota.Invalid, "run chain", "it cannot be run for a schedule: %s", c.alone.why)
	}
	if err := c.CheckArgs(args); err != nil {
		return err
	}
	for _, name := range sortedKeys(c.params) {
		if _, given := args[name]; !given && !c.params[name].decl.given {
			return ota.Errorf(ota.Invalid, "run chain", "param %s has neither a value nor a default", name)
		}
	}
	return nil
}

// checkAlone looks whether a chain that others call could be run for a scheduled
// event, which brings nothing: that is no fault of the chain.
func (b *builder) checkAlone(g *roads, start int32) {
	mine := b.faults
	b.faults = &faultList{}
	b.checkSteps(g, g.solve(start, nil), start, triggerDoc{event: ota.Scheduled})
	b.c.alone = &alone{start: start}
	for _, f := range b.faults.all.sorted() {
		if !f.Warning {
			b.c.alone.why = fmt.Sprintf("line %d: %s", f.Line, f.Message)
			break
		}
	}
	b.faults = mine
}
