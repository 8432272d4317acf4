package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// door is one address that devices connect to.
type door struct {
	net.Listener
	secure *tls.Config // nil: plain
}

// listen binds the addresses of the configuration.
func (t *Transport) listen(secure *tls.Config) error {
	bind := func(address string, secure *tls.Config) error {
		if address == "" {
			return nil
		}
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("mqtt: listen: %w", err)
		}
		t.open = append(t.open, &door{ln, secure})
		return nil
	}
	if err := bind(t.cfg.Listen, nil); err != nil {
		return err
	}
	return bind(t.cfg.ListenTLS, forDevices(secure))
}

// forDevices asks for a device's certificate and takes none for granted: devices
// without one show a token, and a certificate that nobody has signed is as good
// as another, since the device is known by the certificate itself. That it holds
// the key belonging to it the handshake has proven.
func forDevices(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.ClientAuth = tls.RequestClientCert
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c
}

// Addr is where devices connect to without TLS; nil where they cannot.
func (t *Transport) Addr() net.Addr { return t.address(false) }

// AddrTLS is where devices connect to with TLS; nil where they cannot.
func (t *Transport) AddrTLS() net.Addr { return t.address(true) }

func (t *Transport) address(secure bool) net.Addr {
	for _, d := range t.open {
		if (d.secure != nil) == secure {
			return d.Addr()
		}
	}
	return nil
}

// Close gives the addresses back. Serve does so by itself; twice is once.
func (t *Transport) Close() error {
	var errs []error
	for _, d := range t.open {
		if err := d.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("mqtt: close: %w", err))
		}
	}
	return errors.Join(errs...)
}

// acceptAll runs until all doors are closed, or one fails.
func (t *Transport) acceptAll(ctx, turns context.Context) (err error) {
	var wg sync.WaitGroup
	var once sync.Once
	for _, d := range t.open {
		wg.Go(func() {
			failed := t.accept(ctx, turns, d)
			once.Do(func() { err = failed; t.stop() })
		})
	}
	wg.Wait()
	return err
}

// accept runs until the door is closed. A lack of file descriptors, or the
// like, passes: it waits a little and goes on.
func (t *Transport) accept(ctx, turns context.Context, d *door) error {
	var pause time.Duration
	for {
		nc, err := d.Accept()
		switch {
		case err == nil:
			pause = 0
			t.begin(turns, newConn(t, nc, d.secure))
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			t.log.Warn("mqtt accept failed, will go on", "error", err, "pause", pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}
