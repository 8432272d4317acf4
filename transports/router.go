package transports

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/windlass-ota/windlass/ota"
)

// routerShards spreads the sessions over locks; a power of two.
const routerShards = 64

// Router knows who holds which session: its own in a table, those of other
// processes by what is noted in the device's home. All methods are safe for
// concurrent use.
type Router struct {
	bus   ota.Bus
	facts ota.Facts
	seed  maphash.Seed
	last  atomic.Uint64
	open  atomic.Int64
	lost  atomic.Uint64
	parts [routerShards]routerPart
}

type routerPart struct {
	sync.RWMutex
	of map[ota.Ref][]Session // the slices are never changed in place
}

// NewRouter returns an empty router. Without a bus, or without facts that say
// where else a device is connected, it knows this process alone.
func NewRouter(bus ota.Bus, facts ota.Facts) *Router {
	r := &Router{bus: bus, facts: facts, seed: maphash.MakeSeed()}
	for i := range r.parts {
		r.parts[i].of = map[ota.Ref][]Session{}
	}
	return r
}

// NewID names a session that is about to open.
func (r *Router) NewID() ota.SessionID {
	return ota.SessionID{Process: r.process(), Num: r.last.Add(1)}
}

// Open adds a session; adding it twice changes nothing. From now on it hears
// what is said to its device.
func (r *Router) Open(s Session) {
	p := r.part(s.Device())
	p.Lock()
	defer p.Unlock()
	was := p.of[s.Device()]
	if slices.Contains(was, s) {
		return
	}
	p.of[s.Device()] = append(slices.Clip(was), s)
	r.open.Add(1)
}

// Close removes a session. Closing it twice, or one that was never opened,
// changes nothing.
func (r *Router) Close(s Session) {
	p := r.part(s.Device())
	p.Lock()
	defer p.Unlock()
	was := p.of[s.Device()]
	i := slices.Index(was, s)
	if i < 0 {
		return
	}
	r.open.Add(-1)
	if len(was) == 1 {
		delete(p.of, s.Device())
		return
	}
	p.of[s.Device()] = slices.Concat(was[:i], was[i+1:])
}

// Sessions returns how many sessions are open in this process.
func (r *Router) Sessions() int { return int(r.open.Load()) }

// Lost returns how many words found nobody here or were not taken.
func (r *Router) Lost() uint64 { return r.lost.Load() }

// Send says words to their devices: to every session that wants them, here and
// in other processes. heard is whether each device named has somebody who took
// them (of another process: who listens for it). A word that is not heard is
// lost; what must arrive is said again by what follows from state.
func (r *Router) Send(ctx context.Context, words []ota.Reply) (heard bool, err error) {
	heard = len(words) > 0
	for len(words) > 0 {
		to := refOf(words[0])
		n := 1
		for n < len(words) && refOf(words[n]) == to {
			n++
		}
		here := r.deliver(to, words[:n])
		there, e := r.publish(ctx, to, words[:n])
		if !here && !there {
			heard = false
			r.lost.Add(uint64(n))
		}
		err = errors.Join(err, e)
		words = words[n:]
	}
	return heard, err
}

// Listen says what other processes have for sessions held here, until ctx ends.
func (r *Router) Listen(ctx context.Context) error {
	if r.bus == nil {
		<-ctx.Done()
		return nil
	}
	return r.bus.Listen(ctx, func(words []ota.Reply) {
		for len(words) > 0 {
			to := refOf(words[0])
			n := 1
			for n < len(words) && refOf(words[n]) == to {
				n++
			}
			if !r.deliver(to, words[:n]) {
				r.lost.Add(uint64(n))
			}
			words = words[n:]
		}
	})
}

// deliver says words to the sessions held here that want them.
func (r *Router) deliver(to ota.Ref, words []ota.Reply) (heard bool) {
	p := r.part(to)
	p.RLock()
	sessions := p.of[to]
	p.RUnlock()
	for _, s := range sessions {
		wanted := words
		if !allWanted(s, words) {
			wanted = nil
			for _, w := range words {
				if s.Wants(w.Word) {
					wanted = append(wanted, w)
				}
			}
		}
		if len(wanted) > 0 && s.Say(wanted) {
			heard = true
		}
	}
	return heard
}

func allWanted(s Session, words []ota.Reply) bool {
	for i := range words {
		if !s.Wants(words[i].Word) {
			return false
		}
	}
	return true
}

// publish says words to the other processes that hold a session of the device.
func (r *Router) publish(ctx context.Context, to ota.Ref, words []ota.Reply) (heard bool, err error) {
	if r.bus == nil || r.facts == nil {
		return false, nil
	}
	h, err := r.facts.Get(ctx, to)
	if ota.CodeOf(err) == ota.NotFound || err == nil && h.Device == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	own := r.process()
	var told []string
	for _, s := range h.Device.Sessions {
		if s.ID.Process == own || slices.Contains(told, s.ID.Process) {
			continue
		}
		told = append(told, s.ID.Process)
		ok, e := r.bus.Publish(ctx, s.ID.Process, words)
		heard = heard || ok
		err = errors.Join(err, e)
	}
	return heard, err
}

func (r *Router) process() string {
	if r.bus == nil {
		return ""
	}
	return r.bus.Process()
}

func (r *Router) part(ref ota.Ref) *routerPart {
	return &r.parts[maphash.String(r.seed, ref.ID)%routerShards]
}

func refOf(w ota.Reply) ota.Ref { return ota.RefOf(w.Tenant, w.Device) }
