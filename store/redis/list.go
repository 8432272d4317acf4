package redis

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

const (
	maxLimit    = 1000
	bitsChunk   = 4096 // bytes of a bit index read at a time: 32768 devices
	shardsAhead = 32   // shards asked at a time
)

// List shows a page; see [ota.Lister]. Devices come shard by shard in the order
// of their numbers, other nouns by name, rollouts and jobs by age.
func (s *Store) List(ctx context.Context, q ota.Query) (ota.Page, error) {
	const op = "list"
	switch {
	case !plainID(string(q.Tenant)):
		return ota.Page{}, ota.Errorf(ota.NotFound, op, "%q cannot be a tenant", q.Tenant)
	case q.Limit < 1 || q.Limit > maxLimit:
		return ota.Page{}, ota.Errorf(ota.Invalid, op, "limit is %d, want 1 to %d", q.Limit, maxLimit)
	case q.Type != ota.DeviceRef:
		return s.listNouns(ctx, q)
	}
	shard, num, err := parseCursor(q.Cursor)
	if err != nil {
		return ota.Page{}, err
	}
	var page ota.Page
	for shard < ota.Shards && len(page.Homes) < q.Limit {
		nums, next, err := s.numbers(ctx, q, shard, num, q.Limit-len(page.Homes))
		if err != nil {
			return ota.Page{}, fail(op, err)
		}
		if err := s.devices(ctx, q.Tenant, nums, &page); err != nil {
			return ota.Page{}, fail(op, err)
		}
		shard, num = next.shard, next.num
	}
	if shard < ota.Shards {
		page.Next = strconv.Itoa(shard) + "." + utoa(num)
	}
	return page, nil
}

// at is a device's shard and number.
type at struct {
	shard int
	num   uint64
}

func parseCursor(c string) (shard int, num uint64, err error) {
	if c == "" {
		return 0, 0, nil
	}
	a, b, ok := strings.Cut(c, ".")
	shard, err1 := strconv.Atoi(a)
	num, ok2 := atou(b)
	if !ok || err1 != nil || !ok2 || shard < 0 || shard >= ota.Shards || num >= maxNum {
		return 0, 0, ota.Errorf(ota.Invalid, "list", "%q is not a cursor", c)
	}
	return shard, num, nil
}

// index is the key of the bit index that a query reads in a shard.
func (q query) index(shard int) string {
	p := shardSlot(shard).in(q.Tenant)
	switch {
	case q.State != "":
		return p.state(q.Kind, q.State)
	case q.Profile != "":
		return p.profile(q.Profile)
	case q.Alarmed:
		return p.alarmed()
	}
	return p.all()
}

type query ota.Query

// numbers returns up to limit devices behind num in shard and those that follow
// it, and where to go on. It may return fewer, or none, before the end.
func (s *Store) numbers(ctx context.Context, q ota.Query, shard int, num uint64, limit int) ([]at, at, error) {
	cmds := make([]redis.Cmder, 0, shardsAhead)
	from := (num + 1) / 8
	for i := shard; i < min(shard+shardsAhead, ota.Shards); i++ {
		cmds = append(cmds, redis.NewStringCmd(ctx, "getrange", query(q).index(i), from, from+bitsChunk-1))
		from = 0
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return nil, at{}, err
	}
	var out []at
	from = (num + 1) / 8
	for i, c := range cmds {
		bits := c.(*redis.StringCmd).Val() //nolint:forcetypeassert // made above
		for _, n := range setBits(bits, from*8) {
			if n <= num && i == 0 {
				continue
			}
			if len(out) == limit {
				return out, out[limit-1], nil
			}
			out = append(out, at{shard + i, n})
		}
		if len(bits) == bitsChunk {
			return out, at{shard + i, (from+bitsChunk)*8 - 1}, nil
		}
		from = 0
	}
	return out, at{shard + len(cmds), 0}, nil
}

// setBits lists which bits of b are set, counted from first; Redis numbers bits
// from the highest of the first byte on.
func setBits(b string, first uint64) []uint64 {
	var out []uint64
	for i := range len(b) {
		for c, bit := b[i], uint64(0); c != 0; c, bit = c<<1, bit+1 {
			if c&0x80 != 0 {
				out = append(out, first+uint64(i)*8+bit)
			}
		}
	}
	return out
}

// devices adds the homes at their places to page; those that went meanwhile are
// left out.
func (s *Store) devices(ctx context.Context, t ota.TenantID, places []at, page *ota.Page) error {
	cmds := make([]redis.Cmder, len(places))
	for i, p := range places {
		cmds[i] = redis.NewStringCmd(ctx, "get", shardSlot(p.shard).in(t).device(p.num))
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return err
	}
	for _, c := range cmds {
		rec := c.(*redis.StringCmd).Val() //nolint:forcetypeassert // made above
		if r, ok := refOf(t, rec); ok {
			h, err := decodeHome(r, rec)
			if err != nil {
				return err
			}
			page.Homes = append(page.Homes, h)
		}
	}
	return nil
}

// refOf reads whose record a device's is from its header.
func refOf(t ota.TenantID, record string) (ota.Ref, bool) {
	if len(record) < headSize {
		return ota.Ref{}, false
	}
	return ota.RefOf(t, ota.DeviceID(unpackUUID(record[headTurn:headSize]))), true
}

func (s *Store) listNouns(ctx context.Context, q ota.Query) (ota.Page, error) {
	const op = "list"
	after, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil {
		return ota.Page{}, ota.Errorf(ota.Invalid, op, "%q is not a cursor", q.Cursor)
	}
	from, to := "-", "+"
	if q.Prefix != "" {
		from, to = "["+q.Prefix, "("+q.Prefix+"\xff" // which is in no UTF-8
	}
	if len(after) > 0 {
		from = "(" + string(after)
	}
	p := part(tenantSlot(q.Tenant))
	members := redis.NewStringSliceCmd(ctx, "zrangebylex", p.list(q.Type), from, to, "limit", 0, q.Limit+1)
	if err := s.ask(ctx, 0, members); err != nil {
		return ota.Page{}, fail(op, err)
	}
	var page ota.Page
	list := members.Val()
	if len(list) > q.Limit {
		list = list[:q.Limit]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(list[q.Limit-1]))
	}
	cmds := make([]redis.Cmder, len(list))
	for i, m := range list {
		cmds[i] = redis.NewStringCmd(ctx, "get", p.noun(q.Type, m[strings.LastIndexByte(m, 0)+1:]))
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return ota.Page{}, fail(op, err)
	}
	for i, c := range cmds {
		rec := c.(*redis.StringCmd) //nolint:forcetypeassert // made above
		h, err := homeOf(ota.Ref{Tenant: q.Tenant, Type: q.Type, ID: list[i][strings.LastIndexByte(list[i], 0)+1:]}, rec)
		if ota.CodeOf(err) == ota.NotFound {
			continue // went meanwhile
		}
		if err != nil {
			return ota.Page{}, err
		}
		page.Homes = append(page.Homes, h)
	}
	return page, nil
}
