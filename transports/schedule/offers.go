package schedule

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// lane is the offers of one tenant that wait for their moment.
type lane struct {
	tasks   []ota.Task
	working bool // a goroutine draws for it
}

// workOffers hands over offers whose turn has come.
func (r *run) workOffers(ctx context.Context) {
	for ctx.Err() == nil {
		limit := r.c.Batch
		if r.paced() {
			limit = r.ahead()
		}
		var tasks []ota.Task
		if limit > 0 {
			var err error
			if tasks, err = r.d.Owner.Offers(ctx, limit); err != nil && ctx.Err() == nil {
				r.d.Log.Debug("lines cannot be read", "error", err)
			}
		}
		for i, t := range tasks {
			if r.paced() {
				r.join(ctx, t)
			} else if !r.offer(ctx, t) {
				r.giveBack(tasks[i:])
				return
			}
		}
		if len(tasks) > 0 && len(tasks) >= limit && !r.paced() {
			continue
		}
		if !pause(ctx, r.c.Tick, r.offers) {
			return
		}
	}
}

func (r *run) paced() bool { return r.c.Pace.Every > 0 && r.c.Pace.Count > 0 }

// ahead is how many offers may be fetched now: what the pace lets go in two
// ticks, less what waits already. What is fetched early may be out of date when
// its moment comes, and keeps a better place waiting.
func (r *run) ahead() int {
	n := int(2*r.c.Tick*time.Duration(r.c.Pace.Count)/r.c.Pace.Every) + 2
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lanes {
		n -= len(l.tasks)
	}
	return min(n, r.c.Batch)
}

// join puts an offer into its tenant's lane. Tenants do not wait for each other.
func (r *run) join(ctx context.Context, t ota.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tenant := t.Home.Tenant
	l := r.lanes[tenant]
	if l == nil {
		l = &lane{}
		r.lanes[tenant] = l
	}
	l.tasks = append(l.tasks, t)
	if !l.working {
		l.working = true
		r.pool.wg.Go(func() { r.drive(ctx, tenant, l) })
	}
}

// drive draws a moment for each offer of a lane, waits for it, and hands the
// offer over; it ends when the lane is empty.
func (r *run) drive(ctx context.Context, tenant ota.TenantID, l *lane) {
	for {
		r.mu.Lock()
		if len(l.tasks) == 0 {
			delete(r.lanes, tenant)
			r.mu.Unlock()
			wake(r.offers)
			return
		}
		t := l.tasks[0]
		l.tasks = l.tasks[1:]
		few := len(l.tasks) < 2
		r.mu.Unlock()
		if few {
			wake(r.offers)
		}
		if !r.await(ctx, tenant) || !r.offer(ctx, t) {
			r.d.Owner.Done(t)
		}
	}
}

// await waits for the tenant's next moment; false when ctx ends, or when there
// is none to be had.
func (r *run) await(ctx context.Context, tenant ota.TenantID) bool {
	if ctx.Err() != nil {
		return false
	}
	wait, err := r.d.Owner.Draw(ctx, tenant, PaceName, r.c.Pace)
	if err != nil {
		if ctx.Err() == nil {
			r.d.Log.Debug("no moment could be drawn", "pace", PaceName, "error", err)
			pause(ctx, r.c.Backoff, nil)
		}
		return false
	}
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// offer hands an offer over; false where ctx ended first.
func (r *run) offer(ctx context.Context, t ota.Task) bool {
	if !take(ctx, r.slots) {
		return false
	}
	m := ota.Message{Event: ota.OfferDue, Tenant: t.Home.Tenant, Device: ota.DeviceID(t.Home.ID), Kind: t.Kind, Began: &t.Origin}
	if t.Origin.Place != nil {
		m.Rollout = t.Origin.Place.Rollout
	}
	r.pool.start(ctx, item{t.Home, func(ctx context.Context) error {
		_, err := r.h.Handle(ctx, m)
		return err
	}, func(err error) { r.finish(t, err) }}, r.slots)
	return true
}
