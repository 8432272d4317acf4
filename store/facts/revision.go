package facts

import (
	"context"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// revision is what is known of how often a tenant's targets have changed. A
// profile or group that was read before the present number was known may be
// older than it, and counts as dropped: so whoever asks for the revision first
// and reads then has read nothing older.
type revision struct {
	mu    sync.RWMutex
	n     int64
	at    time.Duration // when reading it began
	known time.Duration // since when it is this one
	old   bool          // to be read again
}

// Revision implements [ota.Facts]. Whoever decides by it asks for it before
// reading what it decides by.
func (c *Copies) Revision(ctx context.Context, t ota.TenantID) (int64, error) {
	r := c.revisionOf(t)
	r.mu.RLock()
	n, fresh := r.n, r.n > 0 && !r.old && c.now()-r.at < c.age
	r.mu.RUnlock()
	if fresh {
		return n, nil
	}
	return load(ctx, c, "r"+string(t), func(ctx context.Context) (int64, error) {
		at := c.now()
		r.mu.Lock()
		r.old = false // said again while we read, it is read again
		r.mu.Unlock()
		n, err := c.s.Revision(ctx, t)
		if err != nil {
			return 0, err
		}
		return r.learn(n, at, c.now()), nil
	})
}

// learn takes a revision that was read between two times, and returns the
// highest known.
func (r *revision) learn(n int64, began, ended time.Duration) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.n {
		r.n, r.known = n, ended
	}
	if n == r.n {
		r.at = max(r.at, began)
	}
	return r.n
}

func (c *Copies) revisionOf(t ota.TenantID) *revision {
	c.mu.RLock()
	r := c.revisions[t]
	c.mu.RUnlock()
	if r != nil {
		return r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r = c.revisions[t]; r == nil {
		r = &revision{}
		c.revisions[t] = r
	}
	return r
}

// unsure makes the next Revision ask the store.
func (c *Copies) unsure(t ota.TenantID) {
	r := c.revisionOf(t)
	r.mu.Lock()
	r.old = true
	r.mu.Unlock()
	c.flights.Forget("r" + string(t))
}

// outdated says whether a copy, read from at on, may be older than the revision.
func (c *Copies) outdated(ref ota.Ref, at time.Duration) bool {
	if ref.Type != ota.ProfileRef && ref.Type != ota.GroupRef {
		return false
	}
	r := c.revisionOf(ref.Tenant)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return at < r.known
}
