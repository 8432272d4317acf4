package redis

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

const (
	// lookEvery is how often what is due is read although nothing is known to
	// be: other processes commit to our slots too.
	lookEvery = time.Second
	// perSlot is the least that is read of a slot at once.
	perSlot = 8
	// maxPages bounds the pages of jobs in one answer: each is read whole, and
	// what is due besides must not wait for that.
	maxPages = 16
)

// entry is one member of a sorted set.
type entry struct {
	h      *held
	member string
	score  float64
}

// Due implements [ota.Owner]. Slots take turns, so that one with much to do
// does not keep the others waiting; within a slot what is due longest comes
// first. A task that was handed out before and is still due comes again after a
// back-off of a second, doubled each time up to a minute.
func (o *Owner) Due(ctx context.Context, limit int) ([]ota.Task, time.Time, error) {
	const op = "read what is due"
	now := o.s.Now()
	looks, each := o.dueSlots(now, limit)
	cmds := make([]redis.Cmder, len(looks))
	for i, h := range looks {
		cmds[i] = redis.NewZSliceCmd(ctx, "zrange", h.slot.due(), 0, each+len(h.due)-1, "withscores")
	}
	if err := o.send(ctx, cmds...); err != nil {
		return nil, time.Time{}, fail(op, err)
	}
	var err error
	found := make([][]entry, 0, len(looks))
	o.mu.Lock()
	for i, h := range looks {
		if cerr := cmds[i].Err(); cerr != nil {
			err = cerr
			continue
		}
		found = append(found, h.read(cmds[i].(*redis.ZSliceCmd).Val(), each+len(h.due), now))
	}
	chosen := o.choose(found, limit, now)
	o.mu.Unlock()
	tasks, terr := o.tasks(ctx, chosen)
	if err == nil {
		err = terr
	}
	if len(tasks) > 0 {
		err = nil // what could be read is worked; the rest is looked up again
	}
	return tasks, o.soonest(), fail(op, err)
}

// dueSlots are the slots to be read now, those whose turn it is first, and how
// much of each.
func (o *Owner) dueSlots(now time.Time, limit int) ([]*held, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	local, ms := time.Now(), now.UnixMilli()
	var out []*held
	for _, h := range o.held {
		if h.holds(local) && (h.next != 0 && h.next <= ms || local.Sub(h.looked) >= lookEvery) {
			h.looked = local
			h.next = 0 // a hint that comes while we read stays
			out = append(out, h)
		}
	}
	if len(out) == 0 || limit <= 0 {
		return nil, 0
	}
	return out, max(perSlot, 2*limit/len(out))
}

// read takes what was read of a slot: the entries that are due and free. It
// notes when the next one comes.
func (h *held) read(heads []redis.Z, asked int, now time.Time) []entry {
	local, ms := time.Now(), now.UnixMilli()
	var out []entry
	next := int64(0)
	for _, z := range heads {
		m, _ := z.Member.(string)
		if at := int64(z.Score); at > ms {
			next = sooner(next, at)
			break
		}
		if h.due.free(m, z.Score, local) {
			out = append(out, entry{h, m, z.Score})
		} else if x := h.due[m]; !x.flight {
			next = sooner(next, ms+x.until.Sub(local).Milliseconds()+1)
		}
	}
	h.due.forget()
	if len(out) > 0 && len(heads) == asked { // there may be more
		next = ms
	}
	h.next = sooner(h.next, next)
	return out
}

func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// choose takes entries from slots in turn. What is left over is due still.
func (o *Owner) choose(found [][]entry, limit int, now time.Time) []entry {
	var out []entry
	if len(found) == 0 {
		return nil
	}
	o.turn++
	pages := 0
	for row := 0; len(out) < limit; row++ {
		more := false
		for i := range found {
			f := found[(i+o.turn)%len(found)]
			if row < len(f) && len(out) < limit {
				more = true
				if strings.HasPrefix(f[row].member, pagePrefix) {
					if pages++; pages > maxPages {
						continue
					}
				}
				out = append(out, f[row])
				f[row].h.due.out(f[row].member, f[row].score)
				f[row].score = -1 // taken
			}
		}
		if !more {
			break
		}
	}
	for _, f := range found {
		for _, e := range f {
			if e.score >= 0 {
				e.h.next = sooner(e.h.next, now.UnixMilli())
				break
			}
		}
	}
	return out
}

// soonest is when the next entry is known to come.
func (o *Owner) soonest() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := int64(0)
	for _, h := range o.held {
		next = sooner(next, h.next)
	}
	if next == 0 {
		return time.Time{}
	}
	return time.UnixMilli(next).UTC()
}

// tasks makes tasks of entries: whose they are is read from the records. A job
// that is not in every shard yet is spread here and handed to nobody.
func (o *Owner) tasks(ctx context.Context, entries []entry) ([]ota.Task, error) {
	var tasks []ota.Task
	var ids []redis.Cmder
	var says []redis.Cmder // messages that are being read, and for which task
	var said []int
	var wait []int // tasks whose device's id is being read, by place in ids
	var err error
	for _, e := range entries {
		t := ota.Task{Origin: ota.Origin{Key: e.member, Due: int64(e.score), Lease: e.h.lease}}
		var own error
		switch a, b, key, ok := parseDue(e.member); {
		case strings.HasPrefix(e.member, pagePrefix):
			own = o.page(ctx, e, &t)
		case strings.HasPrefix(e.member, outboxPrefix):
			t.Home.Type = outboxType // until the message says whom it is for
			says = append(says, redis.NewStringCmd(ctx, "hget", e.h.slot.outbox(), strings.TrimPrefix(e.member, outboxPrefix)))
			said = append(said, len(tasks))
		case strings.HasPrefix(e.member, doorPrefix) && e.h.lease.Shard < 0:
			t.Home, t.Key = ota.Ref{Tenant: e.h.lease.Tenant, Type: ota.RolloutRef, ID: strings.TrimPrefix(e.member, doorPrefix)}, ota.DoorKey
		case !ok: // nothing that this release knows; it stays
		case e.h.lease.Shard < 0:
			t.Home, t.Key = ota.Ref{Tenant: e.h.lease.Tenant, Type: ota.RefType(a), ID: b}, key
			if t.Home.Type == ota.JobRef && key == spreadKey {
				own = o.spread(ctx, t.Home)
				t.Home = ota.Ref{}
			}
		default:
			num, _ := atou(b)
			t.Home, t.Key = ota.Ref{Tenant: ota.TenantID(a), Type: ota.DeviceRef}, key
			ids = append(ids, headID(ctx, e.h.slot.in(ota.TenantID(a)).device(num)))
			wait = append(wait, len(tasks))
		}
		switch {
		case own != nil:
			err = own
			fallthrough
		case t.Home == ota.Ref{}:
			o.Done(t)
		default:
			tasks = append(tasks, t)
		}
	}
	if serr := o.send(ctx, append(ids, says...)...); serr != nil {
		err = serr
	}
	for i, at := range said {
		if merr := o.message(ctx, says[i], &tasks[at]); merr != nil {
			err = merr
		}
	}
	for i, at := range wait {
		id, cerr := idOf(ids[i])
		if cerr != nil {
			err = cerr
		}
		tasks[at].Home.ID = id
	}
	return o.living(tasks), err
}

// living drops tasks of devices that went meanwhile, with all that was due.
func (o *Owner) living(tasks []ota.Task) []ota.Task {
	out := tasks[:0]
	for _, t := range tasks {
		if t.Home.ID != "" {
			out = append(out, t)
			continue
		}
		o.Done(t)
	}
	return out
}

// headID reads the id in the header of a record.
func headID(ctx context.Context, key string) redis.Cmder {
	return redis.NewStringCmd(ctx, "getrange", key, headTurn, headSize-1)
}

// idOf is what headID read; "" where there is no record.
func idOf(c redis.Cmder) (string, error) {
	raw, err := c.(*redis.StringCmd).Result()
	if err != nil || len(raw) != headSize-headTurn {
		return "", err
	}
	return unpackUUID(raw), nil
}
