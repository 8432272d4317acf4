package redis

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// Counts returns how many devices are in each state of kind, without states
// that none is in; see [ota.Lister]. With a rollout, they are counted by
// [ota.Track.Stand], so that the sum is its members.
func (s *Store) Counts(ctx context.Context, t ota.TenantID, k ota.Kind, r ota.RolloutID) (map[ota.State]int64, error) {
	const op = "count devices"
	if !k.Valid() {
		return nil, ota.Errorf(ota.Invalid, op, "kind is %q, want firmware or software", k)
	}
	states := ota.States()
	if r != "" {
		states = ota.Stands()
	}
	cmds := make([]redis.Cmder, ota.Shards)
	for i := range cmds {
		p := shardSlot(i).in(t)
		key := p.count()
		if r != "" {
			key = p.rollout(r)
		}
		args := []any{"hmget", key}
		for _, st := range states {
			args = append(args, stateField(k, st))
		}
		cmds[i] = redis.NewSliceCmd(ctx, args...)
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return nil, fail(op, err)
	}
	out := map[ota.State]int64{}
	for _, c := range cmds {
		for i, v := range c.(*redis.SliceCmd).Val() { //nolint:forcetypeassert // made above
			if text, ok := v.(string); ok {
				n, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return nil, fail(op, err)
				}
				out[states[i]] += n
			}
		}
	}
	return out, nil
}

// Ahead counts who stands in a line up to a mark; see [ota.Lister].
func (s *Store) Ahead(ctx context.Context, t ota.TenantID, r ota.RolloutID, mark float64) (int, error) {
	most := "+inf"
	if mark < 1 {
		most = strconv.FormatFloat(mark, 'g', -1, 64)
	}
	cmds := make([]redis.Cmder, ota.Shards)
	for i := range cmds {
		cmds[i] = redis.NewIntCmd(ctx, "zcount", shardSlot(i).in(t).wait(r), "-inf", most)
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return 0, fail("count who is ahead", err)
	}
	n := int64(0)
	for _, c := range cmds {
		n += c.(*redis.IntCmd).Val() //nolint:forcetypeassert // made above
	}
	return int(n), nil
}

// References says which assignment names a package: "device NAME" or "profile
// NAME" of one that does; see [ota.Lister].
func (s *Store) References(ctx context.Context, t ota.TenantID, p ota.PackageID) (string, error) {
	const op = "find what names the package"
	cmds := []redis.Cmder{redis.NewStringCmd(ctx, "srandmember", part(tenantSlot(t)).assigned(p))}
	for i := range ota.Shards {
		cmds = append(cmds, redis.NewStringCmd(ctx, "srandmember", shardSlot(i).in(t).assigned(p)))
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return "", fail(op, err)
	}
	for i, c := range cmds {
		member := c.(*redis.StringCmd).Val() //nolint:forcetypeassert // made above
		switch {
		case member == "":
			continue
		case i == 0:
			h, err := s.Load(ctx, ota.Ref{Tenant: t, Type: ota.ProfileRef, ID: member})
			if err != nil {
				return "", err
			}
			return "profile " + h.Profile.Name, nil
		}
		num, _ := atou(member)
		var page ota.Page
		if err := s.devices(ctx, t, []at{{i - 1, num}}, &page); err != nil {
			return "", fail(op, err)
		}
		if len(page.Homes) == 1 {
			return "device " + page.Homes[0].Device.Name, nil
		}
		return "device", nil
	}
	return "", nil
}
