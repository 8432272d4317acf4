package engine

import (
	"context"

	"github.com/windlass-ota/windlass/ota"
)

// Band says with which of the stages of x that say who comes first the run's
// device comes, counted in the order of the plan: the first whose condition
// holds for it, or how many such stages there are where none does. The run's
// Package is what x carries. The conditions are those of the revision by which x
// is conducted, with the args that x was born with.
//
// An error is Busy where that revision cannot be read now, and Internal where it
// is gone or a condition met a value that it was not made for.
func (r *Run) Band(ctx context.Context, x *ota.Rollout) (int, error) {
	n := x.Bands()
	if n == 0 {
		return 0, nil
	}
	return Called(ctx, r, "band in "+string(x.ID), func() (int, error) {
		if r.house == nil {
			return n, nil
		}
		c, err := r.house.conductor(ctx, x)
		if err != nil {
			return 0, err
		}
		about := c.newRun(ota.Message{Event: ota.Assigned, Tenant: x.Tenant, Device: r.Device().ID, Kind: x.Kind}, r.Now)
		defer about.release()
		about.ctx, about.Facts, about.house = ctx, r.Facts, r.house
		about.device, about.profile, about.Package = r.Device(), r.Profile(), r.Package
		about.withArgs(x.Args)
		return about.band(x)
	})
}

// band is [Run.Band] for a run of the conductor that is about a device.
func (r *Run) band(x *ota.Rollout) (n int, err error) {
	for i := range x.Plan {
		s := &x.Plan[i]
		if s.Where == "" {
			continue
		}
		first := r.chain.first(s.Name)
		if first == nil {
			return 0, ota.Errorf(ota.Internal, "stage "+s.Name, "revision %s of chain %s does not say who comes first with it", r.chain.Digest, r.chain.Name)
		}
		holds, err := first.Eval(r)
		if err != nil || holds {
			return n, err
		}
		n++
	}
	return n, nil
}

// first is the condition by which devices come first with a stage, or nil.
func (c *Chain) first(stage string) *Cond {
	for i := range c.steps {
		if s := &c.steps[i]; s.stage != nil && s.name == stage {
			return chooses(s.stage)
		}
	}
	return nil
}

// conductor is the chain by which a rollout is conducted.
func (e *Engine) conductor(ctx context.Context, x *ota.Rollout) (*Chain, error) {
	if x.Revision != "" {
		return e.revision(ctx, x.Chain, x.Revision)
	}
	c, _ := e.Set().Conductor(x.Chain)
	if c == nil {
		return nil, ota.Errorf(ota.Internal, "conductor of "+string(x.ID), "there is no chain %s", x.Chain)
	}
	return c, nil
}
