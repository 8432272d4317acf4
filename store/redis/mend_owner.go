package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// Mended is what [Owner.Mend] did: the homes that were read and what differed
// from them, which is right now.
type Mended struct {
	Report
	Life  string // the run_id of Redis; of a cluster, those of its masters
	Slots int    // shards and tenants that were recounted and are right
	Left  int    // that are to be recounted still, by the next call
	// Trouble tells of records that cannot be read. What follows from them is
	// left as it is, with all else in their shard.
	Trouble []string
}

// Mend recounts the shards and tenants that this process owns and that nobody
// has recounted since Redis was started, and mends what differs. It costs one
// question where there is nothing to do; call it every few seconds. Turns may go
// on meanwhile. One call at a time does it; a second waits.
func (o *Owner) Mend(ctx context.Context) (Mended, error) {
	const op = "recount after a restart of redis"
	o.mends.Lock()
	defer o.mends.Unlock()
	var out Mended
	var err error
	if out.Life, err = o.s.lives(ctx); err != nil || out.Life == "" {
		return out, fail(op, err)
	}
	begun, err := o.beginMending(ctx, out.Life)
	if err != nil || len(begun) == 0 {
		return out, fail(op, err)
	}
	keys, err := o.s.keysOf(ctx, begun)
	if err != nil {
		return out, fail(op, err)
	}
	for _, sl := range sortedKeys(begun) {
		m := begun[sl]
		err := m.run(ctx, keys[sl])
		delete(begun, sl) // and with it the memory of its homes
		out.take(m)
		switch {
		case errors.Is(err, errLost), errors.Is(err, errMoved):
			out.Left++
			continue
		case errors.Is(err, errTrouble):
			o.right(m, out.Life) // as far as we can tell: it is not noted, and not tried again
			continue
		case err != nil:
			return out, fail(op, err)
		}
		found, err := m.claims(ctx)
		out.add(found)
		if err != nil {
			return out, fail(op, err)
		}
		o.right(m, out.Life)
		out.Slots++
	}
	return out, nil
}

func (m *Mended) take(s *mending) {
	m.Homes += s.want.homes
	for _, d := range s.mended {
		m.add([]string{d.String()})
	}
	m.Trouble = append(m.Trouble, s.trouble...)
}

// beginMending begins a list in each slot of ours of which it is not known that
// it was found right in this life, and returns those that were not.
func (o *Owner) beginMending(ctx context.Context, life string) (map[slot]*mending, error) {
	var ask []*mending
	o.mu.Lock()
	for _, h := range o.held {
		if h.whole != life {
			ask = append(ask, &mending{s: o.s, slot: h.slot, lane: laneOf(max(h.lease.Shard, 0)), mark: mendMark + ota.NewID(), homes: map[string]read{}, want: newRecount()})
		}
	}
	o.mu.Unlock()
	cmds := make([]redis.Cmder, len(ask))
	for i, m := range ask {
		cmds[i] = beginScript.cmd([]string{m.slot.mending(), m.slot.whole()}, []any{m.mark, mendFor})
	}
	if err := o.send(ctx, cmds...); err != nil {
		return nil, err
	}
	begun := map[slot]*mending{}
	for i, m := range ask {
		said, err := cmds[i].(*scriptCmd).Slice() //nolint:forcetypeassert // made above
		if err != nil || len(said) != 2 {
			return nil, err
		}
		m.life, _ = said[0].(string)
		if said[1] == int64(1) {
			begun[m.slot] = m
		} else {
			o.right(m, life)
		}
	}
	return begun, nil
}

// right notes that a slot was found right, and looks at once at what is due
// there if that was mended.
func (o *Owner) right(m *mending, life string) {
	o.mu.Lock()
	if h := o.held[m.slot]; h != nil {
		h.whole = life
	}
	o.mu.Unlock()
	if len(m.mended) > 0 {
		o.noticed(m.slot, o.s.Now())
	}
}

// Unsure is how many shards and tenants nobody has recounted since their Redis was
// started. Redis in memory, which never is started again, has none.
func (s *Store) Unsure(ctx context.Context) (int, error) {
	const op = "ask what is to be recounted"
	if life, err := s.lives(ctx); err != nil || life == "" {
		return 0, fail(op, err)
	}
	tenants, err := s.c.SMembers(ctx, tenantsKey).Result()
	if err != nil {
		return 0, fail(op, err)
	}
	var cmds []redis.Cmder
	for i := range ota.Shards {
		cmds = append(cmds, sureScript.cmd([]string{shardSlot(i).whole()}, nil))
	}
	for _, t := range tenants {
		cmds = append(cmds, sureScript.cmd([]string{tenantSlot(ota.TenantID(t)).whole()}, nil))
	}
	if err := s.send(ctx, cmds...); err != nil {
		return 0, fail(op, err)
	}
	n := 0
	for _, c := range cmds {
		sure, err := c.(*scriptCmd).Int() //nolint:forcetypeassert // made above
		if err != nil {
			return 0, fail(op, err)
		}
		n += 1 - sure
	}
	return n, nil
}

// lives is the run_id of Redis, another one after each start: of a cluster those
// of all masters, and "" of the one in memory.
func (s *Store) lives(ctx context.Context) (string, error) {
	ask := func(ctx context.Context, c redis.Cmdable) (string, error) {
		text, err := c.Info(ctx, "server").Result()
		if err != nil && strings.Contains(err.Error(), "not supported") { // miniredis
			return "", nil
		}
		return info(text)["run_id"], err
	}
	cluster, ok := s.c.(*redis.ClusterClient)
	if !ok {
		return ask(ctx, s.c)
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error {
		life, err := ask(ctx, m)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, life)
		return err
	})
	slices.Sort(all)
	return strings.Join(all, " "), err
}
