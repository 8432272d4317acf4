package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// The doors of rollouts: what [ota.Book] does, as scripts in the tenant's slot.
// What a door judges by is written with its rollout, from which it follows.
const (
	toldFor = "21600000" // ms that it is known what a device has told: longer than any message is on its way

	doorHead = `
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local text = call('HGET', KEYS[1], ARGV[1]) or ''
local open, epoch, allowed, most, failed, least, failures, bdecided, bfailed, need =
  string.match(text, '^(%d)|(%d+)|(%-?%d+)|(%d+)|([^|]+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
local late = call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'WITHSCORES')
for i = 1, #late, 2 do
  call('ZREM', KEYS[3], late[i])
  if not string.find(late[i + 1], '.', 1, true) then call('HINCRBY', KEYS[2], 'a', -1) end
end
local function tally(field) return tonumber(call('HGET', KEYS[2], field) or '0') end
local function answer(word)
  local v = call('HMGET', KEYS[2], 'a', 'u', 'f', 's', 'shut', 'why', 'g')
  for i = 1, 7 do v[i] = v[i] or '' end
  return {word, text, v[1], v[2], v[3], v[4], v[5], v[6], call('ZCARD', KEYS[3]), v[7]}
end
`
)

var (
	// tallyScript. KEYS: doors, tally, flight. ARGV: rollout.
	tallyScript = newScript(doorHead + `return answer('')`)

	// admitScript. KEYS as above. ARGV: rollout, permit, 1 where the admission is
	// counted already and 2 where it needs no room, ms of the lease.
	admitScript = newScript(doorHead + `
local score = call('ZSCORE', KEYS[3], ARGV[2])
if score then
  if score ~= 'inf' then
    local till = now + ARGV[4]
    if string.find(score, '.', 1, true) then till = till + 0.5 end
    call('ZADD', KEYS[3], string.format('%.1f', till), ARGV[2])
  end
  return answer('ok')
end
if not open then return answer('gone') end
if open == '0' then return answer('shut') end
if call('HGET', KEYS[2], 'shut') == epoch then return answer('crossed') end
if ARGV[3] == '0' and tonumber(allowed) >= 0 and tally('a') >= tonumber(allowed) then return answer('quota') end
if tonumber(most) > 0 and call('ZCARD', KEYS[3]) >= tonumber(most) then return answer('flight') end
local till = now + ARGV[4]
if ARGV[3] == '1' then till = till + 0.5 else call('HINCRBY', KEYS[2], 'a', 1) end
call('ZADD', KEYS[3], string.format('%.1f', till), ARGV[2])
return answer('ok')`)

	// tellScript. KEYS: doors, tally, flight, told, due. ARGV: rollout, permit,
	// number of what is told, number of the permit, confirm, fresh, release,
	// admissions to be added, tally to be taken from, to be added to, member of
	// what is due, ms that what was told is known, 1 where it is gone. It says 'again', 'told', or
	// 'rung' where the conductor has something to do.
	tellScript = newScript(doorHead + `
local heard = call('GET', KEYS[4]) or ''
local num, released = ',' .. ARGV[3] .. ',', ',r' .. ARGV[4] .. ','
if string.find(heard, num, 1, true) then return 'again' end
if ARGV[5] == '1' then
  if not string.find(heard, released, 1, true) then
    if ARGV[6] == '1' and not call('ZSCORE', KEYS[3], ARGV[2]) then call('HINCRBY', KEYS[2], 'a', 1) end
    call('ZADD', KEYS[3], 'inf', ARGV[2])
  end
elseif ARGV[7] == '1' then
  call('ZREM', KEYS[3], ARGV[2])
  num = num .. released
end
if ARGV[8] ~= '0' then call('HINCRBY', KEYS[2], 'a', ARGV[8]) end
if ARGV[13] == '1' then call('HINCRBY', KEYS[2], 'g', 1) end
if ARGV[9] ~= '' then call('HINCRBY', KEYS[2], ARGV[9], -1) end
if ARGV[10] ~= '' then call('HINCRBY', KEYS[2], ARGV[10], 1) end
local said = 'told'
local function ring()
  local at, old = now, call('ZSCORE', KEYS[5], ARGV[11])
  if old and tonumber(old) >= at then at = tonumber(old) + 1 end
  call('ZADD', KEYS[5], string.format('%.0f', at), ARGV[11])
  said = 'rung'
end
if open == '1' and call('HGET', KEYS[2], 'shut') ~= epoch then
  local bad = tally('f') + tally('s')
  local all = bad + tally('u')
  local b, d = bad - bfailed, all - bdecided
  local min, why = tonumber(least), nil
  if tonumber(allowed) >= 0 then min = math.min(min, allowed - bdecided) end
  min = math.max(min, 1)
  if tonumber(failures) > 0 and b >= tonumber(failures) then
    why = string.format('%d of %d failed, %d are the limit', b, d, failures)
  elseif d >= min and b > failed * d + 1e-9 then
    why = string.format('%d of %d failed, more than %.14g %%', b, d, math.floor(failed * 10000 + 0.5) / 100)
  end
  if why then
    call('HSET', KEYS[2], 'shut', epoch, 'why', why)
    ring()
  elseif tonumber(need) > 0 and all >= tonumber(need) and call('HGET', KEYS[2], 'ripe') ~= epoch then
    call('HSET', KEYS[2], 'ripe', epoch)
    ring()
  end
end
call('SET', KEYS[4], string.sub(heard .. num, -512), 'PX', ARGV[12])
return said`)

	// deliveredScript. KEYS: lease, due, outbox. ARGV: head of the lease, member,
	// score, field of the outbox or "".
	deliveredScript = newScript(`
local l = redis.call('GET', KEYS[1])
if ARGV[1] ~= '' and (not l or string.sub(l, 1, #ARGV[1]) ~= ARGV[1]) then return 0 end
local at = redis.call('ZSCORE', KEYS[2], ARGV[2])
if not at or tonumber(at) ~= tonumber(ARGV[3]) then return 0 end
redis.call('ZREM', KEYS[2], ARGV[2])
if ARGV[4] ~= '' then redis.call('HDEL', KEYS[3], ARGV[4]) end
return 1`)
)

// doorOf are the keys of a rollout's door.
func doorOf(op string, r ota.Ref) (at place, keys []string, err error) {
	if at, err = placeOf(r); err == nil && r.Type != ota.RolloutRef {
		err = ota.Errorf(ota.Invalid, op, "%s has no door", r)
	}
	return at, []string{at.part.doors(), at.part.tally(r.ID), at.part.flight(r.ID)}, err
}

// Admit implements [ota.Doors].
func (s *Store) Admit(ctx context.Context, k ota.Knock) (ota.Answer, error) {
	const op = "ask the door of a rollout"
	at, keys, err := doorOf(op, k.Rollout)
	if err != nil {
		return ota.Answer{}, err
	}
	has := map[ota.Admission]string{ota.NotAdmitted: "0", ota.Admitted: "1", ota.Lapsed: "2"}[k.Has]
	c := admitScript.cmd(keys, []any{k.Rollout.ID, permitMember(k.Device, k.Permit), has, ota.PermitLease.Milliseconds()})
	if err := s.ask(ctx, at.lane(), c); err != nil {
		return ota.Answer{}, fail(op, err)
	}
	said, d, t, err := doorAnswer(c)
	if err != nil {
		return ota.Answer{}, fail(op, err)
	}
	a := ota.Answer{Admitted: said == "ok", Door: d, Tally: t}
	if !a.Admitted {
		a.Held = said
	}
	return a, nil
}

func permitMember(d ota.DeviceID, num int) string { return string(d) + ":" + strconv.Itoa(num) }

// doorAnswer reads what a script of a door answers.
func doorAnswer(c *scriptCmd) (said string, d ota.Door, t ota.Tally, err error) {
	v, err := c.Slice()
	if err != nil || len(v) != 10 {
		return "", d, t, fmt.Errorf("script answered %v: %w", c.Val(), err)
	}
	said, _ = v[0].(string)
	text, _ := v[1].(string)
	if d, err = ota.ParseDoor(text); err != nil {
		d = ota.Door{}
	}
	for i, to := range []*int{&t.Admitted, &t.Updated, &t.Failed, &t.Silent, &t.Shut} {
		if n, _ := v[2+i].(string); n != "" {
			*to, _ = strconv.Atoi(n)
		}
	}
	t.Why, _ = v[7].(string)
	n, _ := v[8].(int64)
	t.InFlight = int(n)
	if n, _ := v[9].(string); n != "" {
		t.Gone, _ = strconv.Atoi(n)
	}
	return said, d, t, nil
}

// Tally implements [ota.Doors].
func (s *Store) Tally(ctx context.Context, r ota.Ref) (ota.Tally, error) {
	const op = "read the tally of a rollout"
	at, keys, err := doorOf(op, r)
	if err != nil {
		return ota.Tally{}, err
	}
	c := tallyScript.cmd(keys, []any{r.ID})
	if err := s.ask(ctx, at.lane(), c); err != nil {
		return ota.Tally{}, fail(op, err)
	}
	_, _, t, err := doorAnswer(c)
	return t, fail(op, err)
}

var tallyFields = map[ota.Verdict]string{"": "", ota.VerdictUpdated: "u", ota.VerdictFailed: "f", ota.VerdictSilent: "s"}

// Tell implements [ota.Doors].
func (s *Store) Tell(ctx context.Context, r ota.Ref, d ota.DeviceID, t ota.Told) error {
	const op = "tell the door of a rollout"
	at, keys, err := doorOf(op, r)
	if err != nil {
		return err
	}
	flag := map[bool]string{true: "1", false: "0"}
	keys = append(keys, at.part.told(r.ID, string(d)), at.slot.due())
	c := tellScript.cmd(keys, []any{
		r.ID, permitMember(d, t.Permit), t.Num, t.Permit, flag[t.Confirm], flag[t.Fresh], flag[t.Release], strconv.Itoa(t.Admitted),
		tallyFields[t.From], tallyFields[t.To], doorPrefix + r.ID, toldFor, flag[t.Gone],
	})
	if err := s.ask(ctx, at.lane(), c); err != nil {
		return fail(op, err)
	}
	said, err := c.Text()
	if err != nil {
		return fail(op, err)
	}
	if said == "rung" {
		s.committed(at.slot, s.Now())
	}
	if t.Release || t.Admitted < 0 {
		s.moved(r)
	}
	return nil
}

// outboxType stands for whom a message is for while that is not known.
const outboxType ota.RefType = "outbox"

// message makes the task of a message to another home. An entry without one is
// let go.
func (o *Owner) message(ctx context.Context, c redis.Cmder, t *ota.Task) error {
	t.Home = ota.Ref{}
	text, err := c.(*redis.StringCmd).Result() //nolint:forcetypeassert // of [Owner.tasks]
	if err == redis.Nil {                      //nolint:errorlint // a command's own error is not wrapped
		return o.Delivered(ctx, *t)
	}
	if err != nil {
		return fail("read a message", err)
	}
	var out ota.Outgoing
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return ota.Errorf(ota.Internal, "read a message", "%s: %w", t.Origin.Key, err)
	}
	t.Home, t.Message = out.To, &out.Message
	return nil
}

// Delivered implements [ota.Owner].
func (o *Owner) Delivered(ctx context.Context, t ota.Task) error {
	const op = "let go of what was delivered"
	s, head := leaseSlot(t.Origin.Lease), ""
	if t.Origin.Lease.Token != 0 {
		head = leaseHead(t.Origin.Lease)
	}
	field, ok := strings.CutPrefix(t.Origin.Key, outboxPrefix)
	if !ok {
		field = ""
	}
	c := deliveredScript.cmd([]string{s.lease(), s.due(), s.outbox()}, []any{head, t.Origin.Key, t.Origin.Due, field})
	if err := o.send(ctx, redis.Cmder(c)); err != nil {
		return fail(op, err)
	}
	return fail(op, c.Err())
}
