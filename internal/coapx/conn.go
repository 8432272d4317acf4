package coapx

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// Asked is a request of the peer.
type Asked struct {
	*Message
	Conn  *Conn
	Token string
}

// Handler answers a request. nil answers nothing: the request is acknowledged
// where that was asked for. The requests and notifications of one peer are
// handled one after the other.
type Handler func(ctx context.Context, r Asked) *Message

// Conn is all exchanges with one peer. Whoever owns the socket hands in what has
// come by Receive. Its methods are safe for concurrent use.
type Conn struct {
	c     Config
	write func([]byte) error
	serve Handler

	ctx  context.Context //nolint:containedctx // what goes on with the peer ends with the connection
	end  context.CancelFunc
	turn chan struct{} // one exchange at a time (RFC 7252, section 4.7: NSTART is 1)
	work sync.WaitGroup

	mu      sync.Mutex
	mid     uint16
	pending map[uint16]*waiting // by message id: what is not acknowledged
	tokens  map[string]*waiting // by token: what is not answered
	watched map[string]*watch   // observations of ours
	recent  []seen              // requests that came lately
	next    int                 // where the next goes, once recent is full
	inbox   []packet
	busy    bool // somebody works the inbox
	rtt     roundTrips
	part    *assembly // of who works the inbox
	ended   bool
	heard   time.Time
}

// waiting is a message of ours on its way.
type waiting struct {
	mid    uint16
	token  string
	acked  chan struct{} // closed once
	answer chan packet
	reset  chan struct{} // closed once
	isAck  bool
	isRst  bool
}

// New begins a connection. write sends one datagram and does not keep it; serve
// may be nil where the peer asks nothing. Close ends it.
func New(write func([]byte) error, serve Handler, c Config) *Conn {
	x := &Conn{
		c: c.filled(), write: write, serve: serve, turn: make(chan struct{}, 1),
		pending: map[uint16]*waiting{}, tokens: map[string]*waiting{}, watched: map[string]*watch{},
	}
	x.ctx, x.end = context.WithCancel(context.Background())
	var b [2]byte
	rand.Read(b[:])
	x.mid = binary.BigEndian.Uint16(b[:])
	return x
}

// Close ends all exchanges and waits for the handlers. Twice is once.
func (c *Conn) Close() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.end()
	c.work.Wait()
}

// Done is closed when the connection is.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// Heard is when the peer was last heard.
func (c *Conn) Heard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// Receive takes a datagram of the peer; it may be used again afterwards. It does
// not wait for a handler.
func (c *Conn) Receive(b []byte) {
	if c.ctx.Err() != nil {
		return
	}
	p, err := decode(b)
	if err != nil {
		if len(b) >= 4 && b[0]>>6 == 1 && message.Type(b[0]>>4&3) == message.Confirmable {
			c.control(message.Reset, binary.BigEndian.Uint16(b[2:])) // RFC 7252, section 4.2
		}
		return
	}
	c.mu.Lock()
	c.heard = time.Now()
	c.mu.Unlock()
	switch {
	case p.typ == message.Acknowledgement || p.typ == message.Reset:
		c.acknowledged(p)
	case p.Code == codes.Empty:
		if p.typ == message.Confirmable { // a ping
			c.control(message.Reset, p.mid)
		}
	case isRequest(p.Code):
		c.asked(p)
	default:
		c.answered(p)
	}
}

// acknowledged ends the wait for an acknowledgement, and where it carries the
// response, for that, too.
func (c *Conn) acknowledged(p packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.pending[p.mid]
	if w == nil {
		return
	}
	if p.typ == message.Reset {
		if !w.isRst {
			w.isRst = true
			close(w.reset)
		}
		return
	}
	if !w.isAck {
		w.isAck = true
		close(w.acked)
	}
	if p.Code == codes.Empty {
		return
	}
	if w.token == p.token {
		select {
		case w.answer <- p:
		default:
		}
	}
}

// answered takes a separate response, or a notification.
func (c *Conn) answered(p packet) {
	c.mu.Lock()
	w, obs := c.tokens[p.token], c.watched[p.token]
	if w != nil {
		select {
		case w.answer <- p:
		default:
		}
	}
	fresh := w == nil && obs != nil && obs.fresh(&p)
	full := fresh && (len(c.inbox) >= c.c.Backlog || c.ended)
	if fresh && !full {
		c.push(p)
	}
	c.mu.Unlock()
	switch {
	case full: // not acknowledged, so it comes again
	case p.typ != message.Confirmable:
	case w == nil && obs == nil:
		c.control(message.Reset, p.mid)
	default:
		c.control(message.Acknowledgement, p.mid)
	}
}

// control sends an empty message.
func (c *Conn) control(t message.Type, mid uint16) {
	p := packet{typ: t, mid: mid}
	if b, err := p.encode(); err == nil {
		_ = c.write(b) // lost datagrams come again
	}
}

// push puts p in line to be handled. The lock is held.
func (c *Conn) push(p packet) {
	c.inbox = append(c.inbox, p)
	if !c.busy {
		c.busy = true
		c.work.Go(c.handle)
	}
}

// handle works the inbox until it is empty.
func (c *Conn) handle() {
	for {
		c.mu.Lock()
		if len(c.inbox) == 0 || c.ended {
			c.busy, c.inbox = false, nil
			c.mu.Unlock()
			return
		}
		p := c.inbox[0]
		c.inbox = c.inbox[1:]
		obs := c.watched[p.token]
		c.mu.Unlock()
		switch {
		case isRequest(p.Code):
			c.respond(p)
		case obs != nil:
			m := &p.Message
			if b, ok := m.Block(message.Block2); ok && b.More { // the rest is asked for
				whole, err := c.rest(c.ctx, obs.request, m)
				if err != nil {
					continue // the next notification says more
				}
				m = whole
			}
			obs.notify(m)
		}
	}
}

// nextMID returns a message id. The lock is held.
func (c *Conn) nextMID() uint16 {
	c.mid++
	return c.mid
}

// begin registers a message of ours that waits for its acknowledgement.
func (c *Conn) begin(token string, answered bool) (*waiting, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, ErrClosed
	}
	w := &waiting{mid: c.nextMID(), token: token, acked: make(chan struct{}), answer: make(chan packet, 1), reset: make(chan struct{})}
	c.pending[w.mid] = w
	if answered {
		c.tokens[token] = w
	}
	return w, nil
}

func (c *Conn) finish(w *waiting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, w.mid)
	if c.tokens[w.token] == w {
		delete(c.tokens, w.token)
	}
}

func newToken() string {
	var b [8]byte
	rand.Read(b[:])
	return string(b[:])
}
