package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// paceScript draws the next moment (GCRA without a burst). KEYS[1] the pace,
// ARGV: µs between two moments. It keeps the moment after the one drawn, in µs,
// and how far apart they are: a faster pace must not wait for moments that a
// slower one has given away. Each owner draws one moment ahead, and there are no
// more owners than shards: what lies further ahead was drawn before the clock was
// put back. It returns the µs until the moment drawn.
var paceScript = newScript(`
local t = redis.call('TIME')
local now, gap, next = t[1] * 1000000 + t[2], tonumber(ARGV[1]), 0
local v = redis.call('GET', KEYS[1])
if v then
  local n, g = string.match(v, '^(%d+)|(%d+)$')
  next = tonumber(n)
  if tonumber(g) > gap then next = math.min(next, now + gap) end
end
if next < now or next > now + 257 * gap then next = now end
redis.call('SET', KEYS[1], string.format('%.0f|%.0f', next + gap, gap), 'PX', math.ceil((next + gap - now) / 1000) + 1000)
return next - now`)

// Draw implements [ota.Owner]. Moments lie evenly apart however many processes
// draw; one that is drawn and not used is lost. The pace without a number is
// unlimited and asks nobody.
func (o *Owner) Draw(ctx context.Context, t ota.TenantID, name string, p ota.Pace) (time.Duration, error) {
	const op = "draw from a pace"
	if p == (ota.Pace{}) || p.Count > 0 && p.Every <= 0 {
		return 0, nil
	}
	if p.Count <= 0 {
		return 0, ota.Errorf(ota.Invalid, op, "%d every %v is no pace", p.Count, p.Every)
	}
	gap := max(p.Every/time.Duration(p.Count), time.Microsecond).Microseconds()
	c := paceScript.cmd([]string{tenantSlot(t).pace(name)}, []any{gap})
	if err := o.send(ctx, redis.Cmder(c)); err != nil {
		return 0, fail(op, err)
	}
	wait, err := c.Int64()
	if err != nil {
		return 0, fail(op, err)
	}
	return time.Duration(wait) * time.Microsecond, nil
}

// pace is where a pace keeps its next moment.
func (s slot) pace(name string) string { return string(s) + ":pace:" + name }
