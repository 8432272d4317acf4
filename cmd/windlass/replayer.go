package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// replayer runs recorded messages through chains that are tried, on nodes that
// have no effects of their own.
type replayer struct {
	chains *chainFolder
	engine *engine.Engine
	facts  ota.Facts // of today
	homes  ota.Homes // for its clock
	reg    *engine.Registry
}

// newReplayer makes one whose nodes are those of d, save that they do nothing.
func newReplayer(s *server, d engine.Deps) (*replayer, error) {
	d.Slots = noSlots{}
	d.Wishes, d.Rates, d.Doors, d.Metrics, d.Logger = noWishes{d.Facts}, noRates{}, noDoors{d.Doors}, nil, nil
	reg, err := newRegistry(d)
	return &replayer{s.chains, s.engine, s.house.store, s.house.facts, reg}, err
}

// Replay implements api.Replayer.
func (r *replayer) Replay(ctx context.Context, x engine.Recorded, file engine.Source) (api.ReplayResult, error) {
	out := api.ReplayResult{}
	given := file.Name // a file that is only tried may be called as it likes
	file.Name = filepath.Join(filepath.Dir(given), file.ChainName()+".yaml")
	set, err := engine.Compile(engine.Overlay(r.chains.inForce(), []engine.Source{file}), r.reg, r.chains.opts)
	if err != nil {
		if out.Faults = engine.FaultsOf(err); out.Faults != nil {
			for i := range out.Faults {
				if f := &out.Faults[i]; f.File == file.Name {
					f.File = given
				}
			}
			return out, nil
		}
		return out, err
	}
	for _, f := range set.Warnings {
		if f.File == file.Name {
			f.File = given
			out.Faults = append(out.Faults, f)
		}
	}
	chain, err := chainFor(set, file.ChainName(), x)
	if err != nil {
		return out, err
	}
	now := r.homes.Now()
	if out.Now, err = engine.Replay(ctx, x, chain, r.facts, now); err != nil {
		return out, err
	}
	if then := r.engine.Revision(ctx, x.Chain, x.Digest); then != nil {
		c, err := engine.CompileRevision(then.Files(), r.reg, r.chains.opts)
		if err != nil {
			return out, nil //nolint:nilerr // it could run then; what is shown of it is less now
		}
		if t, err := engine.Replay(ctx, x, c, r.facts, now); err == nil {
			out.Then = &t
		}
	}
	return out, nil
}

// chainFor is the chain through which a run goes again: the one in the file where
// that hears its event, else the one that ran, which may call the file's.
func chainFor(set *engine.Set, file string, x engine.Recorded) (*engine.Chain, error) {
	hears := func(c *engine.Chain) bool {
		if c == nil {
			return false
		}
		for _, t := range c.Triggers {
			if t.Event == x.Event {
				return true
			}
		}
		return false
	}
	was, in := set.Chain(x.Chain), set.Chain(file)
	switch {
	case hears(in):
		return in, nil
	case in == nil:
		return nil, ota.Errorf(ota.Invalid, "", "chain %s is not enabled", file)
	case hears(was) && calls(was, file):
		return was, nil
	case hears(was):
		return nil, ota.Errorf(ota.Invalid, "", "chain %s neither hears %s nor is called by chain %s, which ran", file, x.Event, x.Chain)
	}
	return nil, ota.Errorf(ota.Invalid, "", "chain %s does not hear %s, which the run was about", file, x.Event)
}

// calls says whether a chain calls another, at any depth.
func calls(c *engine.Chain, other string) bool {
	for _, f := range c.Files() {
		if f.Chain == other {
			return true
		}
	}
	return false
}

// inForce are the texts of the chains as they answer now.
func (s *chainFolder) inForce() []engine.Source {
	set := s.set()
	var out []engine.Source
	for _, name := range set.Names() {
		f := set.Chain(name).Files()[0]
		out = append(out, engine.Source{Name: f.Name, Data: []byte(f.Text)})
	}
	return out
}

// noSlots has room for everybody.
type noSlots struct{}

// TakeSlot implements [ota.Slots].
func (noSlots) TakeSlot(context.Context, ota.SlotKnock) (bool, error) { return true, nil }

// FreeSlot implements [ota.Slots].
func (noSlots) FreeSlot(context.Context, ota.TenantID, string, string) error { return nil }

// noDoors lets everybody in and counts nothing.
type noDoors struct{ ota.Doors }

// Admit implements [ota.Doors].
func (noDoors) Admit(context.Context, ota.Knock) (ota.Answer, error) {
	return ota.Answer{Admitted: true}, nil
}

// Tell implements [ota.Doors].
func (noDoors) Tell(context.Context, ota.Ref, ota.DeviceID, ota.Told) error { return nil }

// noWishes says what an operator's wish would come to, and does nothing.
type noWishes struct{ facts ota.Facts }

// Assign implements engine.Wisher.
func (w noWishes) Assign(context.Context, ota.Wish) (ota.WishDone, error) {
	return ota.WishDone{Changed: true}, nil
}

// Rollback implements engine.Wisher.
func (w noWishes) Rollback(context.Context, ota.Ref, string, string, string, ota.RolloutID) (ota.WishDone, error) {
	return ota.WishDone{Changed: true}, nil
}

// Unassign implements engine.Wisher.
func (w noWishes) Unassign(context.Context, ota.Wish) (ota.WishDone, error) {
	return ota.WishDone{Changed: true}, nil
}

// CreateDevice implements engine.Wisher.
func (w noWishes) CreateDevice(ctx context.Context, t ota.TenantID, name, _ string) (ota.Ref, bool, error) {
	ref, err := w.facts.Find(ctx, t, ota.DeviceRef, name)
	if ota.CodeOf(err) == ota.NotFound {
		err = ota.Errorf(ota.NotFound, "create device", "effects are off: device %q would be created here", name)
	}
	return ref, false, err
}

// noRates lets everybody pass and takes nothing.
type noRates struct{}

// Take implements ota.Rates.
func (noRates) Take(context.Context, ota.TenantID, string, ota.Pace, int) (time.Duration, error) {
	return 0, nil
}
