package redis

import (
	"context"
	"encoding/binary"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// Sweep ends the claims on names and tokens that somebody left who died, in all
// shards. Any process may call it at any time; once a minute is enough.
func (s *Store) Sweep(ctx context.Context) error {
	for shard := range ota.Shards {
		if _, err := s.sweep(ctx, shardSlot(shard), shard); err != nil {
			return err
		}
	}
	return nil
}

// sweepPage bounds the claims that one sweep ends in a shard.
const sweepPage = 100

func (s *Store) sweep(ctx context.Context, sl slot, shard int) (int, error) {
	const op = "sweep claims"
	old := redis.NewStringSliceCmd(ctx, "zrangebyscore", sl.claims(), "-inf", s.Now().Add(-claimAge).UnixMilli(), "limit", 0, sweepPage)
	if err := s.ask(ctx, laneOf(shard), old); err != nil {
		return 0, fail(op, err)
	}
	for i, note := range old.Val() {
		t, num, c, ok := claimOf(note)
		if !ok {
			if err := s.ask(ctx, laneOf(shard), redis.NewIntCmd(ctx, "zrem", sl.claims(), note)); err != nil {
				return i, fail(op, err)
			}
			continue
		}
		if err := s.settleClaim(ctx, sl, shard, t, num, c); err != nil {
			return i, err
		}
	}
	return len(old.Val()), nil
}

// settleClaim confirms or frees the key of c, as the home says that it is now,
// and forgets the claim.
func (s *Store) settleClaim(ctx context.Context, sl slot, shard int, t ota.TenantID, num uint64, c claim) error {
	const op = "settle a claim"
	p := sl.in(t)
	value, record := redis.NewStringCmd(ctx, "get", c.key), redis.NewStringCmd(ctx, "get", p.device(num))
	if err := s.ask(ctx, laneOf(shard), value, record); err != nil {
		return fail(op, err)
	}
	forget := redis.NewIntCmd(ctx, "zrem", sl.claims(), c.note, ending+c.note)
	seen := value.Val()
	mark, r, ok := holder(seen)
	pl, err := placeOf(r)
	if !ok || err != nil || pl.shard != shard || pl.num != num || r.Tenant != t {
		return fail(op, s.ask(ctx, laneOf(shard), forget)) // free, or another's
	}
	version := ""
	if rec := record.Val(); rec != "" {
		h, err := decodeHome(r, rec)
		if err != nil {
			return fail(op, err)
		}
		version = versionBytes(h.Version)
		if hasClaim(pl, h, rec, c) {
			if mark == markReserved {
				held := string([]byte{markConfirmed}) + seen[1:]
				if err := s.ask(ctx, laneOf(shard), confirmScript.cmd([]string{c.key}, []any{seen, held})); err != nil {
					return fail(op, err)
				}
			}
			return fail(op, s.ask(ctx, laneOf(shard), forget))
		}
	}
	end := endScript.cmd([]string{sl.claims(), pl.key}, []any{c.note, ending + c.note, version, s.Now().UnixMilli()})
	if err := s.ask(ctx, laneOf(shard), end); err != nil {
		return fail(op, err)
	}
	if n, _ := end.Int(); n == 0 {
		return nil // the home moved: the claim is looked at again
	}
	if err := s.ask(ctx, laneOf(shard), freeScript.cmd([]string{c.key}, []any{seen})); err != nil {
		return fail(op, err)
	}
	return fail(op, s.ask(ctx, laneOf(shard), redis.NewIntCmd(ctx, "zrem", sl.claims(), ending+c.note)))
}

// hasClaim says whether the stored home is that very device's and has what c
// claims.
func hasClaim(pl place, h *ota.Home, record string, c claim) bool {
	if !idMatches(h.Ref.ID, record) {
		return false
	}
	for _, have := range claimsOf(pl, h) {
		if have == c {
			return true
		}
	}
	return false
}

// idMatches compares the id in a record's header.
func idMatches(id, record string) bool {
	raw, ok := packUUID(id)
	return !ok || len(record) >= headSize && record[headTurn:headSize] == string(raw[:])
}

// versionBytes is a version as records begin with it; "" for none.
func versionBytes(v uint64) string {
	if v == 0 {
		return ""
	}
	return string(binary.BigEndian.AppendUint64(nil, v))
}

func atou(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}
