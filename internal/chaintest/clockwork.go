package chaintest

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// clockwork knows what the homes of a store have coming and who waits in which
// line. It is told of each change of a home and reads nothing else, so it needs
// no leases and no clock of its own.
type clockwork struct {
	dues  dueHeap
	has   map[ota.Ref][]ota.DueEntry
	lines map[stand]float64     // who waits, and where in line
	held  map[stand]standAt     // who was called and waits still
	homes map[ota.Ref]*ota.Home // of rollouts
	room  func(ota.Ref) int     // how many a rollout lets in; below 0: any number
	stir  bool                  // a line or a door has changed
	seq   int
}

// stand is a place in line.
type stand struct {
	ref  ota.Ref
	kind ota.Kind
}

// standAt is how things were when a place was called in vain.
type standAt struct {
	place float64
	door  uint64 // version of the rollout
	again time.Time
	tries int
}

// coming is one thing that a home has coming.
type coming struct {
	at    time.Time
	seq   int
	ref   ota.Ref
	entry ota.DueEntry
	tries int
}

type dueHeap []coming

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) { *h = append(*h, x.(coming)) } //nolint:forcetypeassert // ours alone

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newClockwork() *clockwork {
	return &clockwork{has: map[ota.Ref][]ota.DueEntry{}, lines: map[stand]float64{}, held: map[stand]standAt{}, room: func(ota.Ref) int { return -1 }, homes: map[ota.Ref]*ota.Home{}}
}

// changed is told of each home that was written.
func (c *clockwork) changed(was, is *ota.Home) {
	if is == nil {
		delete(c.has, was.Ref)
		for _, k := range ota.Kinds() {
			delete(c.lines, stand{was.Ref, k})
		}
		return
	}
	dues := is.Dues()
	for _, e := range dues {
		if !slices.Contains(c.has[is.Ref], e) {
			c.push(coming{at: e.At, ref: is.Ref, entry: e})
		}
	}
	c.has[is.Ref] = dues
	if is.Rollout != nil {
		c.homes[is.Ref], c.stir = is, true
	}
	if is.Device == nil {
		return
	}
	for _, k := range ota.Kinds() {
		s := stand{is.Ref, k}
		was, stood := c.lines[s]
		u := is.Device.Track(k).Update
		if !u.Waiting() {
			delete(c.lines, s)
			delete(c.held, s)
			continue
		}
		c.lines[s] = u.Place - float64(u.Priority)
		c.stir = c.stir || !stood || was != c.lines[s]
	}
}

func (c *clockwork) push(x coming) {
	c.seq++
	x.seq = c.seq
	heap.Push(&c.dues, x)
}

// due takes the next thing that is due by now.
func (c *clockwork) due(now time.Time) (coming, bool) {
	for len(c.dues) > 0 && !c.dues[0].at.After(now) {
		x := heap.Pop(&c.dues).(coming) //nolint:forcetypeassert // ours alone
		switch {
		case !c.stands(x):
		case strings.HasPrefix(x.entry.Key, lineKey):
			c.stir = true
		default:
			return x, true
		}
	}
	return coming{}, false
}

// next is when the next thing is due; zero where nothing is.
func (c *clockwork) next() time.Time {
	for len(c.dues) > 0 && !c.stands(c.dues[0]) {
		heap.Pop(&c.dues)
	}
	if len(c.dues) == 0 {
		return time.Time{}
	}
	return c.dues[0].at
}

// again puts back what could not be worked, for a while that doubles.
func (c *clockwork) again(x coming, now time.Time) {
	x.at = now.Add(min(time.Second<<min(x.tries, 10), time.Minute))
	x.tries++
	c.push(x)
}

// called is a place whose turn has come.
type called struct {
	stand
	rollout ota.RolloutID
	place   float64
	door    uint64 // version of the rollout
}

// offers are the places whose turn has come, the best first. One that was called
// and waits still is called again when it or its rollout has changed, or after a
// while.
func (c *clockwork) offers(now time.Time, home func(ota.Ref) *ota.Home) []called {
	if !c.stir {
		return nil
	}
	c.stir = false
	var all []called
	full := map[*ota.Home]bool{} // rollouts without room
	for s, place := range c.lines {
		u := home(s.ref).Device.Track(s.kind).Update
		x := called{stand: s, rollout: u.Rollout, place: place}
		if u.Rollout != "" {
			r := c.homes[ota.Ref{Tenant: s.ref.Tenant, Type: ota.RolloutRef, ID: string(u.Rollout)}]
			if r == nil || !r.Rollout.Open() || !r.Rollout.Reaches(u) {
				continue
			}
			if _, known := full[r]; !known {
				full[r] = c.room(r.Ref) == 0
			}
			if full[r] {
				continue
			}
			x.door = r.Version
		}
		if was, ok := c.held[s]; ok && was.place == place && was.door == x.door && now.Before(was.again) {
			continue
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b called) int {
		if a.place != b.place {
			return cmp.Compare(a.place, b.place)
		}
		return cmp.Or(cmp.Compare(home(a.ref).Device.Name, home(b.ref).Device.Name), cmp.Compare(a.kind, b.kind))
	})
	return c.fitting(all)
}

// fitting are those that their rollouts have room for.
func (c *clockwork) fitting(all []called) []called {
	room := map[ota.Ref]int{}
	out := all[:0]
	for _, x := range all {
		if x.rollout != "" {
			r := ota.Ref{Tenant: x.ref.Tenant, Type: ota.RolloutRef, ID: string(x.rollout)}
			if _, known := room[r]; !known {
				room[r] = c.room(r)
			}
			if room[r] == 0 {
				c.stir = c.stir || len(out) > 0 // some of those may be held by a guard
				continue
			}
			room[r]--
		}
		out = append(out, x)
	}
	return out
}

// lineKey marks the moment at which a place is called again.
const lineKey = "line "

// called notes that a place was called. One that waits still comes again, later
// and later where nothing changes for long.
func (c *clockwork) called(x called, now time.Time) {
	if _, waits := c.lines[x.stand]; !waits {
		return
	}
	was := c.held[x.stand]
	n := now.Add(min(10*time.Second<<min(was.tries/30, 5), 5*time.Minute))
	c.held[x.stand] = standAt{place: x.place, door: x.door, again: n, tries: was.tries + 1}
	c.push(coming{at: n, ref: x.ref, entry: ota.DueEntry{Key: lineKey + string(x.kind), At: n}})
}

// stands says whether a thing is due still.
func (c *clockwork) stands(x coming) bool {
	if k, ok := strings.CutPrefix(x.entry.Key, lineKey); ok {
		return c.held[stand{x.ref, ota.Kind(k)}].again.Equal(x.at)
	}
	return slices.Contains(c.has[x.ref], x.entry)
}

// tick numbers what is to happen, so that what comes at one moment comes in the
// order in which it was set.
func (c *clockwork) tick() int {
	c.seq++
	return c.seq
}
