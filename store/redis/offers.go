package redis

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// doorAge is how old what an owner knows of a rollout's door may be.
const doorAge = time.Second

// line is one rollout's line in one shard.
type line struct {
	tenant  ota.TenantID
	rollout ota.RolloutID
	out     blocks
}

// door is what an owner knows of a rollout: whether it is open, and how far.
type door struct {
	open bool
	mark float64
	room int // places that may be handed out yet; below 0: any number
	at   time.Time
}

// stand is one place in a line.
type stand struct {
	entry
	line *line
}

// Offers implements [ota.Owner]. A place that was handed out and is still taken
// comes again after a back-off, so that a device which cannot be offered
// anything now does not keep the next ones waiting.
func (o *Owner) Offers(ctx context.Context, limit int) ([]ota.Task, error) {
	const op = "read lines"
	if limit <= 0 {
		return nil, nil
	}
	o.tend(ctx)
	if err := o.readLines(ctx); err != nil {
		return nil, fail(op, err)
	}
	open, err := o.openLines(ctx)
	if err != nil || len(open) == 0 {
		return nil, fail(op, err)
	}
	stands, err := o.heads(ctx, open, limit)
	if len(stands) == 0 {
		return nil, fail(op, err)
	}
	tasks, err := o.offers(ctx, stands)
	return tasks, fail(op, err)
}

// readLines finds out which lines are not empty, where that is not known.
func (o *Owner) readLines(ctx context.Context) error {
	now := time.Now()
	var hs []*held
	var cmds []redis.Cmder
	o.mu.Lock()
	for _, h := range o.held {
		if h.lease.Shard >= 0 && h.holds(now) && now.Sub(h.relined) >= lookEvery {
			h.relined = now
			hs = append(hs, h)
			cmds = append(cmds, redis.NewStringSliceCmd(ctx, "smembers", h.slot.waits()))
		}
	}
	o.mu.Unlock()
	err := o.send(ctx, cmds...)
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, h := range hs {
		if cerr := cmds[i].Err(); cerr != nil {
			err, h.relined = cerr, time.Time{}
			continue
		}
		was := h.lines
		h.lines = nil
		for _, m := range cmds[i].(*redis.StringSliceCmd).Val() {
			t, id, ok := parseWaits(m)
			if !ok {
				continue
			}
			l := &line{tenant: t, rollout: id, out: blocks{}}
			if i := slices.IndexFunc(was, func(x *line) bool { return x.tenant == t && x.rollout == id }); i >= 0 {
				l = was[i]
			}
			h.lines = append(h.lines, l)
		}
	}
	return err
}

// openLine is a line that devices may be taken from, up to a mark.
type openLine struct {
	h    *held
	line *line
	mark float64
}

// openLines are the lines whose rollout is open. Devices with an assignment of
// their own and no rollout wait for nobody's door.
func (o *Owner) openLines(ctx context.Context) ([]openLine, error) {
	now := time.Now()
	var all []openLine
	ask := map[ota.Ref]bool{}
	o.mu.Lock()
	for _, h := range o.held {
		if !h.holds(now) {
			continue
		}
		for _, l := range h.lines {
			all = append(all, openLine{h, l, 1})
			if r := l.ref(); l.rollout != "" && (o.rollouts[r] == nil || now.Sub(o.rollouts[r].at) >= doorAge) {
				ask[r] = true
			}
		}
	}
	o.mu.Unlock()
	var failed error
	for r := range ask {
		d, err := o.readDoor(ctx, r)
		if err != nil {
			failed = err
			continue
		}
		o.mu.Lock()
		d.at = now
		o.rollouts[r] = d
		o.mu.Unlock()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for r, d := range o.rollouts {
		if now.Sub(d.at) > time.Minute {
			delete(o.rollouts, r)
		}
	}
	out := all[:0]
	for _, l := range all {
		if l.line.rollout != "" {
			d := o.rollouts[l.line.ref()]
			if d == nil || !d.open || d.room == 0 || now.Sub(d.at) > 2*doorAge {
				continue
			}
			l.mark = d.mark
		}
		out = append(out, l)
	}
	if len(out) > 0 {
		failed = nil
	}
	return out, failed
}

func (l *line) ref() ota.Ref {
	return ota.Ref{Tenant: l.tenant, Type: ota.RolloutRef, ID: string(l.rollout)}
}

// heads reads the first places of lines, and takes the best ones of all.
func (o *Owner) heads(ctx context.Context, open []openLine, limit int) ([]stand, error) {
	each := max(2, 2*limit/len(open))
	cmds := make([]redis.Cmder, len(open))
	o.mu.Lock()
	for i, l := range open {
		cmds[i] = redis.NewZSliceCmd(ctx, "zrange", l.h.slot.in(l.line.tenant).wait(l.line.rollout), 0, min(each, limit)+len(l.line.out)-1, "withscores")
	}
	o.mu.Unlock()
	err := o.send(ctx, cmds...)
	now := time.Now()
	var all []stand
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, l := range open {
		if cerr := cmds[i].Err(); cerr != nil {
			err = cerr
			continue
		}
		for _, z := range cmds[i].(*redis.ZSliceCmd).Val() {
			m, _ := z.Member.(string)
			if (l.mark >= 1 || z.Score <= l.mark) && l.line.out.free(m, z.Score, now) {
				all = append(all, stand{entry{l.h, m, z.Score}, l.line})
			}
		}
		l.line.out.forget()
	}
	slices.SortFunc(all, func(a, b stand) int { return cmp.Compare(a.score, b.score) })
	out := all[:0]
	for _, s := range all {
		if len(out) == limit {
			break
		}
		if d := o.rollouts[s.line.ref()]; s.line.rollout != "" && d != nil {
			if d.room == 0 {
				continue
			}
			d.room-- // below 0 it stays below
		}
		s.line.out.out(s.member, s.score)
		out = append(out, s)
	}
	return out, err
}

// readDoor reads how far a rollout's door is open. Places that are handed out
// already may not have come to it yet, so room is kept for them.
func (o *Owner) readDoor(ctx context.Context, r ota.Ref) (*door, error) {
	d := &door{room: -1}
	home, err := o.s.Get(ctx, r)
	if ota.CodeOf(err) == ota.NotFound || err == nil && home.Rollout == nil {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	d.open, d.mark = home.Rollout.Open(), home.Rollout.Mark
	guard, ok := home.Rollout.Door()
	if !ok || !d.open {
		return d, nil
	}
	t, err := o.s.Tally(ctx, r)
	if err != nil {
		return nil, err
	}
	if d.room = guard.Room(t); d.room < 0 {
		return d, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.held {
		for _, l := range h.lines {
			if l.ref() != r {
				continue
			}
			for _, b := range l.out {
				if b.flight {
					d.room--
				}
			}
		}
	}
	d.room = max(d.room, 0)
	return d, nil
}

// doorMoved hears that the door of a rollout may let others in.
func (o *Owner) doorMoved(r ota.Ref) {
	o.mu.Lock()
	delete(o.rollouts, r)
	o.mu.Unlock()
	select {
	case o.hint <- struct{}{}:
	default:
	}
}

// offers makes tasks of places. Whose a place is is read from the record.
func (o *Owner) offers(ctx context.Context, stands []stand) ([]ota.Task, error) {
	cmds := make([]redis.Cmder, len(stands))
	for i, s := range stands {
		_, num, _ := parseWait(s.member)
		cmds[i] = headID(ctx, s.h.slot.in(s.line.tenant).device(num))
	}
	err := o.send(ctx, cmds...)
	var tasks []ota.Task
	now := time.Now()
	for i, s := range stands {
		id, cerr := idOf(cmds[i])
		k, _, ok := parseWait(s.member)
		if cerr != nil || id == "" || !ok { // the device went meanwhile, with its place
			if err == nil {
				err = cerr
			}
			o.mu.Lock()
			s.line.out.back(s.member, now, lineBackoff)
			o.mu.Unlock()
			continue
		}
		d := ota.DeviceID(id)
		tasks = append(tasks, ota.Task{Home: ota.RefOf(s.line.tenant, d), Kind: k, Origin: ota.Origin{
			Place: &ota.Place{Rollout: s.line.rollout, Kind: k, Device: d, At: s.score}, Lease: s.h.lease,
		}})
	}
	if len(tasks) > 0 {
		err = nil
	}
	return tasks, err
}
