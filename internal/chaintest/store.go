package chaintest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
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
	names    map[nameKey]ota.Ref
	values   map[ota.Ref]map[ota.Scope][]ota.Value // sorted by key
	counts   map[countKey]int64
	revision int64
	letters  []ota.DeadLetter // oldest first
	writes   int              // commits so far
	changed  func(was, is *ota.Home)
}

type nameKey struct {
	typ  ota.RefType
	name string
}

type countKey struct {
	kind    ota.Kind
	rollout ota.RolloutID // "" for all
	state   ota.State
}

func newStore(now time.Time) *store {
	return &store{
		now: now, homes: map[ota.Ref]*ota.Home{}, names: map[nameKey]ota.Ref{}, values: map[ota.Ref]map[ota.Scope][]ota.Value{},
		counts: map[countKey]int64{}, changed: func(_, _ *ota.Home) {},
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
	if err := s.check(t); err != nil {
		return err
	}
	if t.Raise {
		s.revision++
	}
	for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
		if h.Job != nil && t.Raise {
			h.Job.Revision = s.revision
		}
		s.put(t, h)
	}
	for _, v := range t.Values {
		s.setValue(t.Home.Ref, v)
	}
	if t.Retried != "" {
		s.letters = slices.DeleteFunc(s.letters, func(d ota.DeadLetter) bool { return d.ID == t.Retried })
	}
	if t.Dead != nil {
		s.letters = append(s.letters, *t.Dead)
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
		if name := nameOf(h); name != "" && !t.Delete {
			if by, taken := s.names[nameKey{h.Ref.Type, name}]; taken && by != h.Ref {
				return ota.Errorf(ota.Invalid, op, "the name %s is taken", name)
			}
		}
	}
	if !s.stands(t) {
		return ota.Errorf(ota.Conflict, op, "what began the turn is gone")
	}
	if t.Revision > 0 && s.revision > t.Revision {
		return ota.Errorf(ota.Conflict, op, "assignments have changed since")
	}
	if t.Retried != "" && !slices.ContainsFunc(s.letters, func(d ota.DeadLetter) bool { return d.ID == t.Retried }) {
		return ota.Errorf(ota.NotFound, op, "the dead letter is gone")
	}
	return nil
}

// stands says whether what began a turn is still there.
func (s *store) stands(t *ota.Turn) bool {
	was := s.homes[t.Home.Ref]
	switch b := t.Began; {
	case b == nil:
		return true
	case was == nil:
		return false
	case b.Place != nil:
		return was.Device != nil && was.Device.Track(b.Place.Kind).Update.Waiting()
	default:
		return slices.ContainsFunc(was.Dues(), func(e ota.DueEntry) bool { return e.Key == b.Key && e.At.UnixMilli() == b.Due })
	}
}

// put writes one home and what follows from it.
func (s *store) put(t *ota.Turn, h *ota.Home) {
	was := s.homes[h.Ref]
	if was != nil {
		delete(s.names, nameKey{h.Ref.Type, nameOf(was)})
		s.count(was, -1)
	}
	if t.Delete && h == t.Home {
		delete(s.homes, h.Ref)
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
	}
	s.homes[h.Ref] = is
	if name := nameOf(h); name != "" {
		s.names[nameKey{h.Ref.Type, name}] = h.Ref
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
		if u := h.Device.Track(k).Update; u != nil && u.Closed == "" {
			s.counts[countKey{k, "", u.State}] += by
			if u.Rollout != "" {
				s.counts[countKey{k, u.Rollout, u.State}] += by
			}
		}
	}
}

// nameOf is the name of a noun that is unique, or "".
func nameOf(h *ota.Home) string {
	switch {
	case h.Device != nil:
		return h.Device.Name
	case h.Profile != nil:
		return h.Profile.Name
	case h.Package != nil:
		return h.Package.Version.String()
	}
	return ""
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

// Find implements [ota.Facts].
func (s *store) Find(_ context.Context, _ ota.TenantID, typ ota.RefType, name string) (ota.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.names[nameKey{typ, name}]; ok {
		return r, nil
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "find", "there is no %s %s", typ, name)
}

// ByToken implements [ota.Facts]; nothing in a world comes with a token.
func (s *store) ByToken(context.Context, string) (ota.Ref, error) {
	return ota.Ref{}, ota.Errorf(ota.NotFound, "find device", "no device has that token")
}

// Values implements [ota.Facts].
func (s *store) Values(_ context.Context, d ota.Ref, scope ota.Scope, keys []string) ([]ota.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.values[d][scope]
	if keys == nil {
		return slices.Clone(all), nil
	}
	var out []ota.Value
	for _, v := range all {
		if slices.Contains(keys, v.Key) {
			out = append(out, v)
		}
	}
	return out, nil
}

// Revision implements [ota.Facts].
func (s *store) Revision(context.Context, ota.TenantID) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, nil
}

// List implements [ota.Lister]: nouns by their names, devices as they came.
func (s *store) List(_ context.Context, q ota.Query) (ota.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*ota.Home
	for _, r := range s.order {
		if h := s.homes[r]; r.Type == q.Type && chosen(h, q) {
			all = append(all, h)
		}
	}
	key := func(h *ota.Home) string { return cmp.Or(nameOf(h), h.Ref.ID) }
	slices.SortStableFunc(all, func(a, b *ota.Home) int { return cmp.Compare(key(a), key(b)) })
	all = slices.DeleteFunc(all, func(h *ota.Home) bool { return q.Cursor != "" && key(h) <= q.Cursor })
	page := ota.Page{Homes: all}
	if q.Limit > 0 && len(all) > q.Limit {
		page.Homes, page.Next = all[:q.Limit], key(all[q.Limit-1])
	}
	return page, nil
}

func chosen(h *ota.Home, q ota.Query) bool {
	switch d := h.Device; {
	case q.Profile != "":
		return d != nil && d.Profile == q.Profile
	case q.State != "":
		return d != nil && d.Track(q.Kind).Update != nil && d.Track(q.Kind).Update.State == q.State && d.Track(q.Kind).Update.Closed == ""
	case q.Alarmed:
		return len(h.Alarms) > 0
	}
	return strings.HasPrefix(nameOf(h), q.Prefix)
}

// Counts implements [ota.Lister].
func (s *store) Counts(_ context.Context, _ ota.TenantID, k ota.Kind, r ota.RolloutID) (map[ota.State]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[ota.State]int64{}
	for key, n := range s.counts {
		if key.kind == k && key.rollout == r && n != 0 {
			out[key.state] = n
		}
	}
	return out, nil
}

// References implements [ota.Lister].
func (s *store) References(_ context.Context, _ ota.TenantID, p ota.PackageID) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.order {
		h := s.homes[r]
		for _, k := range ota.Kinds() {
			var a *ota.Assignment
			switch {
			case h.Device != nil:
				a = h.Device.Track(k).Assigned
			case h.Profile != nil:
				a = h.Profile.Assignment(k)
			}
			if a != nil && a.Package == p {
				return string(r.Type) + " " + nameOf(h), nil
			}
		}
	}
	return "", nil
}

// DeadLetters implements [ota.Lister].
func (s *store) DeadLetters(_ context.Context, _ ota.TenantID, limit int) ([]ota.DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.letters)
	slices.Reverse(out)
	return out[:min(limit, len(out))], nil
}

// devices are the homes of all devices, as they came.
func (s *store) devices() []*ota.Home {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*ota.Home
	for _, r := range s.order {
		if r.Type == ota.DeviceRef {
			out = append(out, s.homes[r])
		}
	}
	return out
}

// blobs are the bytes of packages, by digest. They follow from the digest, so
// nothing is kept of a large one.
type blobs struct {
	mu   sync.Mutex
	data map[string][]byte
}

func (b *blobs) put(digest string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.data == nil {
		b.data = map[string][]byte{}
	}
	b.data[digest] = data
}

// bytes are those of a package, or nil.
func (b *blobs) bytes(digest string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data[digest]
}

type blobFile struct{ *bytes.Reader }

func (blobFile) Close() error { return nil }

// drop lets go of a dead letter.
func (s *store) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = slices.DeleteFunc(s.letters, func(d ota.DeadLetter) bool { return d.ID == id })
}

// all are all homes, as they came.
func (s *store) all() []*ota.Home {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*ota.Home, 0, len(s.order))
	for _, r := range s.order {
		out = append(out, s.homes[r])
	}
	return out
}

// commits is how often anything was written.
func (s *store) commits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}
