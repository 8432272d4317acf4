package chaintest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// store keeps the state of a world in memory: it is [ota.Homes], [ota.Facts],
// [ota.Lister] and [ota.Letters] with the meaning that store/redis has, over a
// clock that stands still until it is moved. What is due and who waits in line
// follows from the homes, and is kept beside them for the [clockwork].
type store struct {
	mu       sync.Mutex
	now      time.Time
	homes    map[ota.Ref]*ota.Home
	order    []ota.Ref // as they were stored first, so that every walk goes the same way
	rollouts []ota.Ref // those of them that are
	names    map[nameKey]ota.Ref
	tokens   map[string]ota.Ref
	gone     map[ota.Ref]ota.TurnID                // what was deleted, and by which turn
	leases   map[slot]ota.Lease                    // those in force; a slot without one needs none
	made     uint64                                // device ids so far
	values   map[ota.Ref]map[ota.Scope][]ota.Value // sorted by key
	counts   map[countKey]int64
	revision map[slot]int64   // of a tenant, and of what a shard was told; 1 where there is none
	letters  []ota.DeadLetter // oldest first
	buckets  map[bucketKey]time.Time
	writes   int // commits so far
	changed  func(was, is *ota.Home)
	doors    doors
}

// maxLetters bounds the dead letters; the oldest go.
const maxLetters = 256

type nameKey struct {
	tenant ota.TenantID
	typ    ota.RefType
	name   string
}

// slot is what a lease is for, or where a revision lies: a shard, or a tenant
// where that is -1.
type slot struct {
	tenant ota.TenantID
	shard  int
}

type countKey struct {
	tenant  ota.TenantID
	kind    ota.Kind
	rollout ota.RolloutID // "" for all
	state   ota.State
}

func newStore(now time.Time) *store {
	return &store{
		now: now, homes: map[ota.Ref]*ota.Home{}, names: map[nameKey]ota.Ref{}, tokens: map[string]ota.Ref{}, gone: map[ota.Ref]ota.TurnID{},
		leases: map[slot]ota.Lease{}, buckets: map[bucketKey]time.Time{}, revision: map[slot]int64{}, values: map[ota.Ref]map[ota.Scope][]ota.Value{},
		counts: map[countKey]int64{}, changed: func(_, _ *ota.Home) {}, doors: doors{moved: func() {}},
	}
}

// Now implements [ota.Homes].
func (s *store) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *store) move(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// Get implements [ota.Facts]; the home is shared.
func (s *store) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.homes[r]; h != nil {
		return h, nil
	}
	return nil, ota.Errorf(ota.NotFound, "load", "there is no %s", r)
}

// Load implements [ota.Homes].
func (s *store) Load(ctx context.Context, r ota.Ref) (*ota.Home, error) {
	h, err := s.Get(ctx, r)
	if err != nil {
		return nil, err
	}
	return h.Clone(), nil
}

// Commit implements [ota.Homes].
func (s *store) Commit(_ context.Context, t *ota.Turn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.homes[t.Home.Ref]
	if was != nil && was.LastTurn == t.ID {
		t.Home.Version, t.Home.LastTurn = was.Version, t.ID
		return nil
	}
	if was == nil && t.Delete && s.gone[t.Home.Ref] == t.ID {
		return nil
	}
	if err := s.check(t); err != nil {
		return err
	}
	if t.Raise {
		s.revision[slot{t.Home.Ref.Tenant, -1}] = s.revisionOf(t.Home.Ref.Tenant) + 1
	}
	for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
		if h.Job != nil && t.Raise {
			h.Job.Revision = s.revisionOf(t.Home.Ref.Tenant)
		}
		s.put(t, h)
	}
	for _, v := range t.Values {
		s.setValue(t.Home.Ref, v)
	}
	s.doors.out = append(s.doors.out, t.Out...)
	if t.Retried != "" {
		i := s.letter(t.Home.Ref.Tenant, t.Retried)
		s.letters = slices.Delete(s.letters, i, i+1)
	}
	if t.Dead != nil {
		s.letters = append(s.letters, *t.Dead)
		s.letters = s.letters[max(0, len(s.letters)-maxLetters):]
	}
	s.writes++
	return nil
}

// check says why a turn may not be written.
func (s *store) check(t *ota.Turn) error {
	const op = "commit"
	for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
		var version uint64
		if was := s.homes[h.Ref]; was != nil {
			version = was.Version
		}
		if version != h.Version {
			return ota.Errorf(ota.Conflict, op, "%s was written by another", h.Ref)
		}
		if t.Delete && h == t.Home {
			continue
		}
		for _, name := range h.Names() {
			if by, taken := s.names[keyOf(h, name)]; taken && by != h.Ref {
				return ota.Errorf(ota.Invalid, op, "the name %s is taken", name)
			}
		}
		for _, key := range keysOf(h) {
			if by, taken := s.tokens[key]; taken && by != h.Ref {
				return ota.Errorf(ota.Invalid, op, "what the device is known by is taken")
			}
		}
	}
	if !s.stands(t) {
		return ota.Errorf(ota.Conflict, op, "what began the turn is gone")
	}
	if t.Revision > 0 && s.told(t.Home.Ref) > t.Revision {
		return ota.Errorf(ota.Conflict, op, "assignments have changed since")
	}
	if t.Retried != "" && s.letter(t.Home.Ref.Tenant, t.Retried) < 0 {
		return ota.Errorf(ota.NotFound, op, "the dead letter is gone")
	}
	return nil
}

// stands says whether what began a turn is still there.
func (s *store) stands(t *ota.Turn) bool {
	was := s.homes[t.Home.Ref]
	b := t.Began
	if b == nil {
		return true
	}
	if b.Lease.Token > 0 && s.leases[slot{b.Lease.Tenant, b.Lease.Shard}] != b.Lease {
		return false
	}
	switch {
	case b.Place == nil && b.Key == "":
		return true
	case was == nil:
		return false
	case b.Place != nil:
		return was.Device != nil && was.Device.Track(b.Place.Kind).Update.Waiting()
	default:
		return slices.ContainsFunc(was.Dues(), func(e ota.DueEntry) bool { return e.Key == b.Key && e.At.UnixMilli() == b.Due })
	}
}

// keysOf lists what a device is found by, nothing of any other home.
func keysOf(h *ota.Home) []string {
	if h.Device == nil {
		return nil
	}
	return h.Device.Credentials.Keys()
}

// put writes one home and what follows from it.
func (s *store) put(t *ota.Turn, h *ota.Home) {
	was := s.homes[h.Ref]
	if was != nil {
		for _, name := range was.Names() {
			delete(s.names, keyOf(was, name))
		}
		for _, key := range keysOf(was) {
			delete(s.tokens, key)
		}
		s.count(was, -1)
	}
	if t.Delete && h == t.Home {
		delete(s.homes, h.Ref)
		s.gone[h.Ref] = t.ID
		delete(s.values, h.Ref)
		s.order = slices.DeleteFunc(s.order, func(r ota.Ref) bool { return r == h.Ref })
		s.changed(was, nil)
		return
	}
	h.Version++
	h.LastTurn = t.ID
	is := h
	if !t.Final {
		is = h.Clone()
	}
	if was == nil {
		s.order = append(s.order, h.Ref)
		if h.Rollout != nil {
			s.rollouts = append(s.rollouts, h.Ref)
		}
	}
	s.homes[h.Ref] = is
	for _, name := range h.Names() {
		s.names[keyOf(h, name)] = h.Ref
	}
	for _, key := range keysOf(h) {
		s.tokens[key] = h.Ref
	}
	s.count(is, 1)
	s.changed(was, is)
}

// count adds a device to the counts of its states, or takes it away.
func (s *store) count(h *ota.Home, by int64) {
	if h.Device == nil {
		return
	}
	for _, k := range ota.Kinds() {
		t := h.Device.Track(k)
		if u := t.Update; u != nil && u.Closed == "" {
			s.counts[countKey{h.Ref.Tenant, k, "", u.State}] += by
		}
		if r := t.Followed.Rollout; r != "" {
			s.counts[countKey{h.Ref.Tenant, k, r, t.Stand()}] += by
		}
	}
}

func keyOf(h *ota.Home, name string) nameKey { return nameKey{h.Ref.Tenant, h.Ref.Type, name} }

func (s *store) revisionOf(t ota.TenantID) int64 { return max(1, s.revision[slot{t, -1}]) }

// told is the revision by which a target in a home must have been chosen: that
// of its shard, which follows the tenant's at once.
func (s *store) told(r ota.Ref) int64 {
	n := s.revisionOf(r.Tenant)
	if r.Type == ota.DeviceRef {
		if shard, _, ok := ota.DeviceID(r.ID).Place(); ok {
			n = max(n, s.revision[slot{r.Tenant, shard}])
		}
	}
	return n
}

func (s *store) setValue(r ota.Ref, v ota.Value) {
	if s.values[r] == nil {
		s.values[r] = map[ota.Scope][]ota.Value{}
	}
	vs := slices.Clone(s.values[r][v.Scope])
	i, found := slices.BinarySearchFunc(vs, v.Key, func(x ota.Value, key string) int { return cmp.Compare(x.Key, key) })
	switch {
	case found && v.JSON == nil:
		vs = slices.Delete(vs, i, i+1)
	case found:
		vs[i] = v
	case v.JSON != nil:
		vs = slices.Insert(vs, i, v)
	}
	s.values[r][v.Scope] = vs
}
