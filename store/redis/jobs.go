package redis

import (
	"context"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// A job has in each shard a hash {S}:T:job:ID of how far it has come there, and
// its next page is due as "page:T/ID". The hash outlives the shard's last page
// for a week, so that spreading the job twice does it once.
const (
	pagePrefix = "page:"
	jobKept    = 7 * 24 * 60 * 60 * 1000 // ms
	spreadKey  = "j"                     // of [ota.Home.Dues]
)

func (p part) job(id string) string { return string(p) + ":job:" + id }

func pageMember(t ota.TenantID, job string) string { return pagePrefix + string(t) + "/" + job }

// spreadScript raises a shard's revision and puts the first page of a job there.
// A job that is there without its page comes of a torn log, and gets it.
// KEYS: revision, job, due. ARGV: revision, due member, then the job's fields.
var spreadScript = newScript(`
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
local cursor = redis.call('HGET', KEYS[2], 'cursor')
if cursor == 'end' then return 0 end
if not cursor then redis.call('HSET', KEYS[2], unpack(ARGV, 3)) end
local t = redis.call('TIME')
redis.call('ZADD', KEYS[3], 'NX', t[1] * 1000 + math.floor(t[2] / 1000), ARGV[2])
return 1`)

// advanceScript moves a job's cursor. KEYS: lease, job, due. ARGV: head of the
// lease, cursor now, cursor next ("" for the end), members worked, due member,
// members that have failed. It says 'lease', 'cursor', or "worked failed": how
// many there were in the shard. The last page
// stays due until the end is counted in the job's own home.
var advanceScript = newScript(`
local l = redis.call('GET', KEYS[1])
if ARGV[1] ~= '' and (not l or string.sub(l, 1, #ARGV[1]) ~= ARGV[1]) then return 'lease' end
local cursor = redis.call('HGET', KEYS[2], 'cursor')
if not cursor then return 'cursor' end
local to = ARGV[3]
if to == '' then to = 'end' end
if cursor == to then return redis.call('HGET', KEYS[2], 'done') .. ' ' .. (redis.call('HGET', KEYS[2], 'failed') or '0') end
if cursor ~= ARGV[2] then return 'cursor' end
redis.call('HSET', KEYS[2], 'cursor', to)
local done = redis.call('HINCRBY', KEYS[2], 'done', ARGV[4])
local failed = redis.call('HINCRBY', KEYS[2], 'failed', ARGV[6])
if to ~= 'end' then
  local t = redis.call('TIME')
  redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[5])
end
return done .. ' ' .. failed`)

// jobEndScript lets a job go in a shard. KEYS: job, due. ARGV: due member, ms that the hash stays.
var jobEndScript = newScript(`
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)

// Spread implements [ota.Owner].
func (o *Owner) Spread(ctx context.Context, j *ota.Job) error {
	return o.spread(ctx, ota.Ref{Tenant: j.Tenant, Type: ota.JobRef, ID: j.ID})
}

// spread puts a job's first page into every shard and then says so in its home.
// Whoever dies between finds it still due there.
func (o *Owner) spread(ctx context.Context, r ota.Ref) error {
	const op = "spread job"
	home, err := o.s.Load(ctx, r)
	if ota.CodeOf(err) == ota.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	j := home.Job
	if j == nil {
		return ota.Errorf(ota.Internal, op, "%s has no job", r)
	}
	if j.Spread || j.State != ota.JobRunning {
		return nil
	}
	where := j.Where()
	cmds := make([]redis.Cmder, len(where))
	for i, shard := range where {
		s := shardSlot(shard)
		p := s.in(j.Tenant)
		cmds[i] = spreadScript.cmd([]string{p.rev(), p.job(j.ID), s.due()}, []any{
			j.Revision, pageMember(j.Tenant, j.ID),
			"cursor", "0", "done", 0, "rev", j.Revision, "type", string(j.Target.Type), "id", j.Target.ID, "kind", string(j.Kind), "cause", j.Cause,
			"does", j.Type, "page", j.Page(),
		})
	}
	if err := o.send(ctx, cmds...); err != nil {
		return fail(op, err)
	}
	for _, c := range cmds {
		if err := c.Err(); err != nil {
			return fail(op, err)
		}
	}
	now := o.s.Now()
	for _, shard := range where {
		o.noticed(shardSlot(shard), now)
	}
	return o.change(ctx, r, (*ota.Job).Begin)
}

// change writes what f does to a job's home; false from f writes nothing.
func (o *Owner) change(ctx context.Context, r ota.Ref, f func(*ota.Job) bool) error {
	o.jobs.Lock() // 256 shards that end at once would only get in each other's way
	defer o.jobs.Unlock()
	for try := 0; ; try++ {
		home, err := o.s.Load(ctx, r)
		if ota.CodeOf(err) == ota.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		t := &ota.Turn{ID: ota.NewTurnID(), Was: home.Clone(), Home: home}
		if !f(home.Job) {
			return nil
		}
		if home.Job.Over() && !t.Was.Job.Over() {
			t.Out = home.Job.Tells()
		}
		if err = o.s.Commit(ctx, t); ota.CodeOf(err) != ota.Conflict || try == 100 {
			return err
		}
	}
}

// page makes the task of a page that is due: its members, read from the index.
func (o *Owner) page(ctx context.Context, e entry, t *ota.Task) error {
	const op = "read a page of a job"
	tenant, id, ok := strings.Cut(strings.TrimPrefix(e.member, pagePrefix), "/")
	if !ok {
		return ota.Errorf(ota.Internal, op, "%q is due", e.member)
	}
	p := e.h.slot.in(ota.TenantID(tenant))
	fields, err := o.s.c.HGetAll(ctx, p.job(id)).Result()
	if err != nil {
		return fail(op, err)
	}
	w := &ota.JobWork{Job: id, Tenant: ota.TenantID(tenant), Type: fields["does"], Kind: ota.Kind(fields["kind"]), Cause: fields["cause"], Shard: e.h.lease.Shard, Cursor: fields["cursor"]}
	w.Revision, _ = strconv.ParseInt(fields["rev"], 10, 64)
	job := ota.Ref{Tenant: w.Tenant, Type: ota.JobRef, ID: id}
	if w.Cursor == "end" || w.Cursor == "" { // its last page was worked, and its end not counted
		done, _ := strconv.ParseInt(fields["done"], 10, 64)
		failed, _ := strconv.ParseInt(fields["failed"], 10, 64)
		return o.ended(ctx, job, w.Shard, done, failed)
	}
	if err := o.members(ctx, p, fields, w); err != nil {
		return fail(op, err)
	}
	t.Home, t.Page = job, w
	return nil
}

// members reads a page of a target's devices: numbers from the index of bits,
// then ids from their records.
func (o *Owner) members(ctx context.Context, p part, fields map[string]string, w *ota.JobWork) error {
	id := fields["id"]
	switch typ := ota.RefType(fields["type"]); typ {
	case ota.DeviceRef: // its home may be gone by now, which its turn finds out
		w.Members = append(w.Members, ota.RefOf(w.Tenant, ota.DeviceID(id)))
		return nil
	case ota.ProfileRef:
	default:
		return ota.Errorf(ota.Internal, "members of a job", "no index holds the devices of a %s", typ)
	}
	from, err := strconv.ParseUint(w.Cursor, 10, 64)
	if err != nil {
		return fmt.Errorf("cursor %q: %w", w.Cursor, err)
	}
	size, err := strconv.Atoi(fields["page"])
	if err != nil || size < 1 { // spread by an older release
		size = (&ota.Job{}).Page()
	}
	nums, next, err := o.numbers(ctx, p.profile(ota.ProfileID(id)), from, size)
	if err != nil {
		return err
	}
	if next != 0 {
		w.Next = utoa(next)
	}
	cmds := make([]redis.Cmder, len(nums))
	for i, n := range nums {
		cmds[i] = headID(ctx, p.device(n))
	}
	if err := o.send(ctx, cmds...); err != nil {
		return err
	}
	for _, c := range cmds {
		id, err := idOf(c)
		if err != nil {
			return err
		}
		if id != "" {
			w.Members = append(w.Members, ota.RefOf(w.Tenant, ota.DeviceID(id)))
		}
	}
	return nil
}

const bitsAtOnce = 8 << 10 // bytes of an index read at once

// numbers lists the first limit numbers from on that an index holds, and where
// the next page begins, 0 when there is none.
func (o *Owner) numbers(ctx context.Context, key string, from uint64, limit int) (nums []uint64, next uint64, err error) {
	for start := from / 8; ; start += bitsAtOnce {
		chunk, err := o.s.c.GetRange(ctx, key, int64(start), int64(start)+bitsAtOnce-1).Result() //nolint:gosec // below maxNum
		if err != nil {
			return nil, 0, err
		}
		for i := range len(chunk) {
			for b := chunk[i]; b != 0; {
				bit := bits.LeadingZeros8(b) // the highest bit is the first number
				b &^= 0x80 >> bit
				n := (start+uint64(i))*8 + uint64(bit) //nolint:gosec // 0…7
				if n < from {
					continue
				}
				if len(nums) == limit {
					return nums, n, nil
				}
				nums = append(nums, n)
			}
		}
		if len(chunk) < bitsAtOnce {
			return nums, 0, nil
		}
	}
}

// Advance implements [ota.Owner]. It is a Conflict when the lease is another's
// or the page is not the one at hand; a page that was counted already is not
// counted twice.
func (o *Owner) Advance(ctx context.Context, w ota.JobWork, l ota.Lease, done int) error {
	const op = "advance job"
	s := shardSlot(w.Shard)
	p := s.in(w.Tenant)
	head := ""
	if l.Token != 0 {
		head = leaseHead(l)
	}
	c := advanceScript.cmd([]string{s.lease(), p.job(w.Job), s.due()}, []any{head, w.Cursor, w.Next, done, pageMember(w.Tenant, w.Job), w.Failed})
	if err := o.send(ctx, redis.Cmder(c)); err != nil {
		return fail(op, err)
	}
	said, err := c.Text()
	if err != nil {
		return fail(op, err)
	}
	switch said {
	case "lease":
		return ota.Errorf(ota.Conflict, op, "shard %d is another process's", w.Shard)
	case "cursor":
		return ota.Errorf(ota.Conflict, op, "the page was worked already")
	}
	if w.Next != "" {
		o.noticed(s, o.s.Now())
		return nil
	}
	var sum, failed int64
	if _, err := fmt.Sscanf(said, "%d %d", &sum, &failed); err != nil {
		return fail(op, fmt.Errorf("%q: %w", said, err))
	}
	return o.ended(ctx, ota.Ref{Tenant: w.Tenant, Type: ota.JobRef, ID: w.Job}, w.Shard, sum, failed)
}

// ended counts the end of a job in a shard, once, and then lets its page go.
func (o *Owner) ended(ctx context.Context, job ota.Ref, shard int, done, failed int64) error {
	const op = "end job in a shard"
	if err := o.change(ctx, job, func(j *ota.Job) bool { return j.End(shard, done, failed) }); err != nil {
		return err
	}
	s := shardSlot(shard)
	c := jobEndScript.cmd([]string{s.in(job.Tenant).job(job.ID), s.due()}, []any{pageMember(job.Tenant, job.ID), jobKept})
	if err := o.send(ctx, redis.Cmder(c)); err != nil {
		return fail(op, err)
	}
	return fail(op, c.Err())
}
