package facts

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Now implements [ota.Homes]: the store's clock.
func (c *Copies) Now() time.Time { return c.s.Now() }

// Get implements [ota.Facts].
func (c *Copies) Get(ctx context.Context, r ota.Ref) (*ota.Home, error) {
	now := c.now()
	if h, at, ok := c.homes.get(r, now); ok && !c.outdated(r, at) {
		return h, nil
	}
	return load(ctx, c, "h"+string(r.Tenant)+"\x00"+string(r.Type)+"\x00"+r.ID, func(ctx context.Context) (*ota.Home, error) {
		stripe, at := stripeOf(r.ID), c.now()
		drops := c.homes.drops(stripe)
		h, err := c.s.Get(ctx, r)
		if err != nil {
			return nil, err
		}
		c.homes.put(stripe, r, h, at, drops)
		return h, nil
	})
}

// Load implements [ota.Homes]: the home is a copy of the copy, the caller's to
// change. It may be as old as a copy may be; then the commit is a Conflict, and
// the next Load reads afresh.
func (c *Copies) Load(ctx context.Context, r ota.Ref) (*ota.Home, error) {
	h, err := c.Get(ctx, r)
	if err != nil {
		return nil, err
	}
	return h.Clone(), nil
}

// ByKey implements [ota.Facts]. A key is believed while there is a copy of
// its device that has it, so that dropping the device is enough. That a key is
// unknown is believed for a second, so that guessing does not reach the store.
func (c *Copies) ByKey(ctx context.Context, key string) (ota.Ref, error) {
	now := c.now()
	if r, _, ok := c.tokens.get(key, now); ok {
		if h, _, ok := c.homes.get(r, now); ok && h.Device != nil && h.Device.Credentials.Has(key) {
			return r, nil
		}
	}
	if _, _, ok := c.unknown.get(key, now); ok {
		return ota.Ref{}, ota.Errorf(ota.NotFound, "find device", "the key is unknown")
	}
	return load(ctx, c, "t"+key, func(ctx context.Context) (ota.Ref, error) {
		stripe, at := stripeOf(key), c.now()
		drops, gone := c.tokens.drops(stripe), c.unknown.drops(stripe)
		r, err := c.s.ByKey(ctx, key)
		if err == nil {
			err = c.carries(ctx, r, key)
		}
		switch {
		case err == nil:
			c.tokens.put(stripe, key, r, at, drops)
		case ota.CodeOf(err) == ota.NotFound:
			c.unknown.put(stripe, key, struct{}{}, at, gone)
		}
		return r, err
	})
}

// carries says whether the device has the key, NotFound where it has another
// one by now. The caller will ask for the device next, and then it is here.
func (c *Copies) carries(ctx context.Context, r ota.Ref, key string) error {
	for range 2 {
		h, err := c.Get(ctx, r)
		if err != nil {
			return err
		}
		if h.Device != nil && h.Device.Credentials.Has(key) {
			return nil
		}
		c.forget(r) // the copy may be older than the key
	}
	return ota.Errorf(ota.NotFound, "find device", "the key is another one's")
}

// Find implements [ota.Facts].
func (c *Copies) Find(ctx context.Context, t ota.TenantID, typ ota.RefType, text string) (ota.Ref, error) {
	key := name{t, typ, text}
	if r, _, ok := c.names.get(key, c.now()); ok {
		return r, nil
	}
	return load(ctx, c, "n"+string(t)+"\x00"+string(typ)+"\x00"+text, func(ctx context.Context) (ota.Ref, error) {
		stripe, at := stripeOf(text), c.now()
		drops := c.names.drops(stripe)
		r, err := c.s.Find(ctx, t, typ, text)
		if err == nil {
			c.names.put(stripe, key, r, at, drops)
		}
		return r, err
	})
}

// Values implements [ota.Facts]. The whole scope is kept, whatever the keys.
func (c *Copies) Values(ctx context.Context, d ota.Ref, s ota.Scope, keys []string) ([]ota.Value, error) {
	key := scoped{d, s}
	all, _, ok := c.values.get(key, c.now())
	if !ok {
		var err error
		all, err = load(ctx, c, "v"+string(s)+"\x00"+string(d.Tenant)+"\x00"+d.ID, func(ctx context.Context) ([]ota.Value, error) {
			stripe, at := stripeOf(d.ID), c.now()
			drops := c.values.drops(stripe)
			vs, err := c.s.Values(ctx, d, s, nil)
			if err == nil {
				c.values.put(stripe, key, vs, at, drops)
			}
			return vs, err
		})
		if err != nil {
			return nil, err
		}
	}
	if keys == nil {
		return slices.Clip(all), nil
	}
	out := make([]ota.Value, 0, len(keys))
	for i, k := range keys {
		if slices.Contains(keys[:i], k) {
			continue
		}
		at, found := slices.BinarySearchFunc(all, k, func(v ota.Value, k string) int { return strings.Compare(v.Key, k) })
		if found {
			out = append(out, all[at])
		}
	}
	slices.SortFunc(out, func(a, b ota.Value) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// List implements [ota.Lister], afresh.
func (c *Copies) List(ctx context.Context, q ota.Query) (ota.Page, error) { return c.s.List(ctx, q) }

// Counts implements [ota.Lister], afresh.
func (c *Copies) Counts(ctx context.Context, t ota.TenantID, k ota.Kind, r ota.RolloutID) (map[ota.State]int64, error) {
	return c.s.Counts(ctx, t, k, r)
}

// Ahead implements [ota.Lister], afresh.
func (c *Copies) Ahead(ctx context.Context, t ota.TenantID, r ota.RolloutID, mark float64) (int, error) {
	return c.s.Ahead(ctx, t, r, mark)
}

// References implements [ota.Lister], afresh.
func (c *Copies) References(ctx context.Context, t ota.TenantID, p ota.PackageID) (string, error) {
	return c.s.References(ctx, t, p)
}

// DeadLetters implements [ota.Lister], afresh.
func (c *Copies) DeadLetters(ctx context.Context, t ota.TenantID, limit int) ([]ota.DeadLetter, error) {
	return c.s.DeadLetters(ctx, t, limit)
}
