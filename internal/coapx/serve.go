package coapx

import (
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// How many requests are remembered, and for how long (RFC 7252, section 4.8.2:
// EXCHANGE_LIFETIME).
const (
	maxRecent = 16
	lifetime  = 247 * time.Second
)

// seen is a request that came.
type seen struct {
	mid   uint16
	at    time.Time
	reply []byte // nil while it is handled
}

// asked puts a request in line, unless it has come before: then it is answered
// as it was.
func (c *Conn) asked(p packet) {
	c.mu.Lock()
	now := time.Now()
	for i := range c.recent {
		if s := &c.recent[i]; s.mid == p.mid && !s.at.IsZero() && now.Sub(s.at) < lifetime {
			reply := s.reply
			c.mu.Unlock()
			if reply != nil {
				_ = c.write(reply)
			}
			return
		}
	}
	if len(c.inbox) >= c.c.Backlog || c.ended {
		c.mu.Unlock()
		return // not acknowledged, so it comes again
	}
	if len(c.recent) < maxRecent {
		c.recent = append(c.recent, seen{mid: p.mid, at: now})
	} else {
		c.recent[c.next] = seen{mid: p.mid, at: now}
		c.next = (c.next + 1) % maxRecent
	}
	c.push(p)
	c.mu.Unlock()
}

// replied remembers what a request was answered with; anew, that it was not.
func (c *Conn) replied(mid uint16, reply []byte, anew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.recent {
		if s := &c.recent[i]; s.mid == mid {
			if s.reply = reply; anew {
				*s = seen{}
			}
		}
	}
}

// respond handles a request of the peer and answers it: with the
// acknowledgement, or where that takes long, behind it.
func (c *Conn) respond(p packet) {
	whole, early := c.assemble(&p)
	if early != nil {
		c.reply(p, early, false)
		return
	}
	if whole == nil {
		return
	}
	done := make(chan *Message, 1)
	if p.typ != message.Confirmable {
		done <- c.ask(p, whole)
	} else {
		c.work.Go(func() { done <- c.ask(p, whole) })
	}
	separate := time.NewTimer(c.c.Separate)
	defer separate.Stop()
	select {
	case m := <-done:
		c.reply(p, m, false)
	case <-separate.C:
		ack := packet{typ: message.Acknowledgement, mid: p.mid}
		b, err := ack.encode()
		if err == nil {
			c.replied(p.mid, b, false)
			_ = c.write(b)
		}
		c.reply(p, <-done, true)
	}
}

// ask calls the handler and cuts its response to the block that was asked for.
func (c *Conn) ask(p packet, whole *Message) *Message {
	if c.serve == nil {
		return Response(codes.NotFound)
	}
	if unknownCritical(whole) {
		return Response(codes.BadOption)
	}
	m := c.serve(c.ctx, Asked{Message: whole, Conn: c, Token: p.token})
	if m == nil {
		return nil
	}
	if b, ok := p.Block(message.Block1); ok {
		m.SetBlock(message.Block1, Block{Num: b.Num, SZX: b.SZX})
	}
	return slice(whole, m)
}

// unknownCritical says whether a request has an option that must be understood
// and is not (RFC 7252, section 5.4.1).
func unknownCritical(m *Message) bool {
	for _, o := range m.Options {
		switch o.ID {
		case message.IfMatch, message.URIHost, message.IfNoneMatch, message.URIPort, message.URIPath, message.URIQuery, message.Accept, message.Block1, message.Block2:
		default:
			if o.ID&1 == 1 {
				return true
			}
		}
	}
	return false
}

// slice cuts a response that does not fit into one datagram. The peer asks for
// each further block anew.
func slice(asked, m *Message) *Message {
	b, ok := asked.Block(message.Block2)
	if !ok {
		b = Block{SZX: MaxSZX}
	}
	b.SZX = min(b.SZX, MaxSZX)
	if _, done := m.Block(message.Block2); done || !ok && int64(len(m.Payload)) <= b.Size() {
		return m
	}
	from := min(b.Off(), int64(len(m.Payload)))
	to := min(from+b.Size(), int64(len(m.Payload)))
	b.More = to < int64(len(m.Payload))
	m.Payload = m.Payload[from:to]
	return m.SetBlock(message.Block2, b)
}

// reply sends a response: in the acknowledgement, or as a message of its own.
func (c *Conn) reply(p packet, m *Message, separate bool) {
	if m == nil && (separate || p.typ != message.Confirmable) {
		return
	}
	out := packet{typ: message.Acknowledgement, mid: p.mid}
	if m != nil && m.After != nil {
		defer m.After()
	}
	if m != nil {
		out.Message, out.token = *m, p.token
	}
	if !separate && p.typ == message.Confirmable {
		b, err := out.encode()
		if err == nil {
			c.replied(p.mid, b, m != nil && m.Anew)
			_ = c.write(b) // lost, it is asked for again
		}
		return
	}
	w, err := c.begin("", false)
	if err != nil {
		return
	}
	out.mid = w.mid
	if out.typ = message.NonConfirmable; separate {
		out.typ = message.Confirmable
		c.work.Go(func() {
			defer c.finish(w)
			_, _ = c.transmit(c.ctx, w, &out) // nobody could act on it
		})
		return
	}
	defer c.finish(w)
	if b, err := out.encode(); err == nil {
		c.replied(p.mid, b, m.Anew)
		_ = c.write(b)
	}
}

// assembly is a body that the peer sends in blocks.
type assembly struct {
	path string
	body []byte
	done bool // its last block has come
}

// assemble puts a request in blocks together. Of whole and early one is set: the
// request with its body, or what a block is answered with.
func (c *Conn) assemble(p *packet) (whole, early *Message) {
	b, ok := p.Block(message.Block1)
	if !ok || b.Num == 0 && !b.More {
		return &p.Message, nil
	}
	answer := func(code codes.Code) *Message {
		return Response(code).SetBlock(message.Block1, Block{Num: b.Num, More: b.More, SZX: b.SZX})
	}
	if b.SZX > MaxSZX || b.More && int64(len(p.Payload)) != b.Size() {
		return nil, answer(codes.BadRequest)
	}
	if b.Num == 0 {
		c.part = &assembly{path: p.Path()}
	}
	a := c.part
	// A block whose acknowledgements were all lost comes once more, as another
	// message.
	if again := b.Off() + int64(len(p.Payload)); a != nil && a.path == p.Path() && b.Num > 0 && again == int64(len(a.body)) && a.done != b.More {
		if b.More {
			return nil, answer(codes.Continue)
		}
		m := p.Message
		m.Payload = a.body
		return &m, nil
	}
	if a == nil || a.done || a.path != p.Path() || int64(len(a.body)) != b.Off() {
		return nil, answer(codes.RequestEntityIncomplete)
	}
	if len(a.body)+len(p.Payload) > c.c.MaxBody {
		c.part = nil
		return nil, answer(codes.RequestEntityTooLarge)
	}
	if c.c.Part != nil && !c.c.Part(&p.Message, b.Off()) {
		c.part = nil
		return nil, answer(codes.RequestEntityIncomplete)
	}
	a.body = append(a.body, p.Payload...)
	if b.More {
		return nil, answer(codes.Continue)
	}
	a.done = true
	m := p.Message
	m.Payload = a.body
	return &m, nil
}
