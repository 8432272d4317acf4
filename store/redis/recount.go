package redis

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// checkPage is how many keys are read at a time.
const checkPage = 500

// recount reads the homes of a slot, then all that is kept beside them, and
// notes what differs.
func (s *Store) recount(ctx context.Context, c *recount, keys []string) error {
	var beside []string
	for len(keys) > 0 {
		n := min(checkPage, len(keys))
		if err := s.readHomes(ctx, c, keys[:n]); err != nil {
			return err
		}
		for _, k := range keys[:n] {
			if how, _ := keyKind(k); how != "" && how != "record" {
				beside = append(beside, k)
			}
		}
		keys = keys[n:]
	}
	for _, k := range beside {
		have, err := s.readKey(ctx, k)
		if err != nil {
			return err
		}
		c.differ(k, c.part[k], have)
		delete(c.part, k)
	}
	for _, k := range sortedKeys(c.part) {
		c.differ(k, c.part[k], nil)
	}
	return nil
}

func (c *recount) differ(key string, want, have map[string]string) {
	for _, m := range sortedKeys(want) {
		if v, ok := have[m]; !ok {
			c.found = append(c.found, quoted(key, m)+" is missing, want "+want[m])
		} else if v != want[m] {
			c.found = append(c.found, quoted(key, m)+" is "+v+", want "+want[m])
		}
	}
	for _, m := range sortedKeys(have) {
		if _, ok := want[m]; !ok && !foreign(key, m) {
			c.found = append(c.found, quoted(key, m)+" is "+have[m]+", want none")
		}
	}
}

func quoted(key, member string) string { return key + " " + strings.ReplaceAll(member, "\x00", " ") }

// foreign says whether something is due that follows from no home: messages to
// other homes, and pages of jobs.
func foreign(key, member string) bool {
	if !strings.HasSuffix(key, "}:due") {
		return false
	}
	a, b, _, ok := parseDue(member)
	if !ok {
		return true
	}
	if strings.HasPrefix(key, "{t:") {
		_, known := homeTypes[ota.RefType(a)]
		return !known
	}
	_, isNum := atou(b)
	return !isNum
}

// homeTypes are the nouns that a tenant has homes for.
var homeTypes = map[ota.RefType]bool{ota.ProfileRef: true, ota.PackageRef: true, ota.RolloutRef: true, ota.JobRef: true}

func (s *Store) readHomes(ctx context.Context, c *recount, keys []string) error {
	var cmds []redis.Cmder
	var refs []ota.Ref
	for _, k := range keys {
		if how, r := keyKind(k); how == "record" {
			cmds, refs = append(cmds, redis.NewStringCmd(ctx, "get", k)), append(refs, r)
		}
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return err
	}
	for i, cmd := range cmds {
		rec, err := cmd.(*redis.StringCmd).Result()
		if errors.Is(err, redis.Nil) {
			continue // went meanwhile
		}
		r, key := refs[i], cmd.Args()[1].(string) //nolint:forcetypeassert // made above
		if r.Type == ota.DeviceRef {
			var ok bool
			if r, ok = refOf(r.Tenant, rec); !ok {
				c.found = append(c.found, key+" is no record")
				continue
			}
		}
		h, err := decodeHome(r, rec)
		at, placeErr := placeOf(r)
		if err == nil && placeErr == nil && at.key != key {
			err = errors.New("it lies at " + key)
		}
		if err != nil || placeErr != nil {
			c.found = append(c.found, r.String()+" cannot be read: "+errors.Join(err, placeErr).Error())
			continue
		}
		c.home(at, h)
	}
	return nil
}

// readKey reads what is kept beside homes as members with what they say.
func (s *Store) readKey(ctx context.Context, key string) (map[string]string, error) {
	out := map[string]string{}
	switch how, _ := keyKind(key); how {
	case "zset":
		all, err := s.c.ZRangeWithScores(ctx, key, 0, -1).Result()
		for _, z := range all {
			out[z.Member.(string)] = score(z.Score) //nolint:forcetypeassert // Redis has strings alone
		}
		return out, err
	case "hash":
		return s.c.HGetAll(ctx, key).Result()
	case "set":
		all, err := s.c.SMembers(ctx, key).Result()
		for _, m := range all {
			out[m] = ""
		}
		return out, err
	}
	bits, err := s.c.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	for _, n := range setBits(bits, 0) {
		out[utoa(n)] = ""
	}
	return out, err
}

// checkHeld compares the keys of names and tokens with those that devices have.
func (s *Store) checkHeld(ctx context.Context, keys []string, want map[string]string) ([]string, error) {
	var found []string
	for len(keys) > 0 {
		n := min(checkPage, len(keys))
		var cmds []redis.Cmder
		for _, k := range keys[:n] {
			if strings.HasPrefix(k, "name:") || strings.HasPrefix(k, "token:") {
				cmds = append(cmds, redis.NewStringCmd(ctx, "get", k))
			}
		}
		keys = keys[n:]
		if err := s.askAll(ctx, cmds...); err != nil {
			return found, err
		}
		for _, c := range cmds {
			key, _ := c.Args()[1].(string)
			mark, r, ok := holder(c.(*redis.StringCmd).Val()) //nolint:forcetypeassert // made above
			switch {
			case ok && want[key] == r.ID:
				delete(want, key)
			case ok && mark == markReserved: // on its way, or Sweep's
			default:
				found = append(found, key+" holds "+r.ID+", want "+want[key])
				delete(want, key)
			}
		}
	}
	for _, k := range sortedKeys(want) {
		found = append(found, k+" is missing, want "+want[k])
	}
	return found, nil
}
