package lwm2m

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/dtlsx"
	"github.com/windlass-ota/windlass/ota"
)

// peer is one address, or one connection of DTLS, that is spoken with.
type peer struct {
	conn   *coapx.Conn
	addr   string
	ip     netip.Addr
	proven ota.Ref // whose it is, by DTLS; zero where it is plain
	secure bool
	holder atomic.Pointer[session] // who is registered through it; nil: nobody
	last   atomic.Int64            // when it was last heard, in seconds
}

// peers are those of the plain door.
type peers struct {
	mu    sync.Mutex
	of    map[netip.AddrPort]*peer
	swept time.Time
	ended bool
}

func (p *peers) init() { p.of = map[netip.AddrPort]*peer{} }

func (p *peers) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.of)
}

// idle is how long an address is remembered through which nobody is registered.
const idle = 4 * time.Minute // near EXCHANGE_LIFETIME (RFC 7252, section 4.8.2)

// sweep forgets addresses that nobody speaks from, now and then. The lock is
// held; what it returns is to be closed without it.
func (p *peers) sweep(now time.Time, all bool) (gone []*peer) {
	if !all && now.Sub(p.swept) < idle/4 {
		return nil
	}
	p.swept = now
	for at, x := range p.of {
		if all || x.holder.Load() == nil && now.Unix()-x.last.Load() > int64(idle/time.Second) {
			delete(p.of, at)
			gone = append(gone, x)
		}
	}
	return gone
}

func (p *peers) close() {
	p.mu.Lock()
	p.ended = true
	gone := p.sweep(time.Now(), true)
	p.mu.Unlock()
	for _, x := range gone {
		x.conn.Close()
	}
}

// peerAt returns the peer of an address, a new one where there is none; nil where
// there is no room for one more.
func (t *Transport) peerAt(at netip.AddrPort) *peer {
	now := time.Now()
	t.plain.mu.Lock()
	gone := t.plain.sweep(now, false)
	x := t.plain.of[at]
	if x == nil && !t.plain.ended && len(t.plain.of) < t.c.MaxPeers {
		x = &peer{addr: at.String(), ip: at.Addr()}
		x.conn = coapx.New(func(b []byte) error {
			_, err := t.udp.WriteToUDPAddrPort(b, at)
			return err
		}, func(ctx context.Context, r coapx.Asked) *coapx.Message { return t.asked(ctx, x, r) }, t.exchanges())
		t.plain.of[at] = x
	}
	t.plain.mu.Unlock()
	for _, g := range gone {
		t.running.Go(g.conn.Close)
	}
	if x != nil {
		x.last.Store(now.Unix())
	}
	return x
}

func (t *Transport) exchanges() coapx.Config { return coapx.Config{AckTimeout: t.c.AckTimeout} }

// maxDatagram is above what a client may send: blocks have 1024 bytes.
const maxDatagram = 8 << 10

// readPlain reads the plain door until it is closed.
func (t *Transport) readPlain() error {
	buf := make([]byte, maxDatagram)
	for {
		n, at, err := t.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lwm2m: read: %w", err)
		}
		if p := t.peerAt(netip.AddrPortFrom(at.Addr().Unmap(), at.Port())); p != nil && n < maxDatagram {
			p.conn.Receive(buf[:n])
		}
	}
}

// handshakes says who may come in by DTLS.
func (t *Transport) handshakes() dtlsx.Config {
	return dtlsx.Config{
		PSK: func(ctx context.Context, identity, address string) ([]byte, error) {
			_, key, err := t.d.Auth.PSK(ctx, identity, address)
			return key, err
		},
		Current: t.d.Certificate,
		Verify: func(ctx context.Context, chain []*x509.Certificate, address string) error {
			_, err := t.d.Auth.Certificate(ctx, chain, address)
			return err
		},
	}
}

// acceptSecure takes connections of DTLS until the door is closed.
func (t *Transport) acceptSecure(ctx context.Context) error {
	for {
		nc, err := t.dtls.AcceptWithContext(ctx)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil //nolint:nilerr // it was asked to end
			}
			return fmt.Errorf("lwm2m: accept: %w", err)
		}
		conn, ok := nc.(*dtlsx.Conn)
		if !ok {
			_ = nc.Close()
			continue
		}
		t.running.Go(func() { t.serveSecure(ctx, conn) })
	}
}

// secureIdle is how long a connection of DTLS may be silent that nobody is
// registered through.
const secureIdle = 5 * time.Minute

// serveSecure reads a connection of DTLS to its end.
func (t *Transport) serveSecure(ctx context.Context, nc *dtlsx.Conn) {
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	x := &peer{addr: nc.RemoteAddr().String(), secure: true}
	var err error
	if nc.Chain != nil {
		x.proven, err = t.d.Auth.Certificate(t.ctx, nc.Chain, x.addr)
	} else {
		x.proven, _, err = t.d.Auth.PSK(t.ctx, nc.Identity, x.addr)
	}
	if err != nil {
		return // it has changed since the handshake
	}
	if at, err := netip.ParseAddrPort(x.addr); err == nil {
		x.ip = at.Addr().Unmap()
	}
	x.conn = coapx.New(func(b []byte) error {
		_, err := nc.Write(b)
		return err
	}, func(ctx context.Context, r coapx.Asked) *coapx.Message { return t.asked(ctx, x, r) }, t.exchanges())
	defer x.conn.Close()
	buf := make([]byte, maxDatagram)
	for {
		_ = nc.SetReadDeadline(time.Now().Add(secureIdle)) // a closed one says so when it is read
		n, err := nc.Read(buf)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() && x.holder.Load() != nil {
			continue
		}
		if err != nil {
			return
		}
		x.last.Store(time.Now().Unix())
		x.conn.Receive(buf[:n])
	}
}
