// Package coap is ThingsBoard's device API over CoAP, plain and over DTLS:
// telemetry, attributes and their observation, calls, and the bytes of firmware
// and software in blocks.
//
// A datagram that asks for a block is answered on the spot, from nothing but
// what it says itself: a device may begin anywhere, go on after a reboot of
// either side, and ask again as often as it likes. Everything else (bodies in
// blocks, repeats, observations, what we ask of devices) goes through an
// exchange of go-coap over the same socket.
//
// An address that has not shown that it hears us gets few bytes: at most three
// for each that came from there, so that nobody can be flooded through us. It
// shows it by rejecting an empty message, as each CoAP endpoint must (RFC 7252,
// section 4.3), for which no device has to know anything new.
//
// It decodes and encodes. What a device is answered is decided behind
// [transports.Handler].
package coap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/internal/dtlsx"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Name is what messages that came over CoAP carry as their transport.
const Name = "coap"

// Config is what an operator may set. The zero value of each member means its
// default.
type Config struct {
	Listen      string                  // UDP address, ":5683"; "" for none
	Secure      string                  // UDP address for DTLS, ":5684"; "" for none
	Certificate func() *tls.Certificate // what we show over DTLS now; nil: pre-shared keys alone
	MaxBody     int64                   // bytes of a body that comes in blocks; default 64 KiB
	InFlight    int                     // messages handled at once; default 1024
	Sessions    int                     // devices with an exchange or an observation; default 100,000
	Idle        time.Duration           // after which an exchange is forgotten; default 5 minutes, more than a message lives
	Observe     time.Duration           // silence after which an observation ends; default 24 h (RFC 7641, section 4.5)
	Ack         time.Duration           // to acknowledge what we say, before it is said again; default 2 s
	Drain       time.Duration           // to end what goes on when the server stops; default 10 s
	JSON        transports.Limits
}

func (c Config) filled() Config {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.Idle, 5*time.Minute)
	def(&c.Observe, 24*time.Hour)
	def(&c.Ack, 2*time.Second)
	def(&c.Drain, 10*time.Second)
	if c.MaxBody <= 0 {
		c.MaxBody = 64 << 10
	}
	if c.InFlight <= 0 {
		c.InFlight = 1024
	}
	if c.Sessions <= 0 {
		c.Sessions = 100_000
	}
	return c
}

// Authenticator proves devices; [transports.Authenticator] is one.
type Authenticator interface {
	Token(ctx context.Context, token, address string) (ota.Ref, error)
	Certificate(ctx context.Context, chain []*x509.Certificate, address string) (ota.Ref, error)
	PSK(ctx context.Context, identity, address string) (ota.Ref, []byte, error)
}

// Files opens the files whose pieces are sent; [ota.Blobs] does.
type Files interface {
	Open(ctx context.Context, digest string) (ota.Blob, error)
}

// Provisioner makes devices known that were not, and lets known ones be claimed;
// [transports.Provisioner] does.
type Provisioner interface {
	Provision(ctx context.Context, body []byte, address string) (reply []byte, ok bool, err error)
	Claim(ctx context.Context, device ota.Ref, body []byte) error
}

// Deps is what the transport works with. All but Claims, Doors and Log are
// required.
type Deps struct {
	Auth   Authenticator
	Router *transports.Router
	Files  Files
	Claims Provisioner       // nil: nobody is made known here, and nobody claimed
	Doors  *transports.Doors // what chains answer below /in/; nil: nothing
	Log    *slog.Logger      // slog.Default where it is nil
}

// Transport serves devices over CoAP.
type Transport struct {
	c       Config
	d       Deps
	log     *slog.Logger
	h       transports.Handler // set by Serve, before anything is read
	udp     *net.UDPConn
	dtls    *dtlsx.Listener
	peers   peers
	front   front
	slots   chan struct{} // one for each message that is being handled
	telling chan struct{} // one for each session whose beginning or end is being noted
	calls   atomic.Int64  // number of the last call of a device's method
	counts  counts

	base     context.Context //nolint:containedctx // turns outlive whoever asked for them, and know no deadline of his
	stopping chan struct{}   // closed when nothing new is taken
	work     sync.WaitGroup  // what has begun
}

var _ transports.Source = (*Transport)(nil)

// New opens the sockets; nothing is read from them yet.
func New(c Config, d Deps) (*Transport, error) {
	if d.Auth == nil || d.Router == nil || d.Files == nil {
		return nil, errors.New("coap: authenticator, router and files are required")
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	c = c.filled()
	t := &Transport{c: c, d: d, log: d.Log, slots: make(chan struct{}, c.InFlight), telling: make(chan struct{}, 64), stopping: make(chan struct{}), base: context.Background()}
	t.peers.init(c.Sessions)
	if err := t.open(); err != nil {
		return nil, errors.Join(err, t.closeSockets())
	}
	return t, nil
}

func (t *Transport) open() error {
	if t.c.Listen != "" {
		at, err := net.ResolveUDPAddr("udp", t.c.Listen)
		if err != nil {
			return &ota.Error{Code: ota.Invalid, Op: "coap: listen", Err: err}
		}
		if t.udp, err = net.ListenUDP("udp", at); err != nil {
			return &ota.Error{Code: ota.Invalid, Op: "coap: listen", Err: err}
		}
		_ = t.udp.SetReadBuffer(4 << 20) // as much as the system lets us have
	}
	if t.c.Secure != "" {
		l, err := dtlsx.Listen(t.c.Secure, t.handshakes())
		if err != nil {
			return &ota.Error{Code: ota.Invalid, Op: "coap: listen", Err: err}
		}
		t.dtls = l
	}
	return nil
}

func (t *Transport) closeSockets() (err error) {
	if t.dtls != nil {
		err = t.dtls.Close()
	}
	if t.udp != nil {
		err = errors.Join(err, t.udp.Close())
	}
	return err
}

// Addr is where plain CoAP is spoken, nil where it is not.
func (t *Transport) Addr() net.Addr {
	if t.udp == nil {
		return nil
	}
	return t.udp.LocalAddr()
}

// SecureAddr is where DTLS is spoken, nil where it is not.
func (t *Transport) SecureAddr() net.Addr {
	if t.dtls == nil {
		return nil
	}
	return t.dtls.Addr()
}

// Serve implements [transports.Source]. When ctx ends no datagram is read any
// more; what has begun has the drain time, and is answered.
func (t *Transport) Serve(ctx context.Context, h transports.Handler) error {
	t.h, t.base = h, context.WithoutCancel(ctx)
	failed := make(chan error, 2)
	var readers sync.WaitGroup
	if t.udp != nil {
		readers.Go(func() { failed <- t.readUDP() })
	}
	if t.dtls != nil {
		readers.Go(func() { failed <- t.acceptDTLS() })
	}
	readers.Go(t.tick)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	close(t.stopping)
	if t.udp != nil {
		_ = t.udp.SetReadDeadline(time.Now())
	}
	t.drain()
	t.peers.each(func(p *peer) { p.end(t) })
	err = errors.Join(err, t.closeSockets())
	readers.Wait()
	t.work.Wait()
	return err
}

// drain waits for what has begun, as long as it may take.
func (t *Transport) drain() {
	done := make(chan struct{})
	go func() {
		for range cap(t.slots) { // each that is given back is one that has ended
			t.slots <- struct{}{}
		}
		close(done)
	}()
	timer := time.NewTimer(t.c.Drain)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.log.Warn("exchanges were cut, since they did not end in time", "transport", Name, "drain", t.c.Drain)
	}
}

// begin takes a slot for something that comes from outside; false when nothing
// new is taken any more.
func (t *Transport) begin() bool {
	select {
	case <-t.stopping:
		return false
	default:
	}
	select {
	case t.slots <- struct{}{}:
		return true
	case <-t.stopping:
		return false
	}
}

// finish gives the slot back, when the answer is written.
func (t *Transport) finish() { <-t.slots }

// handle hands a message over. What has begun is ended, whether or not the asker
// still waits.
func (t *Transport) handle(m ota.Message) ([]ota.Reply, error) { return t.h.Handle(t.base, m) }

// counts are what Stats tells.
type counts struct {
	blocks, refused, malformed, dropped, held atomic.Uint64
}

// Stats are counters since the start, and how much there is now.
type Stats struct {
	Peers     int    // addresses that are remembered
	Sessions  int    // of these with an exchange of their own
	Blocks    uint64 // sent of firmware and software
	Refused   uint64 // requests without a good token
	Malformed uint64 // datagrams that are no message
	Dropped   uint64 // datagrams and words for which there was no room
	Held      uint64 // answers that waited until their address was proven
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats {
	all, with := t.peers.count()
	return Stats{all, with, t.counts.blocks.Load(), t.counts.refused.Load(), t.counts.malformed.Load(), t.counts.dropped.Load(), t.counts.held.Load()}
}
