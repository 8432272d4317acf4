package coap

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// peers are all addresses that are remembered, bounded. Those over DTLS have
// their own place, since one address may speak both.
type peers struct {
	mu     sync.RWMutex
	of     map[netip.AddrPort]*peer
	safe   map[*peer]struct{}
	limit  int // with an exchange
	linked atomic.Int64

	waitingMu sync.Mutex
	waiting   map[*link]int // messages of each that are not acknowledged

	speak sync.Map // where a device was last heard: ota.Ref to *peer
}

// strangers bounds the addresses without an exchange.
const strangers = 1 << 16

func (s *peers) init(limit int) {
	s.waiting = map[*link]int{}
	s.of, s.safe, s.limit = map[netip.AddrPort]*peer{}, map[*peer]struct{}{}, limit
}

// at returns the peer of an address, from which n bytes came; nil where there is
// no room for another.
func (s *peers) at(from netip.AddrPort, n int, t *Transport) *peer {
	s.mu.RLock()
	p := s.of[from]
	s.mu.RUnlock()
	if p == nil {
		if p = s.add(from, t); p == nil {
			return nil
		}
	}
	p.hear(n)
	return p
}

func (s *peers) add(from netip.AddrPort, t *Transport) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.of[from]; p != nil {
		return p
	}
	if len(s.of) >= s.limit+strangers && !s.evict() {
		return nil
	}
	p := &peer{address: from.String(), from: from}
	p.send = func(b []byte) error {
		_, err := t.udp.WriteToUDPAddrPort(b, from)
		return err
	}
	s.of[from] = p
	return p
}

// evict forgets one of some peers without an exchange: one that is not proven
// before one that is.
func (s *peers) evict() bool {
	var found *peer
	looked := 0
	for _, p := range s.of {
		p.mu.Lock()
		free := !p.running && p.link == nil
		p.mu.Unlock()
		if free {
			if found = p; !p.proven.Load() {
				break
			}
		}
		if looked++; looked == 64 { // so that a flood pays little for each
			break
		}
	}
	if found == nil {
		return false
	}
	delete(s.of, found.from)
	return true
}

// secure adds a peer over DTLS; false where there is no room.
func (s *peers) secure(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.safe) >= s.limit {
		return false
	}
	s.safe[p] = struct{}{}
	return true
}

// remove forgets a peer, unless another has its address by now.
func (s *peers) remove(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.safe, p)
	if !p.secure && s.of[p.from] == p {
		delete(s.of, p.from)
	}
}

// each calls f for all peers there are.
func (s *peers) each(f func(*peer)) {
	s.mu.RLock()
	all := make([]*peer, 0, len(s.of)+len(s.safe))
	for _, p := range s.of {
		all = append(all, p)
	}
	for p := range s.safe {
		all = append(all, p)
	}
	s.mu.RUnlock()
	for _, p := range all {
		f(p)
	}
}

func (s *peers) count() (all, linked int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.of) + len(s.safe), int(s.linked.Load())
}

// often is how often peers are looked at: what they have not acknowledged is
// said again, who is silent is forgotten.
const often = 100 * time.Millisecond

// tick looks at the peers until the transport stops.
func (t *Transport) tick() {
	tick := time.NewTicker(often)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-t.stopping:
			return
		case <-tick.C:
		}
		now := time.Now()
		t.peers.again(now)
		if n%40 != 0 {
			continue
		}
		t.peers.each(func(p *peer) {
			if p.idle(&t.c, now) {
				t.peers.remove(p)
				p.end(t)
				return
			}
			if l := p.linkNow(); l != nil {
				l.cc.CheckExpirations(now)
			}
		})
	}
}

// waits counts what a link waits to be acknowledged.
func (s *peers) waits(l *link, n int) {
	s.waitingMu.Lock()
	defer s.waitingMu.Unlock()
	if s.waiting[l] += n; s.waiting[l] == 0 {
		delete(s.waiting, l)
	}
}

// again says again what waits for an acknowledgement.
func (s *peers) again(now time.Time) {
	s.waitingMu.Lock()
	all := slices.Collect(maps.Keys(s.waiting))
	s.waitingMu.Unlock()
	for _, l := range all {
		l.cc.CheckExpirations(now)
	}
}
