package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// What the owner of a tenant looks after: running rollouts, whose members come,
// go and decide in all shards. Where their conductor would do something about
// it, it is told.
const (
	tendFirst = time.Second
	tendMost  = 15 * time.Second // between two looks at one where nothing changes
)

// tended is when a rollout is looked at next.
type tended struct {
	next  time.Time
	every time.Duration
	was   ota.RolloutCounts
}

// ringScript. KEYS: due. ARGV: member.
var ringScript = newScript(`
local t = redis.call('TIME')
local at, old = t[1] * 1000 + math.floor(t[2] / 1000), redis.call('ZSCORE', KEYS[1], ARGV[1])
if old and tonumber(old) >= at then at = tonumber(old) + 1 end
redis.call('ZADD', KEYS[1], string.format('%.0f', at), ARGV[1])
return 1`)

// tend looks after the rollouts of the tenants that are held. What cannot be
// read now is read the next time.
func (o *Owner) tend(ctx context.Context) {
	now := time.Now()
	for _, h := range o.tenants(now) {
		doors, err := o.s.c.HGetAll(ctx, part(h.slot).doors()).Result()
		if err != nil {
			continue
		}
		for id, text := range doors {
			r := ota.Ref{Tenant: h.lease.Tenant, Type: ota.RolloutRef, ID: id}
			if d, err := ota.ParseDoor(text); err == nil && (!d.Open || d.Allowed < 0) {
				continue // its conductor waits for people, or is done
			}
			if o.mayTend(r, now) && o.stale(ctx, r) {
				c := ringScript.cmd([]string{h.slot.due()}, []any{doorPrefix + id})
				if o.send(ctx, redis.Cmder(c)) == nil && c.Err() == nil {
					o.noticed(h.slot, o.s.Now())
				}
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for r, t := range o.tended {
		if now.Sub(t.next) > time.Minute {
			delete(o.tended, r)
		}
	}
}

// tenants are the slots of tenants whose turn it is.
func (o *Owner) tenants(now time.Time) []*held {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*held
	for _, h := range o.held {
		if h.lease.Shard < 0 && h.holds(now) && now.Sub(h.relined) >= tendFirst {
			h.relined = now
			out = append(out, h)
		}
	}
	return out
}

func (o *Owner) mayTend(r ota.Ref, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.tended[r]
	if t == nil {
		t = &tended{every: tendFirst}
		o.tended[r] = t
	}
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(t.every)
	return true
}

// stale says whether the conductor of r would do something if it looked now.
func (o *Owner) stale(ctx context.Context, r ota.Ref) bool {
	home, err := o.s.Get(ctx, r)
	if err != nil || home.Rollout == nil || home.Rollout.State != ota.RolloutRunning {
		return false
	}
	x := home.Rollout
	m, err := o.s.Counts(ctx, r.Tenant, x.Kind, x.ID)
	if err != nil {
		return false
	}
	var t ota.Tally
	if x.Permits {
		if t, err = o.s.Tally(ctx, r); err != nil {
			return false
		}
	}
	gathered := true
	if x.Job != "" {
		job, err := o.s.Get(ctx, ota.Ref{Tenant: r.Tenant, Type: ota.JobRef, ID: x.Job})
		gathered = ota.CodeOf(err) == ota.NotFound || err == nil && job.Job.State != ota.JobRunning
	}
	c := ota.CountsOf(m)
	if mark, ok := x.Band(); ok {
		if c.Ahead, err = o.s.Ahead(ctx, r.Tenant, x.ID, mark); err != nil {
			return false
		}
	}
	o.mu.Lock()
	if k := o.tended[r]; k != nil {
		k.every = min(2*k.every, tendMost)
		if k.was != c || !gathered {
			k.every = tendFirst
		}
		k.was = c
	}
	o.mu.Unlock()
	return x.Stale(c, t, gathered)
}
