package coap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, w transporttest.World) transporttest.Server {
		tr, err := New(Config{Listen: "127.0.0.1:0"}, Deps{Auth: w.Auth, Router: w.Router, Files: w.Blobs, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		stop := transporttest.Serve(t, tr, w.Handler)
		return transporttest.Server{Name: Name, Stop: stop, Dial: func(t *testing.T, token string) (transporttest.Device, error) {
			d, err := dialSuite(tr.Addr().String(), token)
			if err == nil {
				t.Cleanup(d.Hangup)
			}
			return d, err
		}}
	})
}

// suiteDevice speaks CoAP as a device does.
type suiteDevice struct {
	prefix    string // a token and a slash; over DTLS nothing
	dial      func() (net.Conn, error)
	conn      net.Conn
	client    *sim.CoAP
	ctx       context.Context //nolint:containedctx // hanging up ends all that goes on
	cancel    context.CancelFunc
	listening sync.WaitGroup
	observed  *sim.CoAP
}

func dialSuite(addr, token string) (*suiteDevice, error) {
	nc, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	dial := func() (net.Conn, error) { return net.Dial("udp", addr) }
	return &suiteDevice{dial: dial, prefix: url.PathEscape(token) + "/", conn: nc, client: &sim.CoAP{Conn: nc, Says: 3}, ctx: ctx, cancel: cancel}, nil
}

func (d *suiteDevice) Telemetry(bodies ...string) (acked int) {
	for _, b := range bodies {
		if d.post("telemetry", b) {
			acked++
		}
	}
	return acked
}

func (d *suiteDevice) Attributes(body string) bool { return d.post("attributes", body) }

func (d *suiteDevice) post(feature, body string) bool {
	a, err := d.client.Post(d.ctx, "api/v1/"+d.prefix+feature, []byte(body))
	return err == nil && a.Code == coapwire.Created
}

func (d *suiteDevice) Request(clientKeys, sharedKeys string) (string, error) {
	path := "api/v1/" + d.prefix + "attributes"
	if clientKeys != "" || sharedKeys != "" {
		path += "?clientKeys=" + clientKeys + "&sharedKeys=" + sharedKeys
	}
	body, err := d.client.Fetch(d.ctx, path, nil)
	var no *sim.Refusal
	if errors.As(err, &no) && no.Code == 404 { // over CoAP nothing is not found
		return "{}", nil
	}
	return string(body), err
}

func (d *suiteDevice) Chunk(k ota.Kind, v ota.Version, size, chunk int64) ([]byte, error) {
	return d.client.Fetch(d.ctx, fmt.Sprintf("%s?title=%s&version=%s&size=%d&chunk=%d", strings.TrimSuffix(k.Prefix()+"/"+d.prefix, "/"), v.Title, v.Version, size, chunk), nil)
}

func (d *suiteDevice) Listen() <-chan string {
	heard := make(chan string, 8)
	nc, err := d.dial()
	if err != nil {
		return heard
	}
	d.observed = &sim.CoAP{Conn: nc}
	if _, err := d.observed.Observe(d.ctx, "api/v1/"+d.prefix+"attributes"); err != nil {
		nc.Close()
		return heard
	}
	d.listening.Go(func() {
		defer nc.Close()
		for d.ctx.Err() == nil {
			if body, err := d.observed.Next(d.ctx, 20*time.Millisecond); err == nil && body != nil {
				heard <- string(body)
			}
		}
		_ = d.observed.Unobserve("api/v1/" + d.prefix + "attributes")
	})
	return heard
}

func (d *suiteDevice) Hangup() {
	d.cancel()
	d.listening.Wait()
	d.conn.Close()
}

// suiteKeys are the suite's tokens as identities, each with a key.
type suiteKeys struct{ Authenticator }

func (k suiteKeys) PSK(ctx context.Context, identity, address string) (ota.Ref, []byte, error) {
	ref, err := k.Token(ctx, identity, address)
	return ref, []byte("key of " + identity), err
}

// TestTransportSecure holds the door with DTLS to the same facts; who may come in
// is settled by the handshake there.
func TestTransportSecure(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, w transporttest.World) transporttest.Server {
		tr, err := New(Config{Secure: "127.0.0.1:0"}, Deps{Auth: suiteKeys{w.Auth}, Router: w.Router, Files: w.Blobs, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		stop := transporttest.Serve(t, tr, w.Handler)
		return transporttest.Server{Name: Name, Stop: stop, Dial: func(t *testing.T, token string) (transporttest.Device, error) {
			shake := func() (net.Conn, error) {
				conn, err := (&rig{Transport: tr}).shake(t, psk(token, "key of "+token)...)
				if err != nil {
					return nil, err
				}
				return conn.Conn, nil
			}
			nc, err := shake()
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithCancel(context.Background())
			d := &suiteDevice{conn: nc, dial: shake, client: &sim.CoAP{Conn: nc, Says: 3}, ctx: ctx, cancel: cancel}
			t.Cleanup(d.Hangup)
			return d, nil
		}}
	})
}
