package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// Load returns the home as it is now; see [ota.Homes].
func (s *Store) Load(ctx context.Context, r ota.Ref) (*ota.Home, error) {
	at, err := placeOf(r)
	if err != nil {
		return nil, err
	}
	record := redis.NewStringCmd(ctx, "get", at.key)
	if err := s.ask(ctx, at.lane(), record); err != nil {
		return nil, fail("load "+r.String(), err)
	}
	return homeOf(r, record)
}

// Get is Load: a store is always fresh; see [ota.Facts].
func (s *Store) Get(ctx context.Context, r ota.Ref) (*ota.Home, error) { return s.Load(ctx, r) }

func homeOf(r ota.Ref, record *redis.StringCmd) (*ota.Home, error) {
	if errors.Is(record.Err(), redis.Nil) || r.Type == ota.DeviceRef && !idMatches(r.ID, record.Val()) {
		return nil, ota.Errorf(ota.NotFound, "load "+r.String(), "there is none")
	}
	h, err := decodeHome(r, record.Val())
	if err != nil {
		return nil, &ota.Error{Code: ota.Internal, Op: "load " + r.String(), Err: err}
	}
	return h, nil
}

// Find returns the home with a unique name; see [ota.Facts].
func (s *Store) Find(ctx context.Context, t ota.TenantID, typ ota.RefType, name string) (ota.Ref, error) {
	op := "find " + string(typ) + " " + name
	none := ota.Errorf(ota.NotFound, op, "there is none")
	if !plainID(string(t)) {
		return ota.Ref{}, none
	}
	if typ == ota.DeviceRef {
		return s.held(ctx, op, nameKey(t, name), ShardOf(t, name), func(d *ota.Device) bool { return d.Name == name && d.Tenant == t })
	}
	id := redis.NewStringCmd(ctx, "hget", part(tenantSlot(t)).names(typ), name)
	if err := s.ask(ctx, 0, id); err != nil {
		return ota.Ref{}, fail(op, err)
	}
	if id.Val() == "" {
		return ota.Ref{}, none
	}
	return ota.Ref{Tenant: t, Type: typ, ID: id.Val()}, nil
}

// ByKey returns the device that has a key; see [ota.Facts].
func (s *Store) ByKey(ctx context.Context, key string) (ota.Ref, error) {
	return s.held(ctx, "find a device's key", tokenKey(key), int(token2lane(key)), func(d *ota.Device) bool {
		return slices.ContainsFunc(d.Credentials.Keys(), func(k string) bool { return tokenHash(k) == tokenHash(key) })
	})
}

// held reads the key of a unique name or token. What is only reserved counts
// when the home is there and has it.
func (s *Store) held(ctx context.Context, op, key string, lane int, has func(*ota.Device) bool) (ota.Ref, error) {
	v := redis.NewStringCmd(ctx, "get", key)
	if err := s.ask(ctx, lane, v); err != nil {
		return ota.Ref{}, fail(op, err)
	}
	none := ota.Errorf(ota.NotFound, op, "there is none")
	mark, r, ok := holder(v.Val())
	if !ok {
		return ota.Ref{}, none
	}
	if mark == markReserved {
		h, err := s.Load(ctx, r)
		if ota.CodeOf(err) == ota.NotFound || err == nil && !has(h.Device) {
			return ota.Ref{}, none
		}
		if err != nil {
			return ota.Ref{}, err
		}
	}
	return r, nil
}

// token2lane spreads look-ups of tokens over lanes.
func token2lane(token string) byte { return tokenHash(token)[0] & 0xf }

// Revision returns the tenant's revision, from 1 on; see [ota.Facts].
func (s *Store) Revision(ctx context.Context, t ota.TenantID) (int64, error) {
	const op = "read the tenant's revision"
	v := redis.NewStringCmd(ctx, "get", part(tenantSlot(t)).rev())
	if err := s.ask(ctx, 0, v); err != nil {
		return 0, fail(op, err)
	}
	if v.Val() == "" {
		return 1, nil
	}
	n, err := strconv.ParseInt(v.Val(), 10, 64)
	return n, fail(op, err)
}

// knowTenant puts a tenant into the set of all, once for each process.
func (s *Store) knowTenant(ctx context.Context, t ota.TenantID) error {
	if _, ok := s.tenants.Load(t); ok {
		return nil
	}
	if err := s.ask(ctx, 0, redis.NewIntCmd(ctx, "sadd", tenantsKey, string(t))); err != nil {
		return fail("note tenant "+string(t), err)
	}
	s.tenants.Store(t, true)
	return nil
}
