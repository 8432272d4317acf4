package facts

import (
	"context"
	"slices"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Commit implements [ota.Homes]. When it returns nil this process already sees
// what was written; after a Conflict it reads afresh.
func (c *Copies) Commit(ctx context.Context, t *ota.Turn) error {
	err := c.s.Commit(ctx, t)
	if err != nil {
		c.refused(t, ota.CodeOf(err))
		return err
	}
	at, was := c.now(), t.Was
	if was == nil {
		was, _, _ = c.homes.get(t.Home.Ref, at)
	}
	if t.Raise {
		c.raised(t, at)
	}
	for _, h := range t.Also {
		c.homes.replace(stripeOf(h.Ref.ID), h.Ref, h.Clone(), at, newer(h))
		c.renamed(nil, h)
	}
	if t.Delete {
		c.forget(t.Home.Ref)
		c.renamed(was, nil)
		c.renamed(t.Home, nil)
	} else {
		kept := t.Home
		if !t.Final {
			kept = kept.Clone()
		}
		c.homes.replace(stripeOf(t.Home.Ref.ID), t.Home.Ref, kept, at, newer(t.Home))
		c.renamed(was, t.Home)
	}
	for i, v := range t.Values {
		if i == 0 || v.Scope != t.Values[i-1].Scope {
			c.dropValues(t.Home.Ref, v.Scope)
		}
	}
	c.others(t)
	return nil
}

// newer says whether a home comes after another one.
func newer(h *ota.Home) func(*ota.Home) bool {
	return func(old *ota.Home) bool { return h.Version > old.Version }
}

// refused drops what may have misled the turn. When it is not known whether the
// turn was written, all that it says is in doubt.
func (c *Copies) refused(t *ota.Turn, code ota.Code) {
	if code == ota.Invalid || t.Home == nil {
		return
	}
	c.Drop(t.Home.Ref)
	for _, h := range t.Also {
		c.Drop(h.Ref)
	}
	if t.Revision > 0 || t.Raise {
		c.unsure(t.Home.Ref.Tenant)
	}
	if code != ota.Conflict {
		c.renamed(t.Was, t.Home)
	}
}

// raised learns the revision that this process has made. Others may have made
// the ones between.
func (c *Copies) raised(t *ota.Turn, at time.Duration) {
	for _, h := range t.Also {
		if h.Job != nil && h.Job.Revision > 0 {
			c.revisionOf(h.Ref.Tenant).learn(h.Job.Revision, at, at)
			return
		}
	}
	c.unsure(t.Home.Ref.Tenant)
}

// renamed drops what was known by the names and tokens that a home had, and
// that those which it has were unknown.
func (c *Copies) renamed(was, is *ota.Home) {
	for _, h := range []*ota.Home{was, is} {
		if h == nil {
			continue
		}
		for _, n := range h.Names() {
			if was == nil || is == nil || !slices.Equal(was.Names(), is.Names()) {
				c.names.drop(stripeOf(n), name{h.Ref.Tenant, h.Ref.Type, n})
				c.flights.Forget("n" + string(h.Ref.Tenant) + "\x00" + string(h.Ref.Type) + "\x00" + n)
			}
		}
		if h.Device == nil || was != nil && is != nil && was.Device.Credentials.SameKeys(&is.Device.Credentials) {
			continue
		}
		for _, key := range h.Device.Credentials.Keys() {
			c.tokens.drop(stripeOf(key), key)
			c.unknown.drop(stripeOf(key), key)
			c.flights.Forget("t" + key)
		}
	}
}

// Drop forgets copies of homes that another process has written. A copy that is
// being read at this moment is not kept.
func (c *Copies) Drop(refs ...ota.Ref) {
	for _, r := range refs {
		if h, _, ok := c.homes.get(r, c.now()); ok {
			c.renamed(h, nil)
		}
		c.forget(r)
		if r.Type == ota.ProfileRef || r.Type == ota.GroupRef {
			c.unsure(r.Tenant)
		}
	}
}

// forget drops the home and its values.
func (c *Copies) forget(r ota.Ref) {
	c.homes.drop(stripeOf(r.ID), r)
	c.flights.Forget("h" + string(r.Tenant) + "\x00" + string(r.Type) + "\x00" + r.ID)
	if r.Type == ota.DeviceRef {
		for _, s := range [...]ota.Scope{ota.ClientScope, ota.SharedScope, ota.ServerScope, ota.TelemetryScope} {
			c.dropValues(r, s)
		}
	}
}

func (c *Copies) dropValues(d ota.Ref, s ota.Scope) {
	c.values.drop(stripeOf(d.ID), scoped{d, s})
	c.flights.Forget("v" + string(s) + "\x00" + string(d.Tenant) + "\x00" + d.ID)
}

// others lets those processes know that may have copies: of a tenant's noun all
// of them, of a device those that hold a session of it.
func (c *Copies) others(t *ota.Turn) {
	d := t.Home.Device
	if d == nil {
		refs := make([]ota.Ref, 0, 1+len(t.Also))
		for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
			if h.Job == nil {
				refs = append(refs, h.Ref)
			}
		}
		if len(refs) > 0 {
			c.tell("", refs)
		}
		return
	}
	if t.Delete {
		c.tell("", []ota.Ref{t.Home.Ref})
		return
	}
	for i, s := range d.Sessions {
		if s.ID.Process != c.process && (i == 0 || s.ID.Process != d.Sessions[i-1].ID.Process) {
			c.tell(s.ID.Process, []ota.Ref{t.Home.Ref})
		}
	}
}
