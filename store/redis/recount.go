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
		err := s.readHomes(ctx, keys[:n], func(key string, h read) {
			if h.trouble != "" {
				c.found = append(c.found, h.trouble)
			} else if h.home != nil {
				c.home(h.at, h.home)
			}
		})
		if err != nil {
			return err
		}
		for _, k := range keys[:n] {
			if how, _ := keyKind(k); how != "" && how != "record" {
				beside = append(beside, k)
			}
		}
		keys = keys[n:]
	}
	for len(beside) > 0 {
		n := min(besidePage, len(beside))
		have, err := s.readBeside(ctx, beside[:n])
		if err != nil {
			return err
		}
		for i, k := range beside[:n] {
			c.differ(k, have[i])
			delete(c.part, k)
		}
		beside = beside[n:]
	}
	for _, k := range sortedKeys(c.part) {
		c.differ(k, nil)
	}
	return nil
}

// differ notes how what is kept at key differs from what should be.
func (c *recount) differ(key string, have map[string]string) {
	for _, d := range differences(key, c.part[key], have) {
		c.found = append(c.found, d.String())
	}
}

// difference is a member of a key, and what it says and should say; nil: it is
// not there.
type difference struct {
	key, member string
	have, want  *string
}

func (d difference) String() string {
	what := d.key + " " + strings.ReplaceAll(d.member, "\x00", " ")
	switch {
	case d.have == nil:
		return what + " is missing, want " + *d.want
	case d.want == nil:
		return what + " is " + *d.have + ", want none"
	}
	return what + " is " + *d.have + ", want " + *d.want
}

func differences(key string, want, have map[string]string) []difference {
	var out []difference
	for _, m := range sortedKeys(want) {
		w := want[m]
		if v, ok := have[m]; !ok {
			out = append(out, difference{key, m, nil, &w})
		} else if v != w {
			out = append(out, difference{key, m, &v, &w})
		}
	}
	for _, m := range sortedKeys(have) {
		v := have[m]
		if _, ok := want[m]; !ok && !foreign(key, m) {
			out = append(out, difference{key, m, &v, nil})
		}
	}
	return out
}

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
var homeTypes = map[ota.RefType]bool{ota.ProfileRef: true, ota.PackageRef: true, ota.RolloutRef: true, ota.JobRef: true, ota.ApprovalRef: true, ota.InletRef: true}

// read is a home as it was read for a recount; nil where there is none, and
// trouble where its record is none that can be read.
type read struct {
	at      place
	home    *ota.Home
	trouble string
}

// readHomes reads those keys that are records.
func (s *Store) readHomes(ctx context.Context, keys []string, take func(key string, h read)) error {
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
		key := cmd.Args()[1].(string)               //nolint:forcetypeassert // made above
		rec, err := cmd.(*redis.StringCmd).Result() //nolint:forcetypeassert // made above
		if errors.Is(err, redis.Nil) {
			take(key, read{}) // went meanwhile
			continue
		}
		take(key, readRecord(key, refs[i], rec))
	}
	return nil
}

func readRecord(key string, r ota.Ref, rec string) read {
	if r.Type == ota.DeviceRef {
		var ok bool
		if r, ok = refOf(r.Tenant, rec); !ok {
			return read{trouble: key + " is no record"}
		}
	}
	h, err := decodeHome(r, rec)
	at, placeErr := placeOf(r)
	if err == nil && placeErr == nil && at.key != key {
		err = errors.New("it lies at " + key)
	}
	if err != nil || placeErr != nil {
		return read{trouble: r.String() + " cannot be read: " + errors.Join(err, placeErr).Error()}
	}
	return read{at: at, home: h}
}

// besidePage is how many keys of what is kept beside homes are read at a time.
const besidePage = 16

// readBeside reads keys of what is kept beside homes, each as members with what
// they say.
func (s *Store) readBeside(ctx context.Context, keys []string) ([]map[string]string, error) {
	cmds := make([]redis.Cmder, len(keys))
	for i, k := range keys {
		switch how, _ := keyKind(k); how {
		case "zset":
			cmds[i] = redis.NewZSliceCmd(ctx, "zrange", k, 0, -1, "withscores")
		case "hash":
			cmds[i] = redis.NewMapStringStringCmd(ctx, "hgetall", k)
		case "set":
			cmds[i] = redis.NewStringSliceCmd(ctx, "smembers", k)
		default:
			cmds[i] = redis.NewStringCmd(ctx, "get", k)
		}
	}
	if err := s.askAll(ctx, cmds...); err != nil {
		return nil, err
	}
	out := make([]map[string]string, len(keys))
	for i, c := range cmds {
		out[i] = membersOf(c)
	}
	return out, nil
}

func membersOf(c redis.Cmder) map[string]string {
	out := map[string]string{}
	switch c := c.(type) {
	case *redis.ZSliceCmd:
		for _, z := range c.Val() {
			out[z.Member.(string)] = score(z.Score) //nolint:forcetypeassert // Redis has strings alone
		}
	case *redis.MapStringStringCmd:
		return c.Val()
	case *redis.StringSliceCmd:
		for _, m := range c.Val() {
			out[m] = ""
		}
	case *redis.StringCmd:
		for _, n := range setBits(c.Val(), 0) {
			out[utoa(n)] = ""
		}
	}
	return out
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
