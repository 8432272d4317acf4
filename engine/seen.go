package engine

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// seen stands between a run and its facts and notes what the run read, so that a
// dead letter can say on what it failed. It lies in the run and is used again
// with it: noting allocates nothing.
type seen struct {
	ota.Facts
	was    *ota.Home // the run's own home, as it was loaded
	homes  []*ota.Home
	gone   []ota.Ref
	names  []SeenName
	values []SeenValues
	calls  []seenCall
	over   bool // more than is kept
}

// maxSeen bounds how many things of one sort a run notes.
const maxSeen = 64

// watch makes the run read from f and note what it reads; was is its own home.
func (r *Run) watch(f ota.Facts, was *ota.Home) {
	r.seen.Facts, r.seen.was = f, was
	r.Facts = &r.seen
}

// keep takes the memory of an earlier run, and nothing of what that has read.
func (s *seen) keep(old seen) {
	clear(old.homes)
	clear(old.gone)
	clear(old.names)
	clear(old.values)
	clear(old.calls)
	*s = seen{homes: old.homes[:0], gone: old.gone[:0], names: old.names[:0], values: old.values[:0], calls: old.calls[:0]}
}

func noted[T any](s *seen, to []T, v T) []T {
	if len(to) >= maxSeen {
		s.over = true
		return to
	}
	return append(to, v)
}

// Get implements [ota.Facts].
func (s *seen) Get(ctx context.Context, r ota.Ref) (*ota.Home, error) {
	h, err := s.Facts.Get(ctx, r)
	if err == nil && !slices.Contains(s.homes, h) {
		s.homes = noted(s, s.homes, h)
	} else if ota.CodeOf(err) == ota.NotFound {
		s.gone = noted(s, s.gone, r)
	}
	return h, err
}

// Find implements [ota.Facts].
func (s *seen) Find(ctx context.Context, t ota.TenantID, typ ota.RefType, name string) (ota.Ref, error) {
	r, err := s.Facts.Find(ctx, t, typ, name)
	if err == nil || ota.CodeOf(err) == ota.NotFound {
		s.names = noted(s, s.names, SeenName{typ, name, r, err != nil})
	}
	return r, err
}

// Values implements [ota.Facts].
func (s *seen) Values(ctx context.Context, d ota.Ref, scope ota.Scope, keys []string) ([]ota.Value, error) {
	return s.valuesFrom(ctx, s.Facts, d, scope, keys)
}

func (s *seen) valuesFrom(ctx context.Context, f ota.Facts, d ota.Ref, scope ota.Scope, keys []string) ([]ota.Value, error) {
	v, err := f.Values(ctx, d, scope, keys)
	if err == nil {
		s.values = noted(s, s.values, SeenValues{d, scope, keys, v})
	}
	return v, err
}

// valuesFrom reads values, noting them also where they do not come from the
// run's own facts, and in a replay takes those of then.
func (r *Run) valuesFrom(ctx context.Context, f ota.Facts, d ota.Ref, scope ota.Scope, keys []string) ([]ota.Value, error) {
	if _, replay := r.Facts.(*recalled); replay || f == r.Facts || r.seen.Facts == nil {
		if replay {
			f = r.Facts
		}
		return f.Values(ctx, d, scope, keys)
	}
	return r.seen.valuesFrom(ctx, f, d, scope, keys)
}

// seenCall is an answer from outside of the run's facts.
type seenCall struct {
	step, key string
	answer    any
	err       error
}

// Called does what a step asks of somebody else than its run's facts: a call
// whose answer may be another one the next time. The answer, which must be fit
// for JSON, is noted under the step and a key of its own, so that a replay goes
// on with it instead of calling again; and so does a second try of the turn, when
// somebody wrote its home meanwhile. ask is called at most once.
func Called[T any](ctx context.Context, r *Run, key string, ask func() (T, error)) (T, error) {
	if x, ok := r.Facts.(*recalled); ok {
		var v T
		if known, err := x.answer(r.Step(), key, &v); known {
			return v, err
		}
	}
	if v, ok := keptAnswer[T](r, key); ok {
		r.seen.calls = noted(&r.seen, r.seen.calls, seenCall{r.Step(), key, v, nil})
		return v, nil
	}
	v, err := ask()
	if err == nil {
		r.keepAnswer(key, v)
	}
	if err == nil || ctx.Err() == nil {
		r.seen.calls = noted(&r.seen, r.seen.calls, seenCall{r.Step(), key, v, err})
	}
	return v, err
}

// Seen is what a run read, fit to be kept: tokens are not in it.
type Seen struct {
	Now    time.Time
	Home   *ota.Home    `json:",omitempty"` // the run's own, as it was loaded
	Homes  []*ota.Home  `json:",omitempty"` // others
	Gone   []ota.Ref    `json:",omitempty"` // read, and not there
	Names  []SeenName   `json:",omitempty"`
	Values []SeenValues `json:",omitempty"`
	Calls  []SeenCall   `json:",omitempty"`
}

// SeenName is a name that was looked up.
type SeenName struct {
	Type ota.RefType
	Name string
	Ref  ota.Ref
	Gone bool `json:",omitempty"` // there was none
}

// SeenValues are values of a device that were read. Keys nil: all of the scope.
type SeenValues struct {
	Device ota.Ref
	Scope  ota.Scope
	Keys   []string
	Values []ota.Value
}

// SeenCall is the answer to a call of a step.
type SeenCall struct {
	Step, Key string
	Answer    json.RawMessage `json:",omitempty"`
	Code      ota.Code        `json:",omitempty"`
	Error     string          `json:",omitempty"`
}

// witness is what the run has read until now; nil where that is too much.
func (r *Run) witness() *Seen {
	s := &r.seen
	if s.over || s.Facts == nil {
		return nil
	}
	out := &Seen{Now: r.Now, Home: bare(s.was), Gone: slices.Clone(s.gone), Names: slices.Clone(s.names), Values: slices.Clone(s.values)}
	for _, h := range s.homes {
		if s.was == nil || h.Ref != s.was.Ref {
			out.Homes = append(out.Homes, bare(h))
		}
	}
	for _, c := range s.calls {
		x := SeenCall{Step: c.step, Key: c.key}
		if c.err != nil {
			x.Code, x.Error = ota.CodeOf(c.err), c.err.Error()
		} else if b, err := json.Marshal(c.answer); err == nil {
			x.Answer = b
		}
		out.Calls = append(out.Calls, x)
	}
	return out
}

// bare is a home without what nobody else shall see and no replay needs.
func bare(h *ota.Home) *ota.Home {
	if h == nil {
		return nil
	}
	h = h.Clone()
	h.LastTurn = ""
	for i := range h.Parked {
		h.Parked[i].Data = nil
	}
	if h.Device == nil {
		return h
	}
	h.Device.Credentials = ota.Credentials{}
	for _, k := range ota.Kinds() {
		if u := h.Device.Track(k).Update; u != nil {
			for i := range u.History {
				u.History[i].Path = ""
			}
		}
	}
	return h
}

// maxKept bounds what is kept of what a run read.
const maxKept = 64 << 10

// evidence is what a dead letter keeps of its run.
type evidence struct {
	Path    []Hop
	Cut     bool  `json:",omitempty"`
	Resumed bool  `json:",omitempty"`
	Seen    *Seen `json:",omitempty"` // nil: over maxKept
}

// evidence packs what a dead letter keeps; nil where even the path is too much.
func (r *Run) evidence() []byte {
	x := evidence{Path: r.chain.way(r.path), Resumed: r.resumed, Seen: r.witness()}
	if n := 256; len(x.Path) > n {
		x.Path, x.Cut = x.Path[:n], true
	}
	b, err := json.Marshal(x)
	if err != nil || len(b) > maxKept {
		x.Seen = nil
		if b, err = json.Marshal(x); err != nil || len(b) > maxKept {
			return nil
		}
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil { // cannot happen with that level
		return nil
	}
	_, err = w.Write(r.chain.mask.bytes(b))
	if cerr := w.Close(); err != nil || cerr != nil {
		return nil
	}
	return out.Bytes()
}

// readEvidence reads what a dead letter has kept.
func readEvidence(b []byte) (x evidence, err error) {
	if len(b) == 0 {
		return x, nil
	}
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), 4*maxKept))
	if err == nil {
		err = json.Unmarshal(data, &x)
	}
	if err != nil {
		return evidence{}, ota.Errorf(ota.Internal, "read what the run saw", "%w", err)
	}
	return x, nil
}

// masker takes the values of secrets out of what people may read.
type masker struct{ r *strings.Replacer }

// minSecret is how long a secret must be to be looked for: a shorter one stands
// in many words, and is none.
const minSecret = 4

func newMasker(secrets map[string]string) *masker {
	names := sortedKeys(secrets)
	sort.SliceStable(names, func(i, j int) bool { return len(secrets[names[i]]) > len(secrets[names[j]]) })
	var pairs []string
	for _, n := range names {
		v := secrets[n]
		if len(v) < minSecret {
			continue
		}
		pairs = append(pairs, v, "secret:"+n)
		if b, err := json.Marshal(v); err == nil && string(b[1:len(b)-1]) != v { // as it stands in JSON
			pairs = append(pairs, string(b[1:len(b)-1]), "secret:"+n)
		}
	}
	if pairs == nil {
		return nil
	}
	return &masker{strings.NewReplacer(pairs...)}
}

func (m *masker) text(s string) string {
	if m == nil {
		return s
	}
	return m.r.Replace(s)
}

func (m *masker) bytes(b []byte) []byte {
	if m == nil {
		return b
	}
	return []byte(m.r.Replace(string(b)))
}

// answer gives the answer to a call of a step as it was; known is false where
// there was none, or into cannot take it.
func (x *recalled) answer(step, key string, into any) (known bool, err error) {
	for _, c := range x.seen.Calls {
		if c.Step != step || c.Key != key {
			continue
		}
		if c.Code != "" {
			return true, ota.Errorf(c.Code, "replay", "%s", c.Error)
		}
		if json.Unmarshal(c.Answer, into) == nil {
			return true, nil
		}
	}
	x.note("step " + step + " did not ask for " + key + " then: it asks today")
	return false, nil
}
