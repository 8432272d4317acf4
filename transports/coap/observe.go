package coap

import (
	"bytes"
	"context"
	"strconv"
	"sync"

	"github.com/plgd-dev/go-coap/v3/message"
	gocodes "github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/net/responsewriter"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

const (
	maxSessions = 8  // devices that may listen behind one address
	maxUnsaid   = 16 // words of a kind that wait for a device to acknowledge
)

// session is what a device observes: its attributes, what is asked of it, or
// both. It says one thing at a time and waits until that is acknowledged.
type session struct {
	t   *Transport
	p   *peer
	ref ota.Ref
	id  ota.SessionID

	mu     sync.Mutex // guards all below
	subs   map[feature]*sub
	unsaid map[feature][]ota.Reply
	quiet  bool // the answer to the observation comes first
	saying bool
	ended  bool
}

// sub is one observation.
type sub struct {
	token string
	path  string
	seq   uint32 // of the last notification; 24 bits of it are said
}

var _ transports.Session = (*session)(nil)

// Device implements [transports.Session].
func (s *session) Device() ota.Ref { return s.ref }

// ID implements [transports.Session].
func (s *session) ID() ota.SessionID { return s.id }

// feedOf is the observation that a word comes by: what concerns packages is a
// push of attributes (ThingsBoard).
func feedOf(w ota.Word) feature {
	switch {
	case transports.IsAttributes(w):
		return attributes
	case w == ota.SayRPC:
		return call
	}
	return nowhere
}

// Wants implements [transports.Session].
func (s *session) Wants(w ota.Word) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subs[feedOf(w)] != nil
}

// Say implements [transports.Session]: a goroutine says what waits, and lives as
// long as there is something.
func (s *session) Say(words []ota.Reply) (took bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	for _, w := range words {
		f := feedOf(w.Word)
		if s.subs[f] == nil || len(s.unsaid[f]) >= maxUnsaid {
			s.t.counts.dropped.Add(1)
			continue
		}
		s.unsaid[f] = append(s.unsaid[f], w)
		took = true
	}
	s.start()
	return took
}

// start begins to say what waits. mu is held.
func (s *session) start() {
	if s.saying || s.quiet || s.ended || len(s.unsaid[attributes])+len(s.unsaid[call]) == 0 {
		return
	}
	s.saying = true
	s.t.work.Go(s.sayAll)
}

// sayAll says what waits: pushes of attributes that came together in one, since
// only what they amount to counts; calls one by one.
func (s *session) sayAll() {
	for {
		s.mu.Lock()
		if s.ended || len(s.unsaid[attributes])+len(s.unsaid[call]) == 0 {
			s.saying = false
			s.mu.Unlock()
			return
		}
		f, body := s.next()
		b := s.subs[f]
		if b == nil || body == nil {
			s.mu.Unlock()
			continue
		}
		b.seq++
		o := *b
		s.mu.Unlock()
		if err := s.notify(&o, body); err != nil {
			s.t.log.Debug("an observation ends, since nobody acknowledges", "transport", Name, "device", s.ref.ID, "error", err)
			s.t.unobserve(s.p, o.token)
		}
	}
}

// next takes what is to be said next. mu is held.
func (s *session) next() (f feature, body []byte) {
	if words := s.unsaid[attributes]; len(words) > 0 {
		s.unsaid[attributes] = nil
		if body, ok := transports.MergePushes(words); ok {
			return attributes, body
		}
		return attributes, nil
	}
	w := s.unsaid[call][0]
	s.unsaid[call] = s.unsaid[call][1:]
	id := w.Call
	if id == 0 { // nobody waits for its answer
		id = s.t.calls.Add(1)
	}
	body = strconv.AppendInt([]byte(`{"id":`), id, 10)
	return call, append(append(body, ','), transports.RPCBody(w)[1:]...)
}

// notifyBlock is the size of the first block of a notification that needs
// several: one that go-coap leaves as it is.
const notifyBlock = 5 // 512 bytes

// lives is how long a message is said again before it is given up, in times of
// the time to acknowledge (RFC 7252, section 4.8.2: four repeats, each after
// twice the time, one and a half times as long at most).
const lives = 47

// notify says a notification and waits until it is acknowledged.
func (s *session) notify(o *sub, body []byte) error {
	l := s.p.linkNow()
	if l == nil {
		return context.Canceled
	}
	ctx, cancel := context.WithTimeout(l.Context(), lives*s.t.c.Ack)
	defer cancel()
	m := l.cc.AcquireMessage(ctx)
	defer l.cc.ReleaseMessage(m)
	m.SetCode(gocodes.Content)
	m.SetType(message.Confirmable)
	m.SetToken(message.Token(o.token))
	m.SetObserve(o.seq & 0xffffff)
	m.SetContentFormat(message.AppJSON)
	first := coapwire.Block{SZX: notifyBlock, More: true}
	if int64(len(body)) > first.Size() {
		tag := tagOf(body)
		s.p.keep(o.path, tag, body)
		if err := m.SetETag(tag); err != nil {
			return err
		}
		m.SetOptionUint32(message.Block2, first.Uint())
		m.SetOptionUint32(message.Size2, uint32(len(body)))
		body = body[:first.Size()]
	}
	m.SetBody(bytes.NewReader(body))
	s.t.peers.waits(l, 1)
	defer s.t.peers.waits(l, -1)
	return l.cc.WriteMessage(m)
}

// observe begins an observation and answers it: attributes with all that are
// shared, calls with nothing yet.
func (x *exchange) observe() {
	s, fresh := x.session()
	if s == nil {
		x.answer(coapwire.Unavailable, "too many devices behind this address")
		return
	}
	begin := func() {
		s.mu.Lock()
		s.quiet = false
		s.start()
		s.mu.Unlock()
		if fresh {
			x.t.work.Go(func() { s.tell(ota.Connected) })
		}
	}
	body := []byte{}
	if x.route.to == attributes {
		replies, ok := x.handle(x.message(ota.AttributesRequested))
		if !ok {
			x.t.unobserve(x.l.p, string(x.r.Token()))
			return
		}
		if body = found(replies).Shared; len(body) == 0 {
			body = []byte("{}")
		}
		x.l.p.keep(x.path(), tagOf(body), body)
	}
	x.json(coapwire.Content, body)
	x.w.Message().SetObserve(1)
	if !responsewriter.AfterWrite(x.r.Context(), begin) {
		begin()
	}
}

// session returns the one that the observation belongs to, open; nil where there
// is no room for one more.
func (x *exchange) session() (s *session, fresh bool) {
	p := x.l.p
	p.mu.Lock()
	if s = p.sessions[x.ref]; s == nil {
		if len(p.sessions) >= maxSessions || p.ended {
			p.mu.Unlock()
			return nil, false
		}
		if p.sessions == nil {
			p.sessions = map[ota.Ref]*session{}
		}
		s = &session{t: x.t, p: p, ref: x.ref, id: x.t.d.Router.NewID(), subs: map[feature]*sub{}, unsaid: map[feature][]ota.Reply{}, quiet: true}
		p.sessions[x.ref] = s
		fresh = true
	}
	s.mu.Lock()
	s.subs[x.route.to] = &sub{token: string(x.r.Token()), path: x.path(), seq: 1}
	s.mu.Unlock()
	p.mu.Unlock()
	if fresh {
		x.t.d.Router.Open(s)
	}
	return s, fresh
}

// unobserve ends the observation with a token, and the session where it was the
// last.
func (t *Transport) unobserve(p *peer, token string) {
	p.mu.Lock()
	var over []*session
	for ref, s := range p.sessions {
		s.mu.Lock()
		for f, b := range s.subs {
			if b.token == token {
				delete(s.subs, f)
				delete(s.unsaid, f)
			}
		}
		if len(s.subs) == 0 {
			delete(p.sessions, ref)
			over = append(over, s)
		}
		s.mu.Unlock()
	}
	p.mu.Unlock()
	for _, s := range over {
		s.close(t)
	}
}

// close ends the session, which is no longer its peer's.
func (s *session) close(t *Transport) {
	s.mu.Lock()
	was := s.ended
	s.ended = true
	s.mu.Unlock()
	if was {
		return
	}
	t.d.Router.Close(s)
	t.work.Go(func() { s.tell(ota.Disconnected) })
}

// tell says that the session is open, or that it is over; also while the server
// stops.
func (s *session) tell(e ota.Event) {
	s.t.telling <- struct{}{}
	defer func() { <-s.t.telling }()
	m := transports.From(s.ref, e, Name, s.p.address)
	m.Session = s.id
	if _, err := s.t.h.Handle(s.t.base, m); err != nil {
		s.t.log.Debug("a session could not be noted", "transport", Name, "device", s.ref.ID, "event", e, "error", err)
	}
}
