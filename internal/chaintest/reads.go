package chaintest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// Find implements [ota.Facts].
func (s *store) Find(_ context.Context, t ota.TenantID, typ ota.RefType, name string) (ota.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.names[nameKey{t, typ, name}]; ok {
		return r, nil
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "find", "there is no %s %s", typ, name)
}

// ByKey implements [ota.Facts].
func (s *store) ByKey(_ context.Context, token string) (ota.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.tokens[token]; ok {
		return r, nil
	}
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
func (s *store) Revision(_ context.Context, t ota.TenantID) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revisionOf(t), nil
}

// List implements [ota.Lister], by the nouns' names.
func (s *store) List(_ context.Context, q ota.Query) (ota.Page, error) {
	after, ok := strings.CutPrefix(q.Cursor, ">")
	if q.Limit < 1 || q.Limit > 1000 || q.Cursor != "" && !ok {
		return ota.Page{}, ota.Errorf(ota.Invalid, "list", "limit is %d, cursor %q", q.Limit, q.Cursor)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*ota.Home
	for _, r := range s.order {
		if h := s.homes[r]; r.Tenant == q.Tenant && r.Type == q.Type && chosen(h, q) {
			all = append(all, h)
		}
	}
	key := func(h *ota.Home) string { return cmp.Or(h.Name(), h.Ref.ID) }
	slices.SortStableFunc(all, func(a, b *ota.Home) int { return cmp.Compare(key(a), key(b)) })
	all = slices.DeleteFunc(all, func(h *ota.Home) bool { return ok && key(h) <= after })
	page := ota.Page{Homes: all}
	if len(all) > q.Limit {
		page.Homes, page.Next = all[:q.Limit], ">"+key(all[q.Limit-1])
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
	return strings.HasPrefix(h.Name(), q.Prefix)
}

// Counts implements [ota.Lister].
func (s *store) Counts(_ context.Context, t ota.TenantID, k ota.Kind, r ota.RolloutID) (map[ota.State]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[ota.State]int64{}
	for key, n := range s.counts {
		if key.tenant == t && key.kind == k && key.rollout == r && n != 0 {
			out[key.state] = n
		}
	}
	return out, nil
}

// Ahead implements [ota.Lister].
func (s *store) Ahead(_ context.Context, t ota.TenantID, r ota.RolloutID, mark float64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead(t, r, mark), nil
}

// ahead counts who stands in the line of a rollout up to a mark; s.mu is held.
func (s *store) ahead(t ota.TenantID, r ota.RolloutID, mark float64) (n int) {
	upTo := ota.Rollout{Mark: mark}
	for ref, h := range s.homes {
		if ref.Tenant != t || h == nil || h.Device == nil {
			continue
		}
		for _, k := range ota.Kinds() {
			if u := h.Device.Track(k).Update; u.Waiting() && u.Rollout == r && upTo.Reaches(u) {
				n++
			}
		}
	}
	return n
}

// References implements [ota.Lister].
func (s *store) References(_ context.Context, t ota.TenantID, p ota.PackageID) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.order {
		h := s.homes[r]
		if r.Tenant != t {
			continue
		}
		for _, k := range ota.Kinds() {
			var a *ota.Assignment
			switch {
			case h.Device != nil:
				a = h.Device.Track(k).Assigned
			case h.Profile != nil:
				a = h.Profile.Assignment(k)
			}
			if a != nil && a.Package == p {
				return string(r.Type) + " " + h.Name(), nil
			}
		}
	}
	return "", nil
}

// DeadLetters implements [ota.Lister].
func (s *store) DeadLetters(_ context.Context, t ota.TenantID, limit int) ([]ota.DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []ota.DeadLetter
	for _, d := range s.letters {
		if d.Tenant == t {
			out = append(out, d)
		}
	}
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

// Letter implements [ota.Letters].
func (s *store) Letter(_ context.Context, t ota.TenantID, id string) (ota.DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.letter(t, id); i >= 0 {
		return s.letters[i], nil
	}
	return ota.DeadLetter{}, ota.Errorf(ota.NotFound, "find dead letter", "there is no %s", id)
}

// DropLetter implements [ota.Letters].
func (s *store) DropLetter(_ context.Context, t ota.TenantID, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.letter(t, id)
	if i < 0 {
		return ota.Errorf(ota.NotFound, "drop dead letter", "there is no %s", id)
	}
	s.letters = slices.Delete(s.letters, i, i+1)
	return nil
}

func (s *store) letter(t ota.TenantID, id string) int {
	return slices.IndexFunc(s.letters, func(d ota.DeadLetter) bool { return d.Tenant == t && d.ID == id })
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
