package redis

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

var (
	_ ota.Revisions = (*Store)(nil)
	_ ota.Actives   = (*Store)(nil)
)

// Chains belong to no tenant and lie in one slot together, so that several can
// be made active at once.
const (
	chainsTag    = "{chains}"
	activeChains = chainsTag + ":active"
	chainsMark   = chainsTag + ":mark"

	// leftFor is how long a revision is kept after it was active: longer than
	// any process takes to hear of it and to end its turns, of which one may
	// park a run yet.
	leftFor = time.Hour
)

func revisionKey(digest string) string { return chainsTag + ":rev:" + digest }
func revisionsOf(chain string) string  { return chainsTag + ":of:" + chain }
func leftOf(chain string) string       { return chainsTag + ":left:" + chain }

// keepScript keeps a revision unless it is there, which it is when all is written
// (aof.go). KEYS[1] the revision, KEYS[2]
// those of its chain, ARGV: the text, the digest, the text without files.
var keepScript = newScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[1])
return 1`)

// dropScript lets go of a revision unless it is active or a file's. KEYS[1] the
// revision, KEYS[2] those of its chain, KEYS[3] when they were active, KEYS[4]
// what is active, ARGV: the chain, the digest.
var dropScript = newScript(`
local v = redis.call('HGET', KEYS[4], ARGV[1])
if v then
  local a, f = string.match(v, '^([^|]*)|([^|]*)|')
  if a == ARGV[2] or f == ARGV[2] then return 0 end
end
redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1`)

// activateScript makes revisions active. KEYS[1] what is active, KEYS[2] the
// mark, then for each chain a revision and where it is noted when those of its
// chain were active; ARGV: the mark that must be, the new one, the ms, then for
// each chain its name, digest and value.
var activateScript = newScript(`
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
for i = 3, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 0 then return 0 end
end
for i = 3, #KEYS, 2 do
  local at = 4 + (i - 3) / 2 * 3
  local chain, digest, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local was = redis.call('HGET', KEYS[1], chain)
  local d = was and string.match(was, '^([^|]*)|')
  if d and d ~= digest then redis.call('HSET', KEYS[i + 1], d, ARGV[3]) end
  redis.call('HDEL', KEYS[i + 1], digest)
  redis.call('HSET', KEYS[1], chain, value)
end
redis.call('SET', KEYS[2], ARGV[2])
return 1`)

// KeepChain implements [ota.Revisions]. Older ones that nothing needs make room.
func (s *Store) KeepChain(ctx context.Context, r ota.ChainRevision) error {
	op := "keep a revision of chain " + r.Chain
	if !plainID(r.Chain) || !plainID(r.Digest) {
		return ota.Errorf(ota.Invalid, op, "%q and %q cannot be a chain and a digest", r.Chain, r.Digest)
	}
	r.Left, r.Needed = time.Time{}, 0
	whole, err := json.Marshal(r)
	if err == nil {
		r.Files = nil
		var bare []byte
		if bare, err = json.Marshal(r); err == nil {
			c := keepScript.cmd([]string{revisionKey(r.Digest), revisionsOf(r.Chain)}, []any{whole, r.Digest, bare})
			if err = s.ask(ctx, 0, redis.Cmder(c)); err == nil {
				err = s.trim(ctx, r.Chain)
			}
		}
	}
	return fail(op, err)
}

// trim lets go of a chain's oldest revisions where it has too many.
func (s *Store) trim(ctx context.Context, chain string) error {
	all, err := s.revisions(ctx, chain)
	if err != nil || len(all) <= ota.KeepRevisions {
		return err
	}
	needed, err := s.NeededChains(ctx)
	if err != nil {
		return err
	}
	for _, r := range all[ota.KeepRevisions:] {
		if needed[r.Digest] > 0 || s.Now().Sub(r.Left) < leftFor {
			continue
		}
		c := dropScript.cmd([]string{revisionKey(r.Digest), revisionsOf(chain), leftOf(chain), activeChains}, []any{chain, r.Digest})
		if err := s.ask(ctx, 0, redis.Cmder(c)); err != nil {
			return err
		}
	}
	return nil
}

// KeptChain implements [ota.Revisions].
func (s *Store) KeptChain(ctx context.Context, digest string) (ota.ChainRevision, error) {
	op := "read revision " + digest
	none := ota.Errorf(ota.NotFound, op, "there is none")
	var r ota.ChainRevision
	if !plainID(digest) {
		return r, none
	}
	c := redis.NewStringCmd(ctx, "get", revisionKey(digest))
	if err := s.ask(ctx, 0, c); err != nil {
		return r, fail(op, err)
	}
	if errors.Is(c.Err(), redis.Nil) {
		return r, none
	}
	if err := json.Unmarshal([]byte(c.Val()), &r); err != nil {
		return r, &ota.Error{Code: ota.Internal, Op: op, Err: err}
	}
	return r, nil
}

// KeptChains implements [ota.Revisions].
func (s *Store) KeptChains(ctx context.Context, chain string) ([]ota.ChainRevision, error) {
	op := "list revisions of chain " + chain
	if !plainID(chain) {
		return nil, nil
	}
	all, err := s.revisions(ctx, chain)
	if err != nil || len(all) == 0 {
		return nil, fail(op, err)
	}
	needed, err := s.NeededChains(ctx)
	for i := range all {
		all[i].Needed = needed[all[i].Digest]
	}
	return all, fail(op, err)
}

// revisions are a chain's, newest first, without what needs them.
func (s *Store) revisions(ctx context.Context, chain string) ([]ota.ChainRevision, error) {
	texts, left := redis.NewMapStringStringCmd(ctx, "hgetall", revisionsOf(chain)), redis.NewMapStringStringCmd(ctx, "hgetall", leftOf(chain))
	if err := s.ask(ctx, 0, texts, left); err != nil {
		return nil, err
	}
	var out []ota.ChainRevision
	for digest, text := range texts.Val() {
		var r ota.ChainRevision
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, &ota.Error{Code: ota.Internal, Op: "read revision " + digest, Err: err}
		}
		if ms, err := strconv.ParseInt(left.Val()[digest], 10, 64); err == nil {
			r.Left = time.UnixMilli(ms).UTC()
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b ota.ChainRevision) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return strings.Compare(a.Digest, b.Digest)
	})
	return out, nil
}

// NeededChains implements [ota.Revisions]: each slot keeps its own count, which
// moves in the commits of its homes.
func (s *Store) NeededChains(ctx context.Context) (map[string]int64, error) {
	const op = "count what revisions are needed"
	tenants, err := s.c.SMembers(ctx, tenantsKey).Result()
	if err != nil {
		return nil, fail(op, err)
	}
	out := map[string]int64{}
	for _, t := range tenants {
		id := ota.TenantID(t)
		cmds := []redis.Cmder{redis.NewMapStringStringCmd(ctx, "hgetall", part(tenantSlot(id)).needs())}
		for i := range ota.Shards {
			cmds = append(cmds, redis.NewMapStringStringCmd(ctx, "hgetall", shardSlot(i).in(id).needs()))
		}
		if err := s.askAll(ctx, cmds...); err != nil {
			return nil, fail(op, err)
		}
		for _, c := range cmds {
			for digest, text := range c.(*redis.MapStringStringCmd).Val() { //nolint:forcetypeassert // made above
				n, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return nil, &ota.Error{Code: ota.Internal, Op: op, Err: err}
				}
				out[digest] += n
			}
		}
	}
	return out, nil
}

// ActiveChains implements [ota.Actives].
func (s *Store) ActiveChains(ctx context.Context, mark string) (ota.ActiveChains, error) {
	const op = "read the active chains"
	for {
		before := redis.NewStringCmd(ctx, "get", chainsMark)
		if err := s.ask(ctx, 0, before); err != nil {
			return ota.ActiveChains{}, fail(op, err)
		}
		if before.Val() == mark {
			return ota.ActiveChains{Mark: mark}, nil
		}
		values, after := redis.NewMapStringStringCmd(ctx, "hgetall", activeChains), redis.NewStringCmd(ctx, "get", chainsMark)
		if err := s.ask(ctx, 0, values, after); err != nil {
			return ota.ActiveChains{}, fail(op, err)
		}
		if after.Val() != before.Val() { // it was written in between
			continue
		}
		out := ota.ActiveChains{Mark: after.Val(), Chains: map[string]ota.ActiveChain{}}
		for chain, v := range values.Val() {
			a, err := parseActive(chain, v)
			if err != nil {
				return out, &ota.Error{Code: ota.Internal, Op: op, Err: err}
			}
			out.Chains[chain] = a
		}
		return out, nil
	}
}

var errActive = errors.New("it cannot be read")

func parseActive(chain, v string) (ota.ActiveChain, error) {
	f := strings.SplitN(v, "|", 4)
	if len(f) != 4 {
		return ota.ActiveChain{}, ota.Errorf(ota.Internal, "chain "+chain, "%q: %w", v, errActive)
	}
	ms, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return ota.ActiveChain{}, ota.Errorf(ota.Internal, "chain "+chain, "%q: %w", v, errActive)
	}
	return ota.ActiveChain{Chain: chain, Digest: f[0], File: f[1], At: time.UnixMilli(ms).UTC(), By: f[3]}, nil
}

// ActivateChains implements [ota.Actives].
func (s *Store) ActivateChains(ctx context.Context, mark string, to []ota.ActiveChain) (string, error) {
	const op = "make chains active"
	if len(to) == 0 {
		return mark, nil
	}
	next := ota.NewID()
	keys := []string{activeChains, chainsMark}
	args := []any{mark, next, s.Now().UnixMilli()}
	for _, a := range to {
		if !plainID(a.Chain) || !plainID(a.Digest) || a.File != "" && !plainID(a.File) {
			return "", ota.Errorf(ota.Invalid, op, "%q, %q and %q cannot be a chain and digests", a.Chain, a.Digest, a.File)
		}
		keys = append(keys, revisionKey(a.Digest), leftOf(a.Chain))
		args = append(args, a.Chain, a.Digest, a.Digest+"|"+a.File+"|"+strconv.FormatInt(a.At.UnixMilli(), 10)+"|"+a.By)
	}
	c := activateScript.cmd(keys, args)
	if err := s.ask(ctx, 0, redis.Cmder(c)); err != nil {
		return "", fail(op, err)
	}
	if n, err := c.Int64(); err != nil {
		return "", fail(op, err)
	} else if n == 0 {
		return "", ota.Errorf(ota.Conflict, op, "others have changed what is active, or let go of a revision; look again")
	}
	return next, nil
}
