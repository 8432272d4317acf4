package redis

import (
	"fmt"

	"github.com/windlass-ota/windlass/ota"
)

// What follows from a home alone, one fact for each thing that is kept beside
// it. A commit writes the difference of two footprints; all footprints together
// are what [Store.Check] expects to find.
type factKind byte

const (
	factDue      factKind = iota // key: due at score
	factWait                     // kind, id: stands in the line of rollout id at score
	factState                    // kind, state: counted, and in that index
	factDevice                   // counted, and in the index of all
	factAlarmed                  // a device with an alarm: counted, and in that index
	factProfile                  // id: counted, and in that index
	factFollows                  // kind, state, id: counted for rollout id
	factAssigned                 // id: package that it is assigned by itself
	factName                     // id: its unique name (nouns of a tenant)
	factListed                   // id: where it stands among all of its type (nouns of a tenant)
	factDoor                     // id, key: the door of rollout id, as a text
	factNeeds                    // id: revision of a chain that it needs, counted
)

type fact struct {
	what  factKind
	kind  ota.Kind
	state ota.State
	id    string
	key   string
	score float64
}

// same says whether two facts are about the same thing, whatever its score.
func (f *fact) same(o *fact) bool {
	return f.what == o.what && f.kind == o.kind && f.id == o.id && f.key == o.key && f.state == o.state
}

// footprint lists the facts of h, each once. That of nil is empty.
func footprint(h *ota.Home) []fact {
	if h == nil {
		return nil
	}
	return footprintIn(make([]fact, 0, 12), h)
}

// footprintIn is footprint in the memory of out, which is empty.
func footprintIn(out []fact, h *ota.Home) []fact {
	if h == nil {
		return out
	}
	for _, d := range h.Dues() {
		out = append(out, fact{what: factDue, key: d.Key, score: float64(d.At.UnixMilli())})
	}
	for _, d := range h.Revisions() {
		out = append(out, fact{what: factNeeds, id: d})
	}
	switch {
	case h.Device != nil:
		out = append(out, fact{what: factDevice}, fact{what: factProfile, id: string(h.Device.Profile)})
		if len(h.Alarms) > 0 {
			out = append(out, fact{what: factAlarmed})
		}
		for _, k := range ota.Kinds() {
			out = trackFacts(out, k, h.Device.Track(k))
		}
	case h.Profile != nil:
		out = append(out, named(h)...)
		for _, k := range ota.Kinds() {
			if a := h.Profile.Assignment(k); a != nil {
				out = append(out, fact{what: factAssigned, id: string(a.Package)})
			}
		}
	case h.Package != nil:
		out = append(out, named(h)...)
	case h.Rollout != nil:
		out = append(out, fact{what: factListed, id: sortTime(h.Rollout.Started.UnixMilli())})
		if d, ok := h.Rollout.Door(); ok {
			out = append(out, fact{what: factDoor, id: h.Ref.ID, key: d.String()})
		} else if h.Rollout.State == ota.RolloutRunning {
			out = append(out, fact{what: factDoor, id: h.Ref.ID, key: plainDoor})
		}
	case h.Approval != nil:
		out = append(out, fact{what: factListed, id: sortTime(h.Approval.Created.UnixMilli())})
	case h.Job != nil:
		out = append(out, fact{what: factListed, id: sortTime(h.Job.Created.UnixMilli())})
	}
	return once(out)
}

// plainDoor stands for the door of a running rollout that takes no permits.
const plainDoor = "plain"

// named is what a noun of a tenant is found by, and where it stands in lists.
func named(h *ota.Home) (out []fact) {
	names := h.Names()
	for _, n := range names {
		out = append(out, fact{what: factName, id: n})
	}
	return append(out, fact{what: factListed, id: names[0]})
}

// sortTime is a time as text that sorts like it.
func sortTime(ms int64) string { return fmt.Sprintf("%013d", max(ms, 0)) }

func trackFacts(out []fact, k ota.Kind, t *ota.Track) []fact {
	u := t.Update
	if u != nil && u.Closed == "" {
		out = append(out, fact{what: factState, kind: k, state: u.State})
	}
	if r := t.Followed.Rollout; r != "" {
		out = append(out, fact{what: factFollows, kind: k, id: string(r), state: t.Stand()})
	}
	if t.Assigned != nil {
		out = append(out, fact{what: factAssigned, id: string(t.Assigned.Package)})
	}
	if u.Waiting() {
		out = append(out, fact{what: factWait, kind: k, id: string(u.Rollout), score: waitScore(u)})
	}
	return out
}

// waitScore is where an update stands in its line: higher priorities first,
// each from its priority below 0 on, then by place.
func waitScore(u *ota.Update) float64 { return u.Place - float64(u.Priority) }

// once drops facts that are said twice; of a due key said twice the first
// counts, as everywhere.
func once(facts []fact) []fact {
	out := facts[:0]
	for _, f := range facts {
		if find(out, f) < 0 {
			out = append(out, f)
		}
	}
	return out
}

// compare calls gone for each fact of was that is not in is, and came for each
// that is new (fresh) or has another score.
func compare(was, is []fact, gone func(fact), came func(f fact, fresh bool)) {
	for _, f := range was {
		if find(is, f) < 0 {
			gone(f)
		}
	}
	for _, f := range is {
		if i := find(was, f); i < 0 || was[i].score != f.score {
			came(f, i < 0)
		}
	}
}

func find(facts []fact, f fact) int {
	for i := range facts {
		if facts[i].same(&f) {
			return i
		}
	}
	return -1
}
