// Package dtlsx listens for DTLS 1.2 connections of devices, which prove
// themselves with a pre-shared key or with a certificate. CoAP and LwM2M stand
// on it.
//
// It shakes hands and says who it was; whether that is a device of ours is for
// the callbacks to know. A handshake that stands still is dropped, and so many
// at once are refused, so that hellos without end hold up nobody.
package dtlsx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/transport/v5/udp"
)

// Config says who may shake hands. At least one of PSK, Certificate and Current
// is set.
type Config struct {
	// PSK returns the key of an identity. An error ends the handshake. nil:
	// there are no pre-shared keys.
	PSK func(ctx context.Context, identity, address string) ([]byte, error)
	// Certificate is what we show; nil: there are no certificates.
	Certificate *tls.Certificate
	// Current says what we show now, where that changes while we listen; instead
	// of Certificate.
	Current func() *tls.Certificate
	// Verify judges the certificate of a device, the first of the chain, whose
	// key it has proven to hold. An error ends the handshake. Required where
	// there is a certificate: nobody comes in without proof.
	Verify func(ctx context.Context, chain []*x509.Certificate, address string) error
	// Handshake is how long one may take; default 10 s.
	Handshake time.Duration
	// HalfOpen is how many may be under way; more are dropped. Default 1024.
	HalfOpen int
}

// suites are those with authenticated encryption, the two that every device of
// CoAP has among them (RFC 7252, section 9.1.3).
var suites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	dtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
	dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
	dtls.TLS_PSK_WITH_AES_128_CCM,
	dtls.TLS_PSK_WITH_AES_128_CCM_8,
	dtls.TLS_PSK_WITH_AES_256_CCM_8,
}

// Conn is a connection whose handshake is done: each Read and Write is one
// datagram.
type Conn struct {
	net.Conn
	// Identity is the one whose pre-shared key the device holds; "" where it
	// came with a certificate.
	Identity string
	// Chain is the device's certificate and those behind it; nil where it came
	// with a pre-shared key.
	Chain []*x509.Certificate
}

// Listener accepts connections. It serves go-coap as well as callers of its own.
type Listener struct {
	c     Config
	inner dtlsnet.PacketListener
	ready chan *Conn
	ctx   context.Context //nolint:containedctx // handshakes end with the listener
	end   context.CancelFunc
	wg    sync.WaitGroup
}

// ErrNoProof refuses a configuration by which nobody could prove who he is.
var ErrNoProof = errors.New("dtls: neither pre-shared keys nor certificates are configured")

// Listen opens the door at a UDP address. Close ends it.
func Listen(addr string, c Config) (*Listener, error) {
	if c.Current == nil && c.Certificate != nil {
		c.Current = func() *tls.Certificate { return c.Certificate }
	}
	if c.PSK == nil && c.Current == nil || c.Current != nil && c.Verify == nil {
		return nil, ErrNoProof
	}
	if c.Handshake <= 0 {
		c.Handshake = 10 * time.Second
	}
	if c.HalfOpen <= 0 {
		c.HalfOpen = 1024
	}
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("dtls: listen: %w", err)
	}
	l, err := (&udp.ListenConfig{AcceptFilter: isHello}).Listen("udp", at)
	if err != nil {
		return nil, fmt.Errorf("dtls: listen: %w", err)
	}
	x := &Listener{c: c, inner: dtlsnet.PacketListenerFromListener(l), ready: make(chan *Conn)}
	x.ctx, x.end = context.WithCancel(context.Background())
	x.wg.Go(x.accept)
	return x, nil
}

// isHello says whether a datagram may begin a connection: a record of DTLS with
// a ClientHello in the clear.
func isHello(b []byte) bool {
	const recordHeader, handshake, clientHello = 13, 22, 1
	return len(b) > recordHeader && b[0] == handshake && b[1] == 254 && b[3] == 0 && b[4] == 0 && b[recordHeader] == clientHello
}

// accept shakes hands with whoever comes, each beside the others.
func (l *Listener) accept() {
	slots := make(chan struct{}, l.c.HalfOpen)
	for {
		pc, from, err := l.inner.Accept()
		if err != nil {
			return // it was closed
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = pc.Close() // a hello that is worth it comes again
			continue
		}
		l.wg.Go(func() {
			defer func() { <-slots }()
			conn, err := l.shake(pc, from)
			if err != nil {
				_ = pc.Close()
				return
			}
			select {
			case l.ready <- conn:
			case <-l.ctx.Done():
				_ = conn.Close()
			}
		})
	}
}

func (l *Listener) shake(pc net.PacketConn, from net.Addr) (*Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.c.Handshake)
	defer cancel()
	conn, err := dtls.ServerWithOptions(pc, from, l.options(ctx, from.String())...)
	if err != nil {
		return nil, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	state, ok := conn.ConnectionState()
	if !ok {
		_ = conn.Close()
		return nil, errors.New("dtls: the connection has no state")
	}
	out := &Conn{Conn: conn}
	if len(state.PeerCertificates) == 0 {
		out.Identity = string(state.IdentityHint)
		return out, nil
	}
	out.Chain, err = chain(state.PeerCertificates)
	return out, err
}

func (l *Listener) options(ctx context.Context, address string) []dtls.ServerOption {
	o := []dtls.ServerOption{
		dtls.WithCipherSuites(suites...),
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithMTU(1200),
	}
	if l.c.PSK != nil {
		o = append(o, dtls.WithPSK(func(identity []byte) ([]byte, error) { return l.c.PSK(ctx, string(identity), address) }))
	}
	if l.c.Current != nil {
		o = append(o, dtls.WithCertificates(*l.c.Current()), dtls.WithClientAuth(dtls.RequireAnyClientCert),
			dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
				certs, err := chain(raw)
				if err != nil {
					return err
				}
				return l.c.Verify(ctx, certs, address)
			}))
	}
	return o
}

func chain(raw [][]byte) ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, 0, len(raw))
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("dtls: certificate of a device: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}

// AcceptWithContext returns the next connection, a [*Conn]; [net.ErrClosed]
// when the listener is closed, the context's error when that ends first.
func (l *Listener) AcceptWithContext(ctx context.Context) (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close ends handshakes and waits for them; connections that were accepted go
// on. Closing twice is closing once.
func (l *Listener) Close() error {
	l.end()
	err := l.inner.Close()
	l.wg.Wait()
	return err
}
