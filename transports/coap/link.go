package coap

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	coapNet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/net/responsewriter"
	"github.com/plgd-dev/go-coap/v3/options/config"
	"github.com/plgd-dev/go-coap/v3/udp/client"
	"github.com/plgd-dev/go-coap/v3/udp/coder"

	"github.com/windlass-ota/windlass/internal/coapwire"
)

// link is a peer's exchange: the session that go-coap's connection writes
// through. Datagrams come to it from the front, since all share one socket.
type link struct {
	t   *Transport
	p   *peer
	cc  *client.Conn
	ctx atomic.Pointer[context.Context]
	end context.CancelFunc

	done    chan struct{}
	closing sync.Once

	mu      sync.Mutex
	onClose []func()
	told    [8]told // the last notifications
	next    int
}

// told is a notification on its way.
type told struct {
	id    uint16
	token string
}

var _ client.Session = (*link)(nil)

// messages are shared by all exchanges.
var messages = pool.New(1024, 2048)

// process hands a datagram to the peer's exchange, which begins where somebody
// has a right to one.
func (t *Transport) process(p *peer, x *scratch, b []byte) {
	l := p.linkNow()
	if err := x.m.Decode(b); err != nil {
		return
	}
	if l == nil || l.Context().Err() != nil {
		if !x.m.Code.IsRequest() {
			return
		}
		if code, text := t.admit(p, &x.m); code != coapwire.Empty {
			p.say(t, refuse(x, p, code, text))
			return
		}
		if r := routeOf(pathOf(&x.m), p.secure); (r.to == door || r.to == provision) && p.prove(b) {
			return // memory is for whoever hears us
		}
		if l = t.link(p); l == nil {
			p.say(t, refuse(x, p, coapwire.Unavailable, "too many devices"))
			return
		}
	}
	if reply := p.keptBlock(x); reply != nil {
		p.say(t, reply)
		return
	}
	if err := l.cc.Process(nil, b); err != nil {
		t.counts.dropped.Add(1)
	}
}

// admit says whether a request may begin an exchange, which costs memory: for
// whoever shows a good token, and at a door of a chain.
func (t *Transport) admit(p *peer, m *coapwire.Message) (coapwire.Code, string) {
	r := routeOf(pathOf(m), p.secure)
	if code, text := r.refused(m.Code); code != coapwire.Empty {
		return code, text
	}
	switch r.to {
	case door:
		return t.doorCode(m.Code, r.path), ""
	case provision:
		return coapwire.Empty, ""
	}
	if _, err := t.who(p, r.token, r.shown); err != nil {
		return t.whoCode(err), ""
	}
	return coapwire.Empty, ""
}

// refused says what cannot be asked for, whoever asks.
func (r *route) refused(method coapwire.Code) (coapwire.Code, string) {
	if method != coapwire.GET && method != coapwire.POST && r.to != door {
		return coapwire.NotAllowed, ""
	}
	switch r.to {
	case nowhere:
		return coapwire.NotFound, ""
	case unknown:
		return coapwire.BadRequest, "no such feature"
	case packages:
		return coapwire.NotAllowed, ""
	case provision:
		if method != coapwire.POST {
			return coapwire.NotAllowed, ""
		}
	}
	return coapwire.Empty, ""
}

// link begins an exchange; nil where there are too many.
func (t *Transport) link(p *peer) *link {
	if n := t.peers.linked.Add(1); n > int64(t.peers.limit) {
		t.peers.linked.Add(-1)
		return nil
	}
	l := &link{t: t, p: p, done: make(chan struct{})}
	ctx, end := context.WithCancel(t.base)
	l.ctx.Store(&ctx)
	l.end = end
	cfg := client.DefaultConfig
	cfg.Handler = l.serve
	cfg.Errors = func(err error) { t.log.Debug("exchange", "transport", Name, "address", p.address, "error", err) }
	cfg.MessagePool = messages
	cfg.ProcessReceivedMessage = func(m *pool.Message, cc *client.Conn, handle config.HandlerFunc[*client.Conn]) {
		defer func() {
			if r := recover(); r != nil { // one device's message must not end the others
				t.log.Error("coap panic, exchange closed", "address", p.address, "panic", r, "stack", string(debug.Stack()))
				go l.close()
			}
		}()
		if m.Code() >= 1 && m.Code() < 32 {
			if !t.begin() {
				return
			}
			defer t.finish()
		}
		cc.ProcessReceivedMessageWithHandler(m, handle)
	}
	cfg.TransmissionAcknowledgeTimeout = t.c.Ack
	cfg.MaxPendingMessages = maxBox
	cfg.ReceivedMessageQueueSize = maxBox
	l.cc = client.NewConnWithOpts(l, &cfg, client.WithResponseMessageCache(&repeats{}),
		client.WithBlockWise(func(cc *client.Conn) *blockwise.BlockWise[*client.Conn] {
			bw := blockwise.New(cc, client.ExchangeLifetime, cfg.Errors, func(token message.Token) (*pool.Message, bool) {
				return cc.GetObservationRequest(token) // cc is not whole yet
			})
			bw.SetReceivingMessagesCacheMaxEntries(2)
			bw.SetMaxReceiveBodySize(t.c.MaxBody)
			bw.SetRollingExpiration(true)
			return bw
		}))
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		l.close()
		return nil
	}
	was := p.link
	p.link = l
	p.mu.Unlock()
	if was != nil {
		was.close()
	}
	return l
}

// close ends the exchange. Closing twice is closing once.
func (l *link) close() {
	l.closing.Do(func() {
		l.end()
		l.mu.Lock()
		all := l.onClose
		l.onClose = nil
		l.mu.Unlock()
		for _, f := range all {
			f()
		}
		close(l.done)
		l.t.peers.linked.Add(-1)
	})
}

// WriteMessage implements [client.Session].
func (l *link) WriteMessage(m *pool.Message) error {
	b, err := m.MarshalWithEncoder(coder.DefaultCoder)
	if err != nil {
		return err
	}
	if m.Type() == message.Confirmable && m.HasOption(message.Observe) {
		l.mu.Lock()
		l.told[l.next%len(l.told)] = told{uint16(m.MessageID()), string(m.Token())}
		l.next++
		l.mu.Unlock()
	}
	l.p.say(l.t, b)
	return nil
}

// notified returns the token of the observation that a message of ours told of.
func (l *link) notified(id uint16) (token string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range min(l.next, len(l.told)) {
		if l.told[i].id == id {
			return l.told[i].token, true
		}
	}
	return "", false
}

// Context implements [client.Session].
func (l *link) Context() context.Context { return *l.ctx.Load() }

// SetContextValue implements [client.Session].
func (l *link) SetContextValue(key, value any) {
	ctx := context.WithValue(l.Context(), key, value)
	l.ctx.Store(&ctx)
}

// Close implements [client.Session]: go-coap gives up on an exchange. The peer
// begins another with its next word.
func (l *link) Close() error {
	go l.close() // it is called with locks held
	return nil
}

// Done implements [client.Session].
func (l *link) Done() <-chan struct{} { return l.done }

// AddOnClose implements [client.Session].
func (l *link) AddOnClose(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onClose = append(l.onClose, f)
}

// MaxMessageSize implements [client.Session].
func (*link) MaxMessageSize() uint32 { return maxDatagram }

// RemoteAddr implements [client.Session].
func (l *link) RemoteAddr() net.Addr {
	if l.p.secure {
		return address(l.p.address)
	}
	return net.UDPAddrFromAddrPort(l.p.from)
}

// LocalAddr implements [client.Session].
func (l *link) LocalAddr() net.Addr {
	if l.p.secure {
		return l.t.SecureAddr()
	}
	return l.t.Addr()
}

// NetConn implements [client.Session]: there is none that is the peer's own.
func (*link) NetConn() net.Conn { return nil }

// Run implements [client.Session]: the front reads.
func (l *link) Run(*client.Conn) error { <-l.done; return nil }

var errMulticast = errors.New("coap: no multicast")

// WriteMulticastMessage implements [client.Session].
func (*link) WriteMulticastMessage(*pool.Message, *net.UDPAddr, ...coapNet.MulticastOption) error {
	return errMulticast
}

// address is a remote address of which only the text is known.
type address string

func (address) Network() string  { return "udp" }
func (a address) String() string { return string(a) }

type writer = *responsewriter.ResponseWriter[*client.Conn]
