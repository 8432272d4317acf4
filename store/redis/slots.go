package redis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"github.com/windlass-ota/windlass/ota"
)

var (
	// takeSlotScript. KEYS: slots. ARGV: holder, how many there are, ms of the
	// lease. It returns 1 where the holder has one.
	takeSlotScript = newScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2]) + 1000))
return 1`)

	// freeSlotScript. KEYS: slots. ARGV: holder.
	freeSlotScript = newScript(`return redis.call('ZREM', KEYS[1], ARGV[1])`)
)

var _ ota.Slots = (*Store)(nil)

// slots holds who has a slot under a key, which may be any text.
func (s slot) slots(key string) string {
	sum := sha256.Sum256([]byte(key))
	return string(s) + ":slots:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// TakeSlot implements [ota.Slots].
func (s *Store) TakeSlot(ctx context.Context, k ota.SlotKnock) (bool, error) {
	const op = "take a slot"
	c := takeSlotScript.cmd([]string{tenantSlot(k.Tenant).slots(k.Key)}, []any{k.Holder, k.Max, max(k.Lease.Milliseconds(), 1)})
	if err := s.ask(ctx, 0, c); err != nil {
		return false, fail(op, err)
	}
	n, err := c.Int64()
	return n == 1, fail(op, err)
}

// FreeSlot implements [ota.Slots].
func (s *Store) FreeSlot(ctx context.Context, t ota.TenantID, key, holder string) error {
	c := freeSlotScript.cmd([]string{tenantSlot(t).slots(key)}, []any{holder})
	return fail("free a slot", s.ask(ctx, 0, c))
}
