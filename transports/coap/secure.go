package coap

import (
	"context"
	"crypto/x509"
	"errors"
	"net"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/internal/dtlsx"
	"github.com/windlass-ota/windlass/ota"
)

// handshakes says who may speak over DTLS: devices with a pre-shared key or a
// certificate.
func (t *Transport) handshakes() dtlsx.Config {
	return dtlsx.Config{
		PSK: func(ctx context.Context, identity, address string) ([]byte, error) {
			_, key, err := t.d.Auth.PSK(ctx, identity, address)
			if err != nil {
				t.whoCode(err)
			}
			return key, err
		},
		Current: t.c.Certificate,
		Verify: func(ctx context.Context, chain []*x509.Certificate, address string) error {
			_, err := t.d.Auth.Certificate(ctx, chain, address)
			if err != nil {
				t.whoCode(err)
			}
			return err
		},
	}
}

// acceptDTLS serves connections until the transport stops.
func (t *Transport) acceptDTLS() error {
	ctx, cancel := context.WithCancel(t.base)
	defer cancel()
	t.work.Go(func() {
		select {
		case <-t.stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	for {
		nc, err := t.dtls.AcceptWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			continue
		}
		conn, ok := nc.(*dtlsx.Conn)
		if !ok {
			_ = nc.Close()
			continue
		}
		t.work.Go(func() { t.serveDTLS(conn) })
	}
}

// serveDTLS reads a connection until it ends: by the device, by silence, or with
// the transport.
func (t *Transport) serveDTLS(conn *dtlsx.Conn) {
	defer conn.Close()
	p := &peer{address: conn.RemoteAddr().String(), secure: true}
	var err error
	if p.ref, err = t.deviceOf(conn, p.address); err != nil {
		t.log.Debug("a device is gone since its handshake", "transport", Name, "address", p.address, "error", err)
		return
	}
	p.send = func(b []byte) error { _, err := conn.Write(b); return err }
	p.proven.Store(true) // the handshake's cookie came back
	p.hear(0)
	p.hangUp = func() { _ = conn.Close() } // before anybody else sees it, who may end it
	if !t.peers.secure(p) {
		t.counts.dropped.Add(1)
		return
	}
	defer func() {
		t.peers.remove(p)
		p.end(t)
	}()
	select {
	case <-t.stopping: // whoever ends all peers may have missed this one
		return
	default:
	}
	x := newScratch()
	for {
		n, err := conn.Read(x.in)
		if err != nil {
			return
		}
		p.hear(n)
		select {
		case <-t.stopping:
			return
		default:
		}
		if err := x.m.Decode(x.in[:n]); !errors.Is(err, coapwire.ErrVersion) {
			t.take(p, x, x.in[:n], err)
		}
	}
}

// deviceOf is who shook hands.
func (t *Transport) deviceOf(conn *dtlsx.Conn, address string) (ota.Ref, error) {
	if conn.Chain != nil {
		return t.d.Auth.Certificate(t.base, conn.Chain, address)
	}
	ref, _, err := t.d.Auth.PSK(t.base, conn.Identity, address)
	return ref, err
}
