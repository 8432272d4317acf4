package mqtt

import (
	"math"
	"sync"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// maxUnsaid bounds the words that wait for a device which does not read.
const maxUnsaid = 64 << 10

var _ transports.Session = (*conn)(nil)

// sayer is the part of a connection that others use too: what it listens for,
// and the words on their way to it.
type sayer struct {
	writing sync.Mutex // held while bytes of one packet, or of several, go out

	mu sync.Mutex // guards all below
	state
	window   int  // QoS 1 and 2 publishes that the client takes at once
	windowed bool // the client has a say in that
	keep     bool // the session outlives its connection
	unsaid   []byte
	flushing bool // a flusher runs
	ended    bool
	flusher  sync.WaitGroup
}

func (s *sayer) init(p *mqttwire.Connect, keep bool) {
	s.window, s.keep, s.version = maxFlight, keep, p.Version
	if p.Version == mqttwire.V5 {
		s.windowed = true
		if p.Props.Has(mqttwire.ReceiveMaximum) {
			s.window = min(maxFlight, int(p.Props.Uint(mqttwire.ReceiveMaximum)))
		}
	}
}

func (s *sayer) subscribe(g *grant, qos byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = s.subs.add(g, qos)
}

func (s *sayer) unsubscribe(g *grant) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs, was = s.subs.remove(g)
	return was
}

// delivery picks the quality and packet id of one answer to the client.
func (s *sayer) delivery(f feed, form form) (qos byte, id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliver(s.subs.qosOf(f, form))
}

// take ends the session's part of the connection and returns what is left of it.
func (s *sayer) take() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.state
	s.state, s.ended, s.unsaid = state{}, true, nil
	return left
}

// give begins with what is left of an earlier connection. What was on its way in
// the words of another version is not.
func (s *sayer) give(left state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left.version != s.version {
		left.version, left.out, left.flying, left.size = s.version, nil, 0, 0
	}
	s.state = left
}

// Device is whose session it is.
func (c *conn) Device() ota.Ref { return c.device }

// ID names the session.
func (c *conn) ID() ota.SessionID { return c.id }

// feedOf is the subscription that a word to a device needs: ThingsBoard says
// what concerns packages as a push of attributes.
func feedOf(w ota.Word) feed {
	switch {
	case transports.IsAttributes(w):
		return feedAttributes
	case w == ota.SayRPC:
		return feedRPCRequest
	case w == ota.SayTopic:
		return feedOwn
	}
	return feedNone
}

// Wants is true for pushes of attributes and for calls, once the device has
// subscribed to these.
func (c *conn) Wants(w ota.Word) bool {
	f := feedOf(w)
	if f == feedNone {
		return false
	}
	c.say.mu.Lock()
	defer c.say.mu.Unlock()
	_, ok := c.say.subs.last(f)
	return ok
}

// Say encodes pushes and leaves the writing to a goroutine that lives as long
// as there is something to write, so a device that does not read holds up
// nobody who speaks to it.
func (c *conn) Say(words []ota.Reply) (took bool) {
	return c.sayAll(words, func(w ota.Reply) (p mqttwire.Publish, qos byte, ok bool) {
		s := &c.say
		sub, ok := s.subs.last(feedOf(w.Word))
		if w.Word == ota.SayTopic {
			sub, ok = s.subs.to(w.Topic)
		}
		if !ok || sub.feed == feedNone {
			return p, 0, false
		}
		if p, ok = c.pushed(w, sub); !ok {
			c.t.counts.dropped.Add(1)
		}
		if qos = sub.qos; w.Word == ota.SayTopic {
			qos = min(qos, byte(w.QoS))
		}
		return p, qos, ok
	})
}

// sayAll says what becomes of words as publishes. As runs under the lock.
func (c *conn) sayAll(words []ota.Reply, as func(ota.Reply) (p mqttwire.Publish, qos byte, ok bool)) (took bool) {
	s := &c.say
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.unsaid) > maxUnsaid {
		return false
	}
	for _, w := range words {
		p, qos, ok := as(w)
		if !ok {
			continue
		}
		if p.QoS = qos; qos > 0 {
			took = c.push(&p) || took
			continue
		}
		before := len(s.unsaid)
		s.unsaid = c.append(s.unsaid, &p)
		took = took || len(s.unsaid) > before
	}
	c.flushSoon()
	return took
}

// flushSoon has what waits written by a goroutine that lives as long as there is
// anything. The lock is held.
func (c *conn) flushSoon() {
	if s := &c.say; len(s.unsaid) > 0 && !s.flushing && !s.ended {
		s.flushing = true
		s.flusher.Go(c.flushUnsaid)
	}
}

// pushed is the publish that says a word; ok is false where it says nothing.
func (c *conn) pushed(w ota.Reply, sub subscription) (p mqttwire.Publish, ok bool) {
	f := sub.form
	if w.Word == ota.SayRPC {
		if w.Call < 0 || w.Call > math.MaxInt32 {
			return p, false
		}
		return mqttwire.Publish{Topic: appendNumbered(nil, rpcRequest[f], int32(w.Call)), Payload: transports.RPCBody(w)}, true
	}
	if w.Word == ota.SayTopic {
		return mqttwire.Publish{Topic: []byte(w.Topic), Payload: w.Body}, true
	}
	topic := attributesPush[f]
	if f == formOwn {
		topic = sub.filter
	}
	body, ok := transports.PushBody(w)
	if ok && c.hearsProto(f) {
		body, ok = protoPush(w)
	}
	return mqttwire.Publish{Topic: []byte(topic), Payload: body}, ok
}

// flushUnsaid writes until nothing waits. A failed write closes the connection,
// which its own goroutine then finds.
func (c *conn) flushUnsaid() {
	s := &c.say
	for {
		s.mu.Lock()
		out := s.unsaid
		s.unsaid = nil
		if len(out) == 0 || s.ended {
			s.flushing = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if err := c.write(out); err != nil {
			c.nc.Close()
		}
	}
}

// wait returns when no flusher runs. After take.
func (s *sayer) wait() { s.flusher.Wait() }
