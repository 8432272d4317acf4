package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Recorded is a run that can be run again with effects off: one of the flight
// recorder, of a tap, or of a dead letter.
type Recorded struct {
	Record
	Message ota.Message
	For     string      // the one chain that its message is for; "": whichever answers
	Seen    *Seen       // what it read; nil: today's facts must do
	Steps   []TraceStep // of a tapped run
	Said    []string    // what it wrote and said, of a tapped run that ended well
	Source  string      // tap, recorder or dead letter
	Lost    string      // why it cannot be run again, or not as it was; or ""
}

// Recorded finds a run of this process by its id, or by a beginning of it.
// NotFound: there is none, any more.
func (e *Engine) Recorded(id string) (Recorded, error) {
	r, m, kept, ok := e.Run(id)
	if ok {
		id = r.ID
	}
	if t := e.tappedRun(id); t != nil {
		return Recorded{Record: t.Record, Message: t.Message, Seen: t.Seen, Steps: t.Steps, Said: t.Said, Source: "tap", Lost: t.Lost}, nil
	}
	if !ok {
		return Recorded{}, ota.Errorf(ota.NotFound, "", "there is no run %q in the memory of this process", id)
	}
	x := Recorded{Record: r, Message: m, Source: "recorder"}
	if !kept {
		x.Lost = fmt.Sprintf("its message is over %d bytes and was not kept", bodyRoom)
		x.Message.Values = nil
	}
	return x, nil
}

// RecordedLetter is the run of a dead letter. An error says that what the letter
// keeps of its run cannot be read.
func RecordedLetter(l ota.DeadLetter) (Recorded, error) {
	x := Recorded{Message: l.Message, For: l.For, Source: "dead letter"}
	x.Record = Record{
		ID: l.ID, Chain: l.Chain, Digest: l.Digest, Event: l.Message.Event, Home: l.Message.Home, Kind: l.Message.Kind, Started: l.At,
		End: RunKept, Step: l.Step, Code: ota.Internal, Error: l.Reason, Letter: l.ID,
	}
	if l.Message.Device != "" {
		x.Home = ota.RefOf(l.Message.Tenant, l.Message.Device)
	}
	if !l.Last.IsZero() {
		x.Started = l.Last
	}
	v, err := readEvidence(l.Seen)
	if err != nil {
		return x, err
	}
	x.Path, x.Cut, x.Resumed, x.Seen = v.Path, v.Cut, v.Resumed, v.Seen
	if v.Seen == nil && v.Path != nil {
		x.Lost = "what it read is more than a dead letter keeps"
	}
	return x, nil
}

// Replayed is what a run came to that was run again with effects off.
type Replayed struct {
	Trial
	Chain  string
	Digest string
	Steps  []TraceStep
	Said   []string // what it would have written and said
	End    Ending
	Step   string // where it failed or waits
	Error  string
	Notes  []string // in what it may differ from the run as it was
}

// Replay runs a recorded message through a chain on what the run read then, and
// where it read less than the chain asks for, on today's facts, which the notes
// tell. Nothing is written and nothing is said. The chain must be one that was
// loaded with nodes that have no effects of their own (see [Deps].Wishes). An
// error says that there was nothing to run.
func Replay(ctx context.Context, x Recorded, c *Chain, today ota.Facts, now time.Time) (Replayed, error) {
	out := Replayed{Chain: c.Name, Digest: c.Digest}
	if x.Source == "recorder" && x.Lost != "" {
		return out, ota.Errorf(ota.Invalid, "replay", "%s", x.Lost)
	}
	f := &recalled{today: today, seen: x.Seen, told: map[string]bool{}}
	if x.Seen == nil {
		f.seen = &Seen{Now: x.Started}
		if x.Started.IsZero() {
			f.seen.Now = now
		}
		if x.Lost != "" {
			f.note(x.Lost)
		}
		f.note("the run was recorded without facts: it is replayed on those of today")
		f.quiet = true
	}
	if x.Resumed {
		out.Notes = append(out.Notes, "the run went on from a wait: it is replayed from its first step, by which it had come there")
	}
	home := f.seen.Home
	if home == nil {
		h, err := today.Get(ctx, x.Home)
		if err != nil {
			return out, &ota.Error{Code: ota.CodeOf(err), Op: "replay on " + x.Home.String(), Err: err}
		}
		home = h
	}
	was := home.Clone()
	t, tr := c.try(ctx, x.Message, home.Clone(), f, f.seen.Now, true)
	out.Trial, out.Notes = t, append(out.Notes, f.notes...)
	out.End, out.Error = RunEnded, ""
	switch {
	case t.Dead != "":
		out.End, out.Error = RunKept, t.Dead
	case t.Err != nil && ota.CodeOf(t.Err) == ota.Internal && !c.asks:
		out.End, out.Error = RunKept, t.Err.Error()
	case t.Err != nil:
		out.End, out.Error = RunFailed, codedText(t.Err)
	case t.Waits != nil:
		out.End = RunWaits
	}
	if tr != nil {
		out.Steps, out.Step, out.Path = maskedSteps(tr.Steps, c.mask), tr.Step, tr.Path
	}
	out.Error = c.mask.text(out.Error)
	if t.Err == nil {
		out.Said = append(wanted(t.Replies, t.Pushes, t.Values, t.Out), changed(was, t.Home)...)
		if t.Waits != nil && !t.Waits.At.IsZero() {
			out.Said = append(out.Said, "wait until "+t.Waits.At.UTC().Format(time.RFC3339))
		}
		for i := range out.Said {
			out.Said[i] = c.mask.text(out.Said[i])
		}
	}
	if t.Err == nil && len(out.Steps) == 0 {
		out.Notes = append(out.Notes, "the chain's trigger does not take the message: its if is false")
	}
	return out, nil
}

// maskedSteps are steps that people may read.
func maskedSteps(steps []TraceStep, mask *masker) []TraceStep {
	r := TappedRun{Trace: Trace{Steps: steps}}
	data := r.pack(mask)
	if data == nil || json.Unmarshal(data, &r) != nil {
		return nil
	}
	return r.Steps
}

// recalled are the facts of a run as it read them; what it did not read is read
// today.
type recalled struct {
	today ota.Facts
	seen  *Seen
	notes []string
	told  map[string]bool
	quiet bool // everything is of today, and that was said
}

func (x *recalled) note(text string) {
	if !x.told[text] && !x.quiet {
		x.told[text] = true
		x.notes = append(x.notes, text)
	}
}

// Get implements [ota.Facts].
func (x *recalled) Get(ctx context.Context, r ota.Ref) (*ota.Home, error) {
	if h := x.seen.Home; h != nil && h.Ref == r {
		return h, nil
	}
	for _, h := range x.seen.Homes {
		if h.Ref == r {
			return h, nil
		}
	}
	if slices.Contains(x.seen.Gone, r) {
		return nil, ota.Errorf(ota.NotFound, "replay", "there was no %s", r)
	}
	x.note(fmt.Sprintf("%s was not read then: it is as it is today", r))
	return x.today.Get(ctx, r)
}

// Find implements [ota.Facts].
func (x *recalled) Find(ctx context.Context, t ota.TenantID, typ ota.RefType, name string) (ota.Ref, error) {
	for _, n := range x.seen.Names {
		if n.Type == typ && n.Name == name {
			if n.Gone {
				return ota.Ref{}, ota.Errorf(ota.NotFound, "replay", "there was no %s %q", typ, name)
			}
			return n.Ref, nil
		}
	}
	x.note(fmt.Sprintf("%s %q was not looked up then: it is as it is today", typ, name))
	return x.today.Find(ctx, t, typ, name)
}

// ByKey implements [ota.Facts]; no chain asks for it.
func (x *recalled) ByKey(ctx context.Context, token string) (ota.Ref, error) {
	return x.today.ByKey(ctx, token)
}

// Values implements [ota.Facts]: of several readings of a value the first
// counts.
func (x *recalled) Values(ctx context.Context, d ota.Ref, scope ota.Scope, keys []string) ([]ota.Value, error) {
	known := map[string]bool{}
	var out []ota.Value
	whole := false
	for _, s := range x.seen.Values {
		if s.Device != d || s.Scope != scope {
			continue
		}
		for _, v := range s.Values {
			if !known[v.Key] && (keys == nil || slices.Contains(keys, v.Key)) {
				known[v.Key] = true
				out = append(out, v)
			}
		}
		for _, k := range s.Keys {
			known[k] = true
		}
		whole = whole || s.Keys == nil
	}
	if !whole && (keys == nil || slices.ContainsFunc(keys, func(k string) bool { return !known[k] })) {
		var missing []string
		for _, k := range keys {
			if !known[k] {
				missing = append(missing, k)
			}
		}
		what := string(scope) + " values"
		if keys != nil {
			what = list(missing) + " of the " + what
		}
		x.note(what + " were not read then: they are as they are today")
		more, err := x.today.Values(ctx, d, scope, missing)
		if err != nil {
			return nil, err
		}
		for _, v := range more {
			if !known[v.Key] {
				out = append(out, v)
			}
		}
	}
	slices.SortFunc(out, func(a, b ota.Value) int { return cmp.Compare(a.Key, b.Key) })
	return out, nil
}

// Revision implements [ota.Facts].
func (x *recalled) Revision(ctx context.Context, t ota.TenantID) (int64, error) {
	return x.today.Revision(ctx, t)
}
