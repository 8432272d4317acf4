package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// Report is what [Store.Check] found.
type Report struct {
	Homes       int      // looked at
	Differences []string // the first ones, in words
	More        int      // differences left out of the list
}

// maxDifferences bounds a report.
const maxDifferences = 100

// Err is nil where nothing differs.
func (r Report) Err() error {
	if len(r.Differences) == 0 {
		return nil
	}
	return fmt.Errorf("%d differences: %s", len(r.Differences)+r.More, strings.Join(r.Differences, "; "))
}

// Check recounts everything that is kept beside the homes (counters, indexes,
// lines, due entries, names) from the homes themselves and says what differs.
// It reads all there is, slot by slot; a slot that differs is read twice more,
// so that turns that go on meanwhile are not taken for faults. Name and token
// keys are compared once, at the end: run it again before believing those.
func (s *Store) Check(ctx context.Context) (Report, error) {
	keys, err := s.allKeys(ctx)
	if err != nil {
		return Report{}, fail("check", err)
	}
	var rep Report
	held := map[string]string{} // expected name and token keys → holder
	for _, sl := range sortedKeys(keys) {
		if sl == "" {
			continue
		}
		for try := 1; ; try++ {
			c := newRecount()
			if err := s.recount(ctx, c, keys[sl]); err != nil {
				return rep, fail("check "+sl, err)
			}
			if len(c.found) == 0 || try == 3 {
				rep.Homes += c.homes
				rep.add(c.found)
				for k, v := range c.held {
					held[k] = v
				}
				break
			}
			if keys, err = s.allKeys(ctx); err != nil {
				return rep, fail("check", err)
			}
		}
	}
	found, err := s.checkHeld(ctx, keys[""], held)
	rep.add(found)
	return rep, fail("check names", err)
}

func (r *Report) add(found []string) {
	for _, f := range found {
		if len(r.Differences) < maxDifferences {
			r.Differences = append(r.Differences, f)
		} else {
			r.More++
		}
	}
}

// allKeys lists every key by its slot's tag; "" has those of slots of their own.
func (s *Store) allKeys(ctx context.Context) (map[string][]string, error) {
	out := map[string][]string{}
	err := s.eachKey(ctx, func(k string) { out[tagOf(k)] = append(out[tagOf(k)], k) })
	for tag, k := range out {
		slices.Sort(k) // it may be said twice
		out[tag] = slices.Compact(k)
	}
	return out, err
}

// tagOf is the tag of a key's slot, "" where that is its own.
func tagOf(k string) string {
	if i := strings.Index(k, "}:"); strings.HasPrefix(k, "{") && i > 0 {
		return k[:i+1]
	}
	return ""
}

// eachKey calls do for every key that is there all the while, one at a time,
// some twice. What comes or goes meanwhile may be said.
func (s *Store) eachKey(ctx context.Context, do func(k string)) error {
	scan := func(ctx context.Context, c *redis.Client) error {
		it := c.Scan(ctx, 0, "*", 1000).Iterator()
		for it.Next(ctx) {
			do(it.Val())
		}
		return it.Err()
	}
	switch c := s.c.(type) {
	case *redis.ClusterClient:
		var one sync.Mutex
		each := do
		do = func(k string) {
			one.Lock()
			defer one.Unlock()
			each(k)
		}
		return c.ForEachMaster(ctx, scan)
	case *redis.Client:
		return scan(ctx, c)
	}
	return fmt.Errorf("cannot list the keys of a %T", s.c)
}

// recount is what one slot should hold.
type recount struct {
	part  map[string]map[string]string // key → member → score, count or ""
	held  map[string]string
	homes int
	found []string
}

func newRecount() *recount {
	return &recount{part: map[string]map[string]string{}, held: map[string]string{}}
}

func (c *recount) expect(key, member, value string) {
	if c.part[key] == nil {
		c.part[key] = map[string]string{}
	}
	c.part[key][member] = value
}

func (c *recount) count(key, field string, by int) {
	n, _ := strconv.Atoi(c.part[key][field])
	if n += by; n == 0 {
		delete(c.part[key], field)
	} else {
		c.expect(key, field, strconv.Itoa(n))
	}
}

// home adds what follows from one home.
func (c *recount) home(at place, h *ota.Home) {
	c.homes++
	c.facts(at, h, 1)
	for _, cl := range claimsOf(at, h) {
		c.held[cl.key] = h.Ref.ID
	}
}

// forget takes away what follows from a home that was added.
func (c *recount) forget(at place, h *ota.Home) {
	c.homes--
	c.facts(at, h, -1)
	for _, cl := range claimsOf(at, h) {
		delete(c.held, cl.key)
	}
}

// facts adds what follows from a home, or takes it away where by is -1.
func (c *recount) facts(at place, h *ota.Home, by int) {
	num := utoa(at.num)
	has := func(key, member, value string) {
		if by > 0 {
			c.expect(key, member, value)
		} else {
			delete(c.part[key], member)
		}
	}
	for _, f := range footprint(h) {
		switch f.what {
		case factDue:
			has(at.slot.due(), dueMember(at.short, f.key), score(f.score))
		case factWait:
			id := ota.RolloutID(f.id)
			has(at.part.wait(id), waitMember(f.kind, at.num), score(f.score))
			if by > 0 || len(c.part[at.part.wait(id)]) == 0 {
				has(at.slot.waits(), waitsMember(h.Ref.Tenant, id), "")
			}
		case factDevice:
			has(at.part.all(), num, "")
			c.count(at.part.count(), allField, by)
		case factAlarmed:
			has(at.part.alarmed(), num, "")
			c.count(at.part.count(), alarmedField, by)
		case factState:
			has(at.part.state(f.kind, f.state), num, "")
			c.count(at.part.count(), stateField(f.kind, f.state), by)
		case factProfile:
			has(at.part.profile(ota.ProfileID(f.id)), num, "")
			c.count(at.part.count(), profileField(f.id), by)
		case factFollows:
			c.count(at.part.rollout(ota.RolloutID(f.id)), stateField(f.kind, f.state), by)
		case factAssigned:
			has(at.part.assigned(ota.PackageID(f.id)), assignedMember(at, h.Ref), "")
		case factName:
			has(at.part.names(h.Ref.Type), f.id, h.Ref.ID)
		case factListed:
			has(at.part.list(h.Ref.Type), listMember(f.id, h.Ref.ID), "0")
		case factDoor:
			has(at.part.doors(), f.id, f.key)
		case factNeeds:
			c.count(at.part.needs(), f.id, by)
		}
	}
}

// keyKind says what a key of a slot is, by its last words: how to read it, and
// for a record whose it is.
func keyKind(key string) (how string, ref ota.Ref) {
	tag, rest, _ := strings.Cut(key, "}:")
	if t, ok := strings.CutPrefix(tag, "{t:"); ok {
		switch typ, id, _ := strings.Cut(rest, ":"); {
		case rest == "due":
			return "zset", ref
		case typ == "list":
			return "zset", ref
		case typ == "names", rest == "needs", rest == "doors":
			return "hash", ref
		case typ == "a":
			return "set", ref
		case slices.Contains(wordsRef, typ) && plainID(id):
			return "record", ota.Ref{Tenant: ota.TenantID(t), Type: ota.RefType(typ), ID: id}
		}
		return "", ref
	}
	if key := tag + "}"; key == chainsTag {
		return "", ref // they follow from no home
	}
	switch rest {
	case "due":
		return "zset", ref
	case "waits":
		return "set", ref
	}
	tenant, rest, _ := strings.Cut(rest, ":")
	switch what, id, _ := strings.Cut(rest, ":"); what {
	case "d":
		return "record", ota.Ref{Tenant: ota.TenantID(tenant), Type: ota.DeviceRef, ID: id}
	case "all", "alarmed", "p", "s":
		return "bits", ref
	case "a":
		return "set", ref
	case "count", "needs":
		return "hash", ref
	case "wait":
		return "zset", ref
	}
	return "", ref
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
