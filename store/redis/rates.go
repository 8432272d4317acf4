package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// bucketScript takes a token from a bucket (GCRA). KEYS[1] the bucket, ARGV: µs
// between two tokens, and how many it holds. It keeps the moment, in µs, at which
// the bucket is full again; a bucket that is full needs no key. It returns the µs
// until there is a token, 0 where one was taken.
var bucketScript = newScript(`
local t = redis.call('TIME')
local now, gap, burst = t[1] * 1000000 + t[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local full = tonumber(redis.call('GET', KEYS[1]) or 0)
if full > now + gap * burst then full = now + gap * burst end
if full < now then full = now end
local wait = full + gap - now - gap * burst
if wait > 0 then return math.ceil(wait) end
full = full + gap
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
return 0`)

// longestGap keeps reckoning within what scripts count exactly.
const longestGap = 366 * 24 * time.Hour

var _ ota.Rates = (*Store)(nil)

// Take implements [ota.Rates]. A bucket whose rate or size was changed holds no
// less than nothing and no more than its new size.
func (s *Store) Take(ctx context.Context, t ota.TenantID, name string, p ota.Pace, burst int) (time.Duration, error) {
	const op = "take a token"
	if p == (ota.Pace{}) || p.Count > 0 && p.Every <= 0 {
		return 0, nil
	}
	if p.Count <= 0 {
		return 0, ota.Errorf(ota.Invalid, op, "%d every %v is no pace", p.Count, p.Every)
	}
	gap := min(max(p.Every/time.Duration(p.Count), time.Microsecond), longestGap).Microseconds()
	holds := min(max(int64(burst), 1), 1<<51/gap)
	c := bucketScript.cmd([]string{tenantSlot(t).bucket(name)}, []any{gap, holds})
	if err := s.send(ctx, redis.Cmder(c)); err != nil {
		return 0, fail(op, err)
	}
	wait, err := c.Int64()
	if err != nil {
		return 0, fail(op, err)
	}
	return time.Duration(wait) * time.Microsecond, nil
}

// bucket is where the tokens of a name are counted.
func (s slot) bucket(name string) string { return string(s) + ":bucket:" + name }
