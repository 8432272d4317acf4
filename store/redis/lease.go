package redis

import (
	"context"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

const (
	// leaseFor is how long a slot stays with a process that says nothing more.
	leaseFor = 10 * time.Second
	// renewAfter is the age at which a lease is renewed.
	renewAfter = 1500 * time.Millisecond
	// askAgain is how long a slot that is another's is left alone.
	askAgain = 2 * time.Second
)

// processesKey holds the processes that live, by the ms until which they do.
const processesKey = "processes"

// leaseScript takes or renews a lease. KEYS[1] the lease, ARGV: owner, token to
// renew or 0 to take it, ms that it lasts. It returns the token, 0 where it is
// another's, and ms until when. A new owner's token is greater than the last
// one, and than any that a master which is gone can have given: it is not
// below the time. A lease that seems to last longer than any does was given
// before the clock was put back: it lasts as long as one that is given now, so
// that whoever died with it does not keep it for as long as the clock went back.
var leaseScript = newScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local owner, token, till = '', 0, 0
local v = redis.call('GET', KEYS[1])
if v then
  local o, k, e = string.match(v, '^(.*)|(%d+)|(%d+)$')
  if o then owner, token, till = o, tonumber(k), tonumber(e) end
end
local mine = ARGV[2] ~= '0' and owner == ARGV[1] and token == tonumber(ARGV[2])
if not mine then
  if ARGV[2] ~= '0' or owner ~= '' and till > now then
    if till > now + ARGV[3] then
      till = now + ARGV[3]
      redis.call('SET', KEYS[1], string.format('%s|%.0f|%.0f', owner, token, till))
    end
    return {0, till - now}
  end
  token = math.max(token + 1, now)
end
redis.call('SET', KEYS[1], string.format('%s|%.0f|%.0f', ARGV[1], token, now + ARGV[3]))
return {token, tonumber(ARGV[3])}`)

// giveScript gives a lease back, keeping its token. KEYS[1] the lease, ARGV:
// owner, token.
var giveScript = newScript(`
local v = redis.call('GET', KEYS[1])
local head = ARGV[1] .. '|' .. ARGV[2] .. '|'
if not v or string.sub(v, 1, #head) ~= head then return 0 end
redis.call('SET', KEYS[1], '|' .. ARGV[2] .. '|0')
return 1`)

// liveScript says that a process lives and returns all that do. KEYS[1] the
// processes, ARGV: process, ms that it counts. As with leases, none counts for
// longer because the clock was put back.
var liveScript = newScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, p in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + ARGV[2]), '+inf')) do
  redis.call('ZADD', KEYS[1], now + ARGV[2], p)
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return redis.call('ZRANGE', KEYS[1], 0, -1)`)

// held is a slot whose lease this process has.
type held struct {
	slot    slot
	lease   ota.Lease
	asked   time.Time // when it was taken or renewed last; it holds leaseFor longer
	next    int64     // ms when something here is due next, as far as is known; 0: never
	looked  time.Time // when that was read
	due     blocks    // entries of what is due that are not to be handed out now
	lines   []*line   // of a shard: that are not empty
	relined time.Time // when those were read; zero: something came since
	whole   string    // the lives of Redis in which all here was found right (mend_owner.go)
}

// holds says whether the lease surely lasts.
func (h *held) holds(now time.Time) bool { return now.Sub(h.asked) < leaseFor-time.Second }

// Own implements [ota.Owner].
func (o *Owner) Own(ctx context.Context) (int, error) {
	const op = "own shards"
	o.owning.Lock()
	defer o.owning.Unlock()
	share, slots, err := o.share(ctx)
	if err != nil {
		return o.count(), fail(op, err)
	}
	if err := o.renew(ctx); err != nil {
		return o.count(), fail(op, err)
	}
	if err := o.take(ctx, slots, share); err != nil {
		return o.count(), fail(op, err)
	}
	if err := o.giveBack(ctx, share); err != nil {
		return o.count(), fail(op, err)
	}
	return o.count(), nil
}

func (o *Owner) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.held)
}

// share is how many slots this process may hold, and all there are, in an order
// of its own so that processes that start together do not race for the same.
func (o *Owner) share(ctx context.Context) (int, []ota.Lease, error) {
	live := liveScript.cmd([]string{processesKey}, []any{o.name, leaseFor.Milliseconds()})
	tenants := redis.NewStringSliceCmd(ctx, "smembers", tenantsKey)
	if err := o.send(ctx, live, tenants); err != nil {
		return 0, nil, err
	}
	names, err := live.StringSlice()
	if err != nil {
		return 0, nil, err
	}
	if err := tenants.Err(); err != nil {
		return 0, nil, err
	}
	all := make([]ota.Lease, 0, ota.Shards+len(tenants.Val()))
	for i := range ota.Shards {
		all = append(all, ota.Lease{Shard: i})
	}
	list := slices.Sorted(slices.Values(tenants.Val()))
	for _, t := range list {
		all = append(all, ota.Lease{Shard: -1, Tenant: ota.TenantID(t)})
	}
	h := fnv.New32a()
	h.Write([]byte(o.name))
	first := int(h.Sum32() % uint32(len(all))) //nolint:gosec // some hundreds
	n := max(len(names), 1)
	return (len(all) + n - 1) / n, append(all[first:len(all):len(all)], all[:first]...), nil
}

// renew says again that the slots are ours, and forgets those that are not.
func (o *Owner) renew(ctx context.Context) error {
	now := time.Now()
	var old []*held
	o.mu.Lock()
	for _, h := range o.held {
		if now.Sub(h.asked) >= renewAfter {
			old = append(old, h)
		}
	}
	o.mu.Unlock()
	cmds := make([]redis.Cmder, len(old))
	for i, h := range old {
		cmds[i] = leaseScript.cmd([]string{h.slot.lease()}, []any{o.name, h.lease.Token, leaseFor.Milliseconds()})
	}
	err := o.send(ctx, cmds...)
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, h := range old {
		token, _, cerr := leaseAnswer(cmds[i])
		switch {
		case cerr != nil:
			err = cerr // what cannot be renewed runs out
		case token == h.lease.Token:
			h.asked = now
		case o.held[h.slot] == h:
			delete(o.held, h.slot)
		}
	}
	return err
}

func leaseAnswer(c redis.Cmder) (token, ms int64, err error) {
	v, err := c.(*scriptCmd).Int64Slice()
	if err != nil || len(v) != 2 {
		return 0, 0, err
	}
	return v[0], v[1], nil
}

// take asks for slots that may be free until the share is reached.
func (o *Owner) take(ctx context.Context, slots []ota.Lease, share int) error {
	for len(slots) > 0 {
		now := time.Now()
		o.mu.Lock()
		want := share - len(o.held)
		var ask []ota.Lease
		for len(slots) > 0 && len(ask) < want {
			s := leaseSlot(slots[0])
			if o.held[s] == nil && !now.Before(o.others[s]) {
				ask = append(ask, slots[0])
			}
			slots = slots[1:]
		}
		o.mu.Unlock()
		if len(ask) == 0 {
			return nil
		}
		if err := o.ask(ctx, ask, now); err != nil {
			return err
		}
	}
	return nil
}

func (o *Owner) ask(ctx context.Context, ask []ota.Lease, now time.Time) error {
	cmds := make([]redis.Cmder, len(ask))
	for i, l := range ask {
		cmds[i] = leaseScript.cmd([]string{leaseSlot(l).lease()}, []any{o.name, 0, leaseFor.Milliseconds()})
	}
	err := o.send(ctx, cmds...)
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, l := range ask {
		s := leaseSlot(l)
		token, ms, cerr := leaseAnswer(cmds[i])
		switch {
		case cerr != nil:
			err = cerr
		case token == 0:
			o.others[s] = now.Add(min(time.Duration(ms)*time.Millisecond, askAgain))
		default:
			l.Owner, l.Token = o.name, token
			delete(o.others, s)
			o.held[s] = &held{slot: s, lease: l, asked: now, due: blocks{}}
		}
	}
	return err
}

// giveBack returns what is over the share, slots with nothing in flight first.
func (o *Owner) giveBack(ctx context.Context, share int) error {
	o.mu.Lock()
	over := len(o.held) - share
	var give []*held
	for _, idle := range []bool{true, false} {
		for _, h := range o.held {
			if len(give) >= over {
				break
			}
			if h.idle() == idle {
				give = append(give, h)
			}
		}
	}
	for _, h := range give {
		delete(o.held, h.slot)
		o.others[h.slot] = time.Now().Add(askAgain)
	}
	o.mu.Unlock()
	return o.give(ctx, give)
}

func (o *Owner) give(ctx context.Context, hs []*held) error {
	cmds := make([]redis.Cmder, len(hs))
	for i, h := range hs {
		cmds[i] = giveScript.cmd([]string{h.slot.lease()}, []any{o.name, h.lease.Token})
	}
	if err := o.send(ctx, cmds...); err != nil {
		return err
	}
	for _, c := range cmds {
		if err := c.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Release implements [ota.Owner]. Releasing twice is once; [Owner.Own] takes
// leases again.
func (o *Owner) Release(ctx context.Context) error {
	o.owning.Lock()
	defer o.owning.Unlock()
	o.mu.Lock()
	var all []*held
	for _, h := range o.held {
		all = append(all, h)
	}
	clear(o.held)
	clear(o.others)
	o.mu.Unlock()
	err := o.give(ctx, all)
	if gone := o.s.c.ZRem(ctx, processesKey, o.name).Err(); err == nil {
		err = gone
	}
	return fail("release shards", err)
}

// plainName says whether a name can stand in a lease.
func plainName(s string) bool { return s != "" && !strings.ContainsAny(s, "|\n") }
