package redis

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// DeadLetters returns the kept ones, newest first; see [ota.Lister].
func (s *Store) DeadLetters(ctx context.Context, t ota.TenantID, limit int) ([]ota.DeadLetter, error) {
	const op = "list dead letters"
	if limit < 1 {
		return nil, nil
	}
	cmds := []redis.Cmder{redis.NewStringSliceCmd(ctx, "lrange", part(tenantSlot(t)).dead(), 0, limit-1)}
	for i := range ota.Shards {
		cmds = append(cmds, redis.NewStringSliceCmd(ctx, "lrange", shardSlot(i).in(t).dead(), 0, limit-1))
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return nil, fail(op, err)
	}
	var out []ota.DeadLetter
	for _, c := range cmds {
		for _, text := range c.(*redis.StringSliceCmd).Val() { //nolint:forcetypeassert // made above
			var d ota.DeadLetter
			if err := json.Unmarshal([]byte(text), &d); err != nil {
				return nil, &ota.Error{Code: ota.Internal, Op: op, Err: err}
			}
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b ota.DeadLetter) int { return b.At.Compare(a.At) })
	return out[:min(limit, len(out))], nil
}

// DroppedLetters returns how many dead letters of a tenant had to make room for
// newer ones.
func (s *Store) DroppedLetters(ctx context.Context, t ota.TenantID) (int64, error) {
	const op = "count dropped letters"
	cmds := []redis.Cmder{redis.NewStringCmd(ctx, "hget", tenantSlot(t).drops(), string(t))}
	for i := range ota.Shards {
		cmds = append(cmds, redis.NewStringCmd(ctx, "hget", shardSlot(i).drops(), string(t)))
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return 0, fail(op, err)
	}
	sum := int64(0)
	for _, c := range cmds {
		n, _ := strconv.ParseInt(c.(*redis.StringCmd).Val(), 10, 64) //nolint:forcetypeassert // made above; none is 0
		sum += n
	}
	return sum, nil
}

// letterStart is how the text of a letter with an id begins, by which the
// commit finds it too.
func letterStart(id string) string { return `{"ID":"` + id + `"` }

// Letter returns a kept one; see [ota.Letters].
func (s *Store) Letter(ctx context.Context, t ota.TenantID, id string) (ota.DeadLetter, error) {
	const op = "read dead letter"
	var d ota.DeadLetter
	_, text, err := s.findLetter(ctx, t, id)
	if err != nil {
		return d, fail(op, err)
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return d, &ota.Error{Code: ota.Internal, Op: op, Err: err}
	}
	return d, nil
}

// DropLetter removes a kept one; see [ota.Letters].
func (s *Store) DropLetter(ctx context.Context, t ota.TenantID, id string) error {
	const op = "drop dead letter"
	key, text, err := s.findLetter(ctx, t, id)
	if err != nil {
		return fail(op, err)
	}
	gone := redis.NewIntCmd(ctx, "lrem", key, 0, text)
	if err := s.ask(ctx, 0, gone); err != nil {
		return fail(op, err)
	}
	if gone.Val() == 0 { // somebody was faster, or has just retried it
		return noLetter(id)
	}
	return nil
}

func noLetter(id string) error { return ota.Errorf(ota.NotFound, "", "there is no dead letter %q", id) }

// findLetter looks in all slots at once for the list that a letter lies in, and
// its text there.
func (s *Store) findLetter(ctx context.Context, t ota.TenantID, id string) (key, text string, err error) {
	if !plainID(string(t)) || !plainID(id) {
		return "", "", noLetter(id)
	}
	keys := make([]string, 0, ota.Shards+1)
	keys = append(keys, part(tenantSlot(t)).dead())
	for i := range ota.Shards {
		keys = append(keys, shardSlot(i).in(t).dead())
	}
	cmds := make([]redis.Cmder, len(keys))
	for i, k := range keys {
		cmds[i] = redis.NewStringSliceCmd(ctx, "lrange", k, 0, maxDead-1)
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return "", "", err
	}
	for i, c := range cmds {
		for _, x := range c.(*redis.StringSliceCmd).Val() { //nolint:forcetypeassert // made above
			if strings.HasPrefix(x, letterStart(id)) {
				return keys[i], x, nil
			}
		}
	}
	return "", "", noLetter(id)
}
