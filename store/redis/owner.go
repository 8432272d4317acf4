package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// Owner works what is due for one process: it leases shards and tenants, reads
// what is due there and hands it out. It is safe for concurrent use. It starts
// no goroutine; its caller's loop drives it.
//
// Jobs are spread by it as soon as they are due, whoever stored them.
type Owner struct {
	s    *Store
	name string
	hint chan struct{}

	owning sync.Mutex // one Own or Release at a time
	jobs   sync.Mutex // one change of a job's home at a time
	mends  sync.Mutex // one Mend at a time

	mu       sync.Mutex
	held     map[slot]*held
	others   map[slot]time.Time // slots that are another's, and until when not to ask
	rollouts map[ota.Ref]*door
	tended   map[ota.Ref]*tended
	turn     int // who comes first, the next time
}

var _ ota.Owner = (*Owner)(nil)

// NewOwner returns the owner of a process, which no other process may be called
// like. It hears of what s commits: call it before s is used.
func NewOwner(s *Store, process string) (*Owner, error) {
	if !plainName(process) {
		return nil, ota.Errorf(ota.Invalid, "own shards", "%q cannot be a process", process)
	}
	o := &Owner{s: s, name: process, hint: make(chan struct{}, 1), held: map[slot]*held{}, others: map[slot]time.Time{}, rollouts: map[ota.Ref]*door{}, tended: map[ota.Ref]*tended{}}
	before := s.committed
	s.committed = func(sl slot, at time.Time) {
		before(sl, at)
		o.noticed(sl, at)
	}
	s.moved = o.doorMoved
	return o, nil
}

// Hint implements [ota.Owner].
func (o *Owner) Hint() <-chan struct{} { return o.hint }

// noticed hears that something that is due at that time was committed, or, at
// the zero time, a place in a line.
func (o *Owner) noticed(s slot, at time.Time) {
	o.mu.Lock()
	h := o.held[s]
	sooner := false
	if h != nil {
		if at.IsZero() {
			sooner = !h.relined.IsZero()
			h.relined = time.Time{}
		} else if ms := at.UnixMilli(); h.next == 0 || ms < h.next {
			h.next, sooner = ms, true
		}
	}
	o.mu.Unlock()
	if sooner {
		select {
		case o.hint <- struct{}{}:
		default:
		}
	}
}

func (o *Owner) send(ctx context.Context, cmds ...redis.Cmder) error { return o.s.send(ctx, cmds...) }

// block keeps an entry from being handed out.
type block struct {
	score  float64
	flight bool
	until  time.Time // after it was handed out and is still there: the back-off
	tries  int
	seen   bool // by the last reading
}

// blocks are the entries of one sorted set, by member, that were handed out.
type blocks map[string]*block

const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute
	lineBackoff  = 10 * time.Second // at most, of a place: its door may open
)

// free says whether m, which stands at score, may be handed out now. What was
// moved since it was handed out is something new.
func (b blocks) free(m string, score float64, now time.Time) bool {
	x := b[m]
	if x == nil {
		return true
	}
	if x.score != score && !x.flight {
		delete(b, m)
		return true
	}
	x.seen = true
	return !x.flight && !now.Before(x.until)
}

// out notes that m is handed out.
func (b blocks) out(m string, score float64) {
	x := b[m]
	if x == nil {
		x = &block{}
		b[m] = x
	}
	x.score, x.flight, x.tries, x.seen = score, true, x.tries+1, true
}

// back notes that m is not in flight any more. If it is still there when it is
// read again, it was not done, and comes later and later.
func (b blocks) back(m string, now time.Time, most time.Duration) {
	if x := b[m]; x != nil {
		x.flight = false
		x.until = now.Add(min(firstBackoff<<min(x.tries-1, 10), most))
	}
}

// forget drops entries that the last reading did not find: they are done.
func (b blocks) forget() {
	for m, x := range b {
		if !x.seen && !x.flight {
			delete(b, m)
		}
		x.seen = false
	}
}

func (h *held) idle() bool {
	for _, x := range h.due {
		if x.flight {
			return false
		}
	}
	for _, l := range h.lines {
		for _, x := range l.out {
			if x.flight {
				return false
			}
		}
	}
	return true
}

// Done implements [ota.Owner].
func (o *Owner) Done(t ota.Task) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.held[leaseSlot(t.Origin.Lease)]
	if h == nil {
		return
	}
	if p := t.Origin.Place; p != nil {
		_, num, _ := p.Device.Place()
		for _, l := range h.lines {
			if l.tenant == t.Home.Tenant && l.rollout == p.Rollout {
				l.out.back(waitMember(p.Kind, num), now, lineBackoff)
			}
		}
		return
	}
	h.due.back(t.Origin.Key, now, lastBackoff)
}
