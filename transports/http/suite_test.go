package http

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, w transporttest.World) transporttest.Server { return wire(t, w, false) })
}

// The whole contract holds over TLS, with HTTP/1.1 and with HTTP/2.
func TestTransportTLS(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, w transporttest.World) transporttest.Server { return wire(t, w, true) })
}

// wire serves a world, with TLS or without.
func wire(t *testing.T, w transporttest.World, secure bool) transporttest.Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deps := Deps{Auth: w.Auth, Router: w.Router, Blobs: w.Blobs, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	scheme, trust := "http", (*tls.Config)(nil)
	if secure {
		scheme, deps.Secure = "https", l
		cert := transporttest.Certificate(t, "windlass")
		deps.TLS, trust = &tls.Config{Certificates: []tls.Certificate{cert}}, transporttest.Trust(cert)
	} else {
		deps.Listener = l
	}
	tr := New(Config{}, deps)
	stop := transporttest.Serve(t, tr, w.Handler)
	dialed := 0
	return transporttest.Server{Name: Name, Stop: stop, Dial: func(t *testing.T, token string) (transporttest.Device, error) {
		ctx, cancel := context.WithCancel(context.Background())
		dialed++
		d := &device{
			url: scheme + "://" + l.Addr().String() + "/api/v1/" + url.PathEscape(token), ctx: ctx, cancel: cancel,
			client:   &http.Client{Transport: &http.Transport{DisableCompression: true, TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: dialed%2 == 0}},
			sessions: w.Router.Sessions,
		}
		t.Cleanup(d.Hangup)
		return d, nil
	}}
}

// device speaks HTTP as a device does.
type device struct {
	url      string
	ctx      context.Context //nolint:containedctx // hanging up ends all that goes on
	cancel   context.CancelFunc
	client   *http.Client
	sessions func() int
	polls    sync.WaitGroup
}

func (d *device) do(method, path, body string) (status int, reply string, err error) {
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (d *device) Telemetry(bodies ...string) (acked int) {
	for _, b := range bodies {
		if status, _, err := d.do("POST", "/telemetry", b); err == nil && status == http.StatusOK {
			acked++
		}
	}
	return acked
}

func (d *device) Attributes(body string) bool {
	status, _, err := d.do("POST", "/attributes", body)
	return err == nil && status == http.StatusOK
}

func (d *device) Request(clientKeys, sharedKeys string) (string, error) {
	q := url.Values{}
	if clientKeys != "" {
		q.Set("clientKeys", clientKeys)
	}
	if sharedKeys != "" {
		q.Set("sharedKeys", sharedKeys)
	}
	return d.ok(d.do("GET", "/attributes?"+q.Encode(), ""))
}

func (*device) ok(status int, reply string, err error) (string, error) {
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, reply)
	}
	return reply, err
}

func (d *device) Chunk(k ota.Kind, v ota.Version, size, chunk int64) ([]byte, error) {
	q := url.Values{"title": {v.Title}, "version": {v.Version}, "size": {strconv.FormatInt(size, 10)}, "chunk": {strconv.FormatInt(chunk, 10)}}
	reply, err := d.ok(d.do("GET", "/"+string(k)+"?"+q.Encode(), ""))
	return []byte(reply), err
}

func (d *device) Listen() <-chan string {
	heard := make(chan string, 8)
	before := d.sessions()
	d.polls.Go(func() {
		if reply, err := d.ok(d.do("GET", "/attributes/updates", "")); err == nil {
			heard <- reply
		}
	})
	for late := time.Now().Add(10 * time.Second); d.sessions() == before && time.Now().Before(late); {
		<-time.After(time.Millisecond)
	}
	return heard
}

func (d *device) Hangup() {
	d.cancel()
	d.client.CloseIdleConnections()
	d.polls.Wait()
}
