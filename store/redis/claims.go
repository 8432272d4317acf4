package redis

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// A device's name and token are unique, and their keys lie in other slots than
// its home, so that no script can write all three. Therefore each goes through
// three steps:
//
//  1. reserve: note the claim in the device's slot, then take the key;
//  2. commit the home, on condition that the claim is still noted;
//  3. confirm the key, then forget the claim.
//
// A name that is given up is noted in the commit and freed after it. Whoever
// dies on the way leaves a claim, and Sweep brings it to its end: the key is
// confirmed where the home has that name, and freed where it has not.
//
// The key's value is a mark (reserved or confirmed), the device's id, four
// bytes that tell one reservation from another, and the tenant. A key is freed
// only while its value is the one that was seen before the claim was marked as
// ending, so that a name given up and taken again in the same moment stays.
const (
	markReserved  = '?'
	markConfirmed = '='
	nonceSize     = 4

	claimName  = "n:"
	claimToken = "t:"
	ending     = "!" // before a claim whose key is being freed: no commit may count on it

	claimAge = time.Minute // a claim that is older was left by somebody who died
)

// claim is one unique thing of a device: the key, and how it is noted.
type claim struct{ key, note string }

// claimsOf lists what h has that must be unique beyond its slot.
func claimsOf(pl place, h *ota.Home) []claim {
	if h == nil || h.Device == nil {
		return nil
	}
	d := h.Device
	out := []claim{{nameKey(h.Ref.Tenant, d.Name), pl.short + "/" + claimName + d.Name}}
	for _, key := range d.Credentials.Keys() {
		out = append(out, claim{tokenKey(key), pl.short + "/" + claimToken + tokenHash(key)})
	}
	return out
}

// claimOf is the inverse: whose claim a note is.
func claimOf(note string) (t ota.TenantID, num uint64, c claim, ok bool) {
	c.note = strings.TrimPrefix(note, ending) // no tenant's name begins like that
	tenant, rest, ok1 := strings.Cut(c.note, "/")
	n, what, ok2 := strings.Cut(rest, "/")
	num, ok3 := atou(n)
	switch {
	case !ok1 || !ok2 || !ok3:
		return "", 0, c, false
	case strings.HasPrefix(what, claimName):
		c.key = nameKey(ota.TenantID(tenant), what[len(claimName):])
	case strings.HasPrefix(what, claimToken):
		c.key = "token:" + what[len(claimToken):]
	default:
		return "", 0, c, false
	}
	return ota.TenantID(tenant), num, c, true
}

func without(all, some []claim) []claim {
	var out []claim
	for _, c := range all {
		found := false
		for _, o := range some {
			found = found || o == c
		}
		if !found {
			out = append(out, c)
		}
	}
	return out
}

// holding is the value of a key that device r has, or is about to.
func holding(mark byte, r ota.Ref, nonce string) string {
	id, _ := packUUID(r.ID)
	return string([]byte{mark}) + string(id[:]) + (nonce + "\x00\x00\x00\x00")[:nonceSize] + string(r.Tenant)
}

// holder is the inverse of holding.
func holder(v string) (mark byte, r ota.Ref, ok bool) {
	if len(v) < 1+16+nonceSize+1 || v[0] != markReserved && v[0] != markConfirmed {
		return 0, ota.Ref{}, false
	}
	return v[0], ota.RefOf(ota.TenantID(v[1+16+nonceSize:]), ota.DeviceID(unpackUUID(v[1:17]))), true
}

var (
	// reserveScript takes a key that is free or the device's own.
	reserveScript = newScript(`
local v = redis.call('GET', KEYS[1])
if v and (string.sub(v, 2, 17) ~= string.sub(ARGV[1], 2, 17) or string.sub(v, 22) ~= string.sub(ARGV[1], 22)) then return v end
redis.call('SET', KEYS[1], ARGV[1])
return ''`)
	// confirmScript turns a reservation into a holding.
	confirmScript = newScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return 1`)
	// freeScript deletes a key that holds what was seen.
	freeScript = newScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)
	// endScript marks a claim as ending, unless the home was written since its
	// version was read.
	endScript = newScript(`
if redis.call('GETRANGE', KEYS[2], 0, 7) ~= ARGV[3] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2])
return 1`)
)

// reserve takes the keys of claims for r. It is Invalid where one is another's,
// and then none is kept.
func (s *Store) reserve(ctx context.Context, pl place, r ota.Ref, nonce string, claims []claim) error {
	const op = "reserve name and token"
	note := []any{"zadd", pl.slot.claims()}
	for _, c := range claims {
		note = append(note, s.Now().UnixMilli(), c.note)
	}
	if err := s.ask(ctx, pl.lane(), redis.NewIntCmd(ctx, note...)); err != nil {
		return fail(op, err)
	}
	want := holding(markReserved, r, nonce)
	for try := 0; ; try++ {
		cmds := make([]redis.Cmder, len(claims))
		for i, c := range claims {
			cmds[i] = reserveScript.cmd([]string{c.key}, []any{want})
		}
		if err := s.batch.do(ctx, pl.lane(), cmds...); err != nil {
			return fail(op, err)
		}
		if err := firstError(cmds); err != nil {
			return fail(op, err)
		}
		taken, by := -1, ""
		for i, c := range cmds {
			if v, _ := c.(*scriptCmd).Text(); v != "" {
				taken, by = i, v
				break
			}
		}
		if taken < 0 {
			return nil
		}
		if try == 0 && s.abandoned(ctx, by) {
			continue
		}
		s.settleClaims(pl, r.Tenant, claims)
		what := "what the device is known by"
		if !strings.HasPrefix(claims[taken].key, "token:") {
			what = "the name " + claims[taken].key[len(nameKey(r.Tenant, "")):]
		}
		return ota.Errorf(ota.Invalid, "store "+r.String(), "%s is taken", what)
	}
}

// abandoned says whether a holding may have been one left by somebody who died:
// then it is gone now, if it was.
func (s *Store) abandoned(ctx context.Context, v string) bool {
	_, r, ok := holder(v)
	if !ok {
		return false
	}
	pl, err := placeOf(r)
	if err != nil {
		return false
	}
	n, err := s.sweep(ctx, pl.slot, pl.shard)
	return err == nil && n > 0
}

// settleClaims brings claims to their end. What cannot be done now is left to
// Sweep, so that errors are nobody's concern.
func (s *Store) settleClaims(pl place, t ota.TenantID, claims []claim) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	for _, c := range claims {
		_ = s.settleClaim(ctx, pl.slot, pl.shard, t, pl.num, c)
	}
}

// confirm ends the claims of a home that was just committed with them.
func (s *Store) confirm(pl place, r ota.Ref, nonce string, claims []claim) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	cmds := make([]redis.Cmder, len(claims))
	forget := []any{"zrem", pl.slot.claims()}
	for i, c := range claims {
		cmds[i] = confirmScript.cmd([]string{c.key}, []any{holding(markReserved, r, nonce), holding(markConfirmed, r, nonce)})
		forget = append(forget, c.note)
	}
	if s.ask(ctx, pl.lane(), cmds...) == nil {
		_ = s.ask(ctx, pl.lane(), redis.NewIntCmd(ctx, forget...)) // else Sweep's
	}
}
