package engine

import (
	"context"
	"strings"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// Way is a packed path as people read it.
type Way struct {
	Chain  string
	Digest string // its beginning
	Hops   []Hop
	Cut    bool // the run went on
	Known  bool // else no revision with that digest is at hand, and nothing but Digest is set
}

// String is "offer: check_offer.current offer_update.offered".
func (w Way) String() string {
	if !w.Known {
		return "a revision that is not at hand (" + w.Digest + ")"
	}
	text := w.Chain + ":"
	for _, h := range w.Hops {
		text += " " + strings.TrimSuffix(h.Step+"."+h.Outlet, ".")
	}
	if w.Cut {
		text += " …"
	}
	return text
}

// ways remembers digests by their beginning.
type ways struct {
	mu   sync.Mutex
	full map[string]string
}

// maxWays bounds the digests that are remembered.
const maxWays = 1000

// Way reads the path that an update's history keeps. The chain's revision is
// found among those that answer, else among those that the store keeps.
func (e *Engine) Way(ctx context.Context, p PackedPath) Way {
	w := Way{Digest: p.Digest()}
	if w.Digest == "" {
		return w
	}
	c := e.byPrefix(ctx, w.Digest)
	if c == nil {
		return w
	}
	w.Chain, w.Known = c.Name, true
	w.Hops, w.Cut = c.Unpack(p)
	return w
}

// byPrefix finds a revision by the beginning of its digest, or returns nil.
func (e *Engine) byPrefix(ctx context.Context, prefix string) *Chain {
	set := e.Set()
	for _, name := range set.Names() {
		if c := set.Chain(name); strings.HasPrefix(c.Digest, prefix) {
			return c
		}
	}
	if e.Library == nil {
		return nil
	}
	e.ways.mu.Lock()
	digest := e.ways.full[prefix]
	e.ways.mu.Unlock()
	if digest == "" {
		if digest = e.Library.find(ctx, set.Names(), prefix); digest == "" {
			return nil
		}
		e.ways.mu.Lock()
		if e.ways.full == nil || len(e.ways.full) >= maxWays {
			e.ways.full = map[string]string{}
		}
		e.ways.full[prefix] = digest
		e.ways.mu.Unlock()
	}
	c, err := e.Library.Chain(ctx, digest)
	if err != nil {
		return nil // it is told as not at hand
	}
	return c
}

// find looks for a digest with that beginning among what is kept of the chains;
// "" where there is none, or the store is away.
func (l *Library) find(ctx context.Context, names []string, prefix string) string {
	for _, n := range names {
		kept, err := l.kept.KeptChains(ctx, n)
		if err != nil {
			return ""
		}
		for _, r := range kept {
			if strings.HasPrefix(r.Digest, prefix) {
				return r.Digest
			}
		}
	}
	return ""
}

// Revision finds a chain as it was: among those that answer, else in the
// library; nil where it is not at hand.
func (e *Engine) Revision(ctx context.Context, chain, digest string) *Chain {
	c, err := e.revision(ctx, chain, digest)
	if err != nil {
		return nil
	}
	return c
}

// Waiting is a parked run as people read it.
type Waiting struct {
	Chain   string
	Digest  string
	Step    string
	Outlet  string    // by which it goes on when its time has come
	Event   ota.Event // that wakes it, or ""
	Wake    string    // by which it goes on then
	Began   ota.Event // the event of its message
	Attempt int       // of a step that is tried again; 0: it is none
}

// ReadWaiting reads what a home keeps of a parked run.
func ReadWaiting(p ota.Parked) (Waiting, error) {
	r, err := readParked(p.Data)
	if err != nil {
		return Waiting{Digest: p.Digest}, err
	}
	return Waiting{Chain: r.Chain, Digest: p.Digest, Step: r.Step, Outlet: r.Outlet, Event: r.Event, Wake: r.Wake, Began: r.Message.Event, Attempt: r.Attempt}, nil
}
