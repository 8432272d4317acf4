package engine

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Ending says what became of a run.
type Ending string

// The endings of runs.
const (
	RunEnded  Ending = "ended"
	RunWaits  Ending = "waits"       // parked in its home
	RunFailed Ending = "failed"      // answered with its code, or tried again where that is busy
	RunKept   Ending = "dead_letter" // kept for people
)

// Record is one run as the flight recorder has it.
type Record struct {
	ID      string // 32 hex digits; the root run.id where the run moved its home
	Chain   string
	Digest  string
	Event   ota.Event
	Home    ota.Ref
	Kind    ota.Kind
	Asked   bool // it only read
	Started time.Time
	Took    time.Duration
	Path    []Hop
	Cut     bool // the path is longer than that
	End     Ending
	Step    string   // where it failed or waits
	Code    ota.Code // of the failure
	Error   string
	Letter  string    // id of the dead letter
	Until   time.Time // when the wait is over; zero: an event ends it
	Resumed bool      // it went on from a wait: the path begins there

	seq uint64 // of its ring
}

// recorder keeps the last runs of this process, in memory that does not grow.
// Runs that only ask have a ring of their own: of those there are thousands a
// second, and they must not push out what moved a device.
type recorder struct {
	base  [8]byte // of the ids of runs that have none of their own
	moves ring
	asks  ring
}

// ring is entries that are used again, the oldest first. Its memory is laid out
// piece by piece, when a run first comes to a piece.
type ring struct {
	next   atomic.Uint64
	size   int
	pieces []atomic.Pointer[[pieceSize]entry]
}

// pieceSize is how many entries are laid out together.
const pieceSize = 64

func (x *ring) init(size int) {
	x.size, x.pieces = size, make([]atomic.Pointer[[pieceSize]entry], (size+pieceSize-1)/pieceSize)
}

// entry is the place of the run with that number.
func (x *ring) entry(n uint64) *entry {
	i := int(n % uint64(x.size))
	p := x.pieces[i/pieceSize].Load()
	if p == nil {
		p = &[pieceSize]entry{}
		if !x.pieces[i/pieceSize].CompareAndSwap(nil, p) {
			p = x.pieces[i/pieceSize].Load()
		}
	}
	return &p[i%pieceSize]
}

const (
	pathRoom = 96      // bytes: 32 hops
	bodyRoom = 2 << 10 // bytes of a message that are kept for a replay
)

// entry is one run. Its memory is used again by a later one.
type entry struct {
	mu      sync.Mutex
	seq     uint64 // 0: nothing yet
	id      ota.TurnID
	chain   *Chain
	home    ota.Ref
	msg     ota.Message
	body    []byte // of msg
	large   bool   // the message is not kept
	asked   bool
	resumed bool
	began   time.Time
	took    time.Duration
	until   time.Time
	path    [pathRoom]byte
	n       int
	cut     bool
	outcome
}

// outcome is how a run ended.
type outcome struct {
	end          Ending
	code         ota.Code
	step, letter string
	err          error
}

// defaultRuns is how many runs are kept where nobody says.
const defaultRuns = 4096

func newRecorder(runs int) *recorder {
	if runs == 0 {
		runs = defaultRuns
	}
	x := &recorder{}
	_, _ = rand.Read(x.base[:]) // never fails
	if runs > 0 {
		x.moves.init(runs)
		x.asks.init(max(runs/4, 1))
	}
	return x
}

// note keeps a run that is over, and returns its number.
func (x *recorder) note(r *Run, home ota.Ref, o outcome) (seq uint64) {
	ring := &x.moves
	if r.Home == nil {
		ring = &x.asks
	}
	if ring.size == 0 {
		return 0
	}
	n := ring.next.Add(1)
	e := ring.entry(n)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seq, e.id, e.chain, e.home, e.asked = n, r.id, r.chain, home, r.Home == nil
	e.began, e.took, e.outcome = r.Now, r.took(), o
	e.until, e.resumed = time.Time{}, r.resumed
	if r.park != nil {
		e.until = r.park.At
	}
	e.n, e.cut = copy(e.path[:], r.path), len(r.path) > pathRoom
	e.message(&r.Msg)
	return n
}

// took is how long the run has taken since its first step.
func (r *Run) took() time.Duration {
	if r.began.IsZero() {
		return 0
	}
	return time.Since(r.began)
}

// message copies a message, whose bytes may lie in a much larger buffer.
func (e *entry) message(m *ota.Message) {
	e.body = e.body[:0]
	if e.large = len(m.Values)+len(m.Params)+len(m.Result)+len(m.Limits) > bodyRoom; e.large {
		e.msg = ota.Message{Event: m.Event, Tenant: m.Tenant, Device: m.Device, Home: m.Home, Kind: m.Kind}
		return
	}
	e.msg = *m
	e.msg.Began = nil
	for _, p := range [...]*[]byte{&e.msg.Values, &e.msg.Params, &e.msg.Result, &e.msg.Limits} {
		if *p == nil {
			continue
		}
		at := len(e.body)
		e.body = append(e.body, *p...)
		*p = e.body[at:len(e.body):len(e.body)]
	}
}

// own is the entry's message, apart from the entry's memory.
func (e *entry) own() ota.Message {
	m := e.msg
	m.Values, m.Params, m.Result, m.Limits = slices.Clone(m.Values), slices.Clone(m.Params), slices.Clone(m.Result), slices.Clone(m.Limits)
	return m
}

// record reads an entry that is locked.
func (x *recorder) record(e *entry) Record {
	r := Record{
		ID: hexID(e.id), Chain: e.chain.Name, Digest: e.chain.Digest, Event: e.msg.Event, Home: e.home, Kind: e.msg.Kind, Asked: e.asked,
		Started: e.began, Took: e.took, Path: e.chain.way(e.path[:e.n]), Cut: e.cut,
		End: e.end, Step: e.step, Code: e.code, Letter: e.letter, Until: e.until, Resumed: e.resumed, seq: e.seq,
	}
	if e.id == "" {
		r.ID = x.id(e.seq)
	}
	if e.err != nil {
		r.Error = e.chain.mask.text(e.err.Error())
	}
	return r
}

// id is the id of a run that has none of its own. What differs comes first, as
// in the ids of turns: people name a run by the beginning of its id.
func (x *recorder) id(seq uint64) string {
	const spread = 0x9e3779b97f4a7c15 // odd, so no two numbers come to the same
	b := [16]byte{}
	binary.BigEndian.PutUint64(b[:], seq*spread^binary.BigEndian.Uint64(x.base[:]))
	copy(b[8:], x.base[:])
	return hex.EncodeToString(b[:])
}

// each calls yield for every entry, locked, until it returns false.
func (x *recorder) each(yield func(*entry) bool) {
	for _, ring := range [...]*ring{&x.moves, &x.asks} {
		for i := range ring.pieces {
			p := ring.pieces[i].Load()
			if p == nil {
				continue
			}
			for j := range p {
				e := &p[j]
				e.mu.Lock()
				on := e.seq == 0 || yield(e)
				e.mu.Unlock()
				if !on {
					return
				}
			}
		}
	}
}

// RunQuery chooses runs of the flight recorder.
type RunQuery struct {
	Home  ota.Ref // zero: of every home
	Chain string  // "": every chain
	Limit int
}

// Runs lists the last runs of this process, newest first.
func (e *Engine) Runs(q RunQuery) []Record {
	var out []Record
	e.records.each(func(x *entry) bool {
		if (q.Home == ota.Ref{} || q.Home == x.home) && (q.Chain == "" || q.Chain == x.chain.Name) {
			out = append(out, e.records.record(x))
		}
		return true
	})
	slices.SortStableFunc(out, func(a, b Record) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.seq, a.seq))
	})
	return out[:min(len(out), max(q.Limit, 0))]
}

// Run finds one of the last runs of this process by its id, or by a beginning of
// it that no other has; of the turns of a run that waited the last one. With it comes its message; kept is false where that was
// too large to be kept. ok is false where there is no such run, any more.
func (e *Engine) Run(id string) (rec Record, m ota.Message, kept, ok bool) {
	many := false
	if len(id) < 6 {
		return rec, m, false, false
	}
	e.records.each(func(x *entry) bool {
		if is := x.id; is == "" && !strings.HasPrefix(e.records.id(x.seq), id) || is != "" && !strings.HasPrefix(hexID(is), id) {
			return true
		}
		r := e.records.record(x)
		if many = ok && r.ID != rec.ID; !many && r.seq >= rec.seq {
			rec, m, kept, ok = r, x.own(), !x.large, true
		}
		return !many
	})
	return rec, m, kept, ok && !many
}
