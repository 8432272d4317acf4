package coap

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
)

// amplify is how many bytes an address that is not proven gets for each one
// that came from it (RFC 9175, section 2.4 and 2.6).
const amplify = 3

// maxGuesses is how many wrong resets an address may send before it cannot be
// proven any more for as long as it is remembered: a guess is one in 65,536.
const maxGuesses = 8

// maxBox bounds the datagrams of one peer that wait for the one before them.
const maxBox = 16

// peer is one address that speaks to us: whether it is proven, what of it waits,
// and its exchange where it has one.
type peer struct {
	address string             // remote, as text
	from    netip.AddrPort     // the same; unset over DTLS
	send    func([]byte) error // one datagram
	secure  bool
	hangUp  func()  // over DTLS: ends the connection
	ref     ota.Ref // over DTLS: who it is

	last   atomic.Int64 // when it was heard, by the clock of time.Now
	proven atomic.Bool

	mu       sync.Mutex // guards all below
	in, out  int64      // bytes, while it is not proven
	ping     uint16     // the id of the message by which it is proven
	pinged   time.Time
	guesses  int
	held     []byte // an answer that waits for the proof
	asked    []byte // a request that does
	box      [][]byte
	running  bool
	link     *link
	sessions map[ota.Ref]*session
	kept     []kept
	refs     []ota.Ref // devices that can be asked here
	ended    bool
}

// hear notes that a datagram of n bytes came.
func (p *peer) hear(n int) {
	p.last.Store(time.Now().UnixNano())
	if p.proven.Load() {
		return
	}
	p.mu.Lock()
	p.in += int64(n)
	p.mu.Unlock()
}

// say sends a datagram, or holds it back until the address is proven. Nobody
// changes b meanwhile; it is not kept.
func (p *peer) say(t *Transport, b []byte) {
	if p.proven.Load() {
		_ = p.send(b) // what is lost on the way is asked for again
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proven.Load() || p.out+int64(len(b)) <= amplify*p.in {
		p.out += int64(len(b))
		_ = p.send(b)
		return
	}
	t.counts.held.Add(1)
	p.held = append(p.held[:0], b...)
	p.askProof()
}

// askProof sends the message by whose rejection the address is proven. mu is
// held.
func (p *peer) askProof() {
	now := time.Now()
	if p.guesses >= maxGuesses || now.Sub(p.pinged) < time.Second {
		return
	}
	if p.pinged.IsZero() {
		p.ping = uint16(rand.Uint32())
	}
	p.pinged = now
	ask := (&coapwire.Message{Type: coapwire.CON, ID: p.ping}).Append(nil)
	p.out += int64(len(ask))
	_ = p.send(ask)
}

// prove keeps a request until the address is proven; false where it is.
func (p *peer) prove(request []byte) bool {
	if p.proven.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = request
	p.askProof()
	return true
}

// answered takes an acknowledgement or a reset: one that answers our ping proves
// the address, since who cannot hear us cannot know its number; one that rejects
// a notification ends the observation. asked is a request that waited for the
// proof.
func (p *peer) answered(t *Transport, m *coapwire.Message) (asked []byte) {
	if m.Type != coapwire.RST {
		return nil
	}
	if !p.proven.Load() {
		p.mu.Lock()
		switch {
		case p.pinged.IsZero():
		case p.guesses < maxGuesses && m.ID == p.ping:
			p.proven.Store(true)
			if p.held != nil {
				_ = p.send(p.held)
				p.held = nil
			}
			asked, p.asked = p.asked, nil
		default:
			p.guesses++
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	l := p.link
	p.mu.Unlock()
	if l != nil {
		if token, ok := l.notified(m.ID); ok {
			t.unobserve(p, token)
		}
	}
	return asked
}

// replyTo begins the answer to a request: piggybacked on the acknowledgement
// where it wants one.
func (p *peer) replyTo(m *coapwire.Message, code coapwire.Code) coapwire.Message {
	r := coapwire.Message{Type: coapwire.ACK, Code: code, ID: m.ID, Token: m.Token}
	if m.Type == coapwire.NON {
		r.Type, r.ID = coapwire.NON, uint16(rand.Uint32())
	}
	return r
}

// exchange leaves a datagram to the peer's exchange, in its order among those of
// the peer. Whoever finds the peer idle works for all that wait.
func (t *Transport) exchange(p *peer, x *scratch, b []byte) {
	p.mu.Lock()
	if p.ended || len(p.box) >= maxBox {
		p.mu.Unlock()
		t.counts.dropped.Add(1)
		return
	}
	p.box = append(p.box, bytes.Clone(b))
	if p.running {
		p.mu.Unlock()
		return
	}
	p.running = true
	for len(p.box) > 0 && !p.ended {
		b := p.box[0]
		p.box = p.box[1:]
		p.mu.Unlock()
		t.process(p, x, b)
		p.mu.Lock()
	}
	p.box, p.running = nil, false
	p.mu.Unlock()
}

// end closes what the peer has open. Ending twice is ending once.
func (p *peer) end(t *Transport) {
	p.mu.Lock()
	p.ended, p.held, p.kept = true, nil, nil
	l := p.link
	p.link = nil
	var open []*session
	for _, s := range p.sessions {
		open = append(open, s)
	}
	p.sessions = nil
	for _, ref := range p.refs {
		t.peers.speak.CompareAndDelete(ref, p)
	}
	p.refs = nil
	p.mu.Unlock()
	if l != nil {
		l.close()
	}
	for _, s := range open {
		s.close(t)
	}
	if p.hangUp != nil {
		p.hangUp()
	}
}

// idle says whether the peer can be forgotten.
func (p *peer) idle(c *Config, now time.Time) bool {
	silent := now.Sub(time.Unix(0, p.last.Load()))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.running:
		return false
	case len(p.sessions) > 0:
		return silent > c.Observe
	case p.link == nil && !p.proven.Load():
		return silent > unproven
	}
	return silent > c.Idle
}

// unproven is how long an address is remembered that has not been proven.
const unproven = 30 * time.Second

func (p *peer) linkNow() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link
}
