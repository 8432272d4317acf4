package mqtt

import (
	"slices"

	"github.com/windlass-ota/windlass/internal/mqttwire"
)

const (
	maxFlight = 1024     // publishes that may be on their way to a client, whatever it would take
	maxHeld   = 64 << 10 // bytes of them that are held for a client that comes back, or that has no room yet
)

// state is what a session knows of its client beside the connection, and what is
// left of one that outlives its connection.
type state struct {
	version mqttwire.Version // what out is written in
	subs    subscriptions
	out     []sent // QoS 1 and 2, in order: flying of them are on their way, the others wait for room
	flying  int
	size    int // bytes of all that is held in out
	nextID  uint16
	held    map[uint16]struct{} // QoS 2: received from the client and not released
}

// sent is one publish to a client that it has not settled.
type sent struct {
	id     uint16
	rel    bool   // it has the message (PUBREC); PUBCOMP is what is missing
	packet []byte // the PUBLISH; nil where it is not said again
}

// newID is a packet id that is not in use (MQTT-2.2.1-3).
func (s *state) newID() uint16 {
	for {
		if s.nextID++; s.nextID == 0 {
			s.nextID = 1
		}
		if len(s.out) == 0 || !slices.ContainsFunc(s.out, func(x sent) bool { return x.id == s.nextID }) {
			return s.nextID
		}
	}
}

// forget drops the entry at i.
func (s *state) forget(i int) {
	s.size -= len(s.out[i].packet)
	if s.out = slices.Delete(s.out, i, i+1); i < s.flying {
		s.flying--
	}
}

// find returns where the publish with an id flies; -1: nowhere.
func (s *state) find(id uint16) int {
	return slices.IndexFunc(s.out[:s.flying], func(x sent) bool { return x.id == id })
}

// again appends to b all that is on its way to a client that has come back, as
// it was said before, in its order (MQTT-4.4.0-1). Whatever the client now finds
// too long is dropped, and what was never to be repeated is forgotten.
func (c *conn) again(b []byte) []byte {
	s := &c.say
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = slices.DeleteFunc(s.out, func(x sent) bool { return !x.rel && (x.packet == nil || len(x.packet) > c.maxOut) })
	s.flying, s.size = 0, 0
	for i, x := range s.out {
		s.size += len(x.packet)
		if s.flying < i || s.flying == s.window { // the window may be smaller than it was
			continue
		}
		s.flying++
		if x.rel {
			b = c.append(b, &mqttwire.Ack{Type: mqttwire.PUBREL, PacketID: x.id})
			continue
		}
		at := len(b)
		b = append(b, x.packet...)
		b[at] |= 8 // DUP
	}
	return b
}

// deliver makes room for one answer and picks its quality and packet id. When
// the client has as many open as it takes (MQTT-3.3.4-9), the answer goes with
// QoS 0: it is not said twice in any case, as the client asks again.
func (s *sayer) deliver(qos byte) (byte, uint16) {
	if qos == 0 || s.flying >= s.window && !s.displace() {
		return 0, 0
	}
	x := sent{id: s.newID()}
	s.out = slices.Insert(s.out, s.flying, x)
	s.flying++
	return min(qos, 1), x.id
}

// displace forgets the oldest of what is on its way, where the version knows of
// no window: there are clients that never acknowledge anything.
func (s *sayer) displace() bool {
	if s.windowed || s.flying == 0 {
		return false
	}
	s.forget(0)
	return true
}

// push says a publish with QoS 1 or 2 now, or when there is room for it; took is
// false where there is none to wait in either.
func (c *conn) push(p *mqttwire.Publish) (took bool) {
	s := &c.say
	room := s.flying < s.window || s.displace()
	p.PacketID = s.newID()
	packet := c.append(nil, p)
	holds := s.size+len(packet) <= maxHeld
	if len(packet) == 0 || !room && !holds {
		return false
	}
	x := sent{id: p.PacketID}
	if !room {
		x.packet = packet
		s.size += len(packet)
		s.out = append(s.out, x)
		return true
	}
	s.unsaid = append(s.unsaid, packet...)
	if s.keep && holds {
		x.packet = packet
		s.size += len(packet)
	}
	s.out = slices.Insert(s.out, s.flying, x)
	s.flying++
	return true
}

// settled takes an acknowledgement of the client, and says what has waited for
// the room. It is false where nothing with that id was on its way.
func (c *conn) settled(p *mqttwire.Ack) bool {
	s := &c.say
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(p.PacketID)
	if i < 0 {
		return false
	}
	if p.Type == mqttwire.PUBREC && p.Reason < mqttwire.UnspecifiedError {
		x := &s.out[i]
		s.size -= len(x.packet)
		x.rel, x.packet = true, nil
		return true
	}
	s.forget(i)
	for s.flying < min(s.window, len(s.out)) {
		x := &s.out[s.flying]
		s.unsaid = append(s.unsaid, x.packet...)
		if !s.keep {
			s.size -= len(x.packet)
			x.packet = nil
		}
		s.flying++
	}
	c.flushSoon()
	return true
}
