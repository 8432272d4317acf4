package mqtt

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

func TestMain(m *testing.M) {
	loadIfAsked()
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// tokens knows devices by token: the device "d1" has the token "T1".
type tokens struct{}

func (tokens) Basic(_ context.Context, clientID, userName, password, _ string) (ota.Ref, error) {
	switch {
	case len(userName) > 1 && userName[0] == 'T':
		return ota.RefOf(ota.DefaultTenant, ota.DeviceID("d"+userName[1:])), nil
	case userName == "user" && password == "right", clientID == "lone" && userName == "":
		return ota.RefOf(ota.DefaultTenant, "d1"), nil
	case userName == "busy":
		return ota.Ref{}, ota.Errorf(ota.Busy, "look up", "store is away")
	case userName == "often":
		return ota.Ref{}, transports.ErrTooMany
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "look up", "no such token")
}

// Certificate knows devices by the name in their certificate.
func (tokens) Certificate(_ context.Context, chain []*x509.Certificate, _ string) (ota.Ref, error) {
	if name := chain[0].Subject.CommonName; name[0] == 'd' {
		return ota.RefOf(ota.DefaultTenant, ota.DeviceID(name)), nil
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "look up", "no such certificate")
}

// files holds files in memory by digest.
type files map[string][]byte

func (f files) Open(_ context.Context, digest string) (ota.Blob, error) {
	b, ok := f[digest]
	if !ok {
		return nil, ota.Errorf(ota.NotFound, "open", "no such file")
	}
	return blob{bytes.NewReader(b)}, nil
}

type blob struct{ *bytes.Reader }

func (blob) Close() error { return nil }

// server is an endpoint under test.
type server struct {
	t      *testing.T
	mqtt   *Transport
	router *transports.Router
	files  files
	disk   Files // set before the first device comes: used instead
	stop   context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	heard  []ota.Message
	handle transports.HandlerFunc // answers; nil: nothing
}

// start runs an endpoint until the test ends.
func start(t *testing.T, cfg Config, handle transports.HandlerFunc, more ...func(*Config, *Deps)) *server {
	t.Helper()
	s := &server{t: t, files: files{}, ended: make(chan error, 1), handle: handle}
	s.router = transports.NewRouter(nil, nil)
	cfg.Listen = "127.0.0.1:0"
	deps := Deps{Auth: tokens{}, Files: s, Router: s.router, Log: slog.New(slog.DiscardHandler)}
	for _, o := range more {
		o(&cfg, &deps)
	}
	var err error
	s.mqtt, err = New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.ended <- s.mqtt.Serve(ctx, transports.HandlerFunc(s.take)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-s.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := s.router.Sessions(); n != 0 {
			t.Errorf("%d sessions are left in the router", n)
		}
	})
	return s
}

// Open opens what the test has put down.
func (s *server) Open(ctx context.Context, digest string) (ota.Blob, error) {
	s.mu.Lock()
	from := s.disk
	s.mu.Unlock()
	if from == nil {
		from = s.files
	}
	return from.Open(ctx, digest)
}

// take notes a message and answers as the test says.
func (s *server) take(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
	s.mu.Lock()
	s.heard = append(s.heard, m)
	s.mu.Unlock()
	if s.handle == nil || m.Event == ota.Connected || m.Event == ota.Disconnected {
		return nil, nil
	}
	return s.handle(ctx, m)
}

// events returns what was heard so far, of the given events.
func (s *server) events(of ...ota.Event) []ota.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []ota.Message
	for _, m := range s.heard {
		for _, e := range of {
			if m.Event == e {
				out = append(out, m)
			}
		}
	}
	return out
}

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// client is a device on a raw socket.
type client struct {
	t  *testing.T
	nc net.Conn
	r  *mqttwire.Reader
	v  mqttwire.Version
}

func (s *server) dial(t *testing.T, v mqttwire.Version) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.mqtt.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetReadDeadline(time.Now().Add(patience))
	return &client{t, nc, mqttwire.NewReader(nc, mqttwire.MaxRemaining), v}
}

// login connects as device d1 with an empty client id.
func (s *server) login(t *testing.T, v mqttwire.Version) *client {
	t.Helper()
	c := s.dial(t, v)
	c.send(&mqttwire.Connect{Version: v, CleanStart: true, HasUserName: true, UserName: []byte("T1")})
	if ack, ok := c.next().(*mqttwire.Connack); !ok || ack.Code != 0 || ack.SessionPresent {
		t.Fatalf("refused: %+v", ack)
	}
	return c
}

func encode(t *testing.T, v mqttwire.Version, ps ...mqttwire.Packet) []byte {
	t.Helper()
	var out []byte
	for _, p := range ps {
		var err error
		if out, err = p.Append(out, v); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// send writes packets in one write.
func (c *client) send(ps ...mqttwire.Packet) {
	c.t.Helper()
	c.raw(encode(c.t, c.v, ps...))
}

func (c *client) raw(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// flood writes while the test reads, as more is written than sockets hold.
func (c *client) flood(b []byte) {
	done := make(chan error, 1)
	go func() {
		_, err := c.nc.Write(b)
		done <- err
	}()
	c.t.Cleanup(func() {
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
}

// read returns the next packet, or the error that the stream ended with.
func (c *client) read() (mqttwire.Packet, error) {
	f, err := c.r.Next(c.v)
	if err != nil {
		return nil, err
	}
	f.Body = bytes.Clone(f.Body)
	p := mqttwire.New(f.Type)
	return p, p.Decode(f, c.v)
}

func (c *client) next() mqttwire.Packet {
	c.t.Helper()
	p, err := c.read()
	if err != nil {
		c.t.Fatalf("next packet: %v", err)
	}
	return p
}

// wantPublish expects a publish and acknowledges nothing.
func (c *client) wantPublish(topic, payload string) *mqttwire.Publish {
	c.t.Helper()
	p, ok := c.next().(*mqttwire.Publish)
	if !ok || string(p.Topic) != topic || string(p.Payload) != payload {
		c.t.Fatalf("got %+v, want %s on %s", p, payload, topic)
	}
	return p
}

func (c *client) wantAck(t mqttwire.Type, id uint16, r mqttwire.Reason) {
	c.t.Helper()
	p := c.next()
	if a, ok := p.(*mqttwire.Ack); !ok || a.Type != t || a.PacketID != id || a.Reason != r {
		c.t.Fatalf("got %+v, want %v %d with reason %#x", p, t, id, r)
	}
}

// wantAlive proves that nothing came and the connection stands.
func (c *client) wantAlive() {
	c.t.Helper()
	c.send(&mqttwire.Ping{Type: mqttwire.PINGREQ})
	if p, ok := c.next().(*mqttwire.Ping); !ok || p.Type != mqttwire.PINGRESP {
		c.t.Fatalf("got %+v, want PINGRESP", p)
	}
}

// wantClosed expects the end of the connection; a 5.0 client is told why first,
// unless r is Success.
func (c *client) wantClosed(r mqttwire.Reason) {
	c.t.Helper()
	if c.v == mqttwire.V5 && r != mqttwire.Success {
		p, err := c.read()
		if d, ok := p.(*mqttwire.Close); !ok || d.Reason != r {
			c.t.Fatalf("got %+v, %v, want DISCONNECT with reason %#x", p, err, r)
		}
	}
	p, err := c.read()
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, io.ErrUnexpectedEOF) {
		c.t.Fatalf("got %+v, %v, want the end of the connection", p, err)
	}
}

func publish(topic, payload string) *mqttwire.Publish {
	return &mqttwire.Publish{Topic: []byte(topic), Payload: []byte(payload)}
}

func publish1(id uint16, topic, payload string) *mqttwire.Publish {
	return &mqttwire.Publish{QoS: 1, PacketID: id, Topic: []byte(topic), Payload: []byte(payload)}
}

func subscribe(id uint16, qos byte, filters ...string) *mqttwire.Subscribe {
	p := &mqttwire.Subscribe{PacketID: id}
	for _, f := range filters {
		p.Filters = append(p.Filters, mqttwire.Filter{Topic: []byte(f), QoS: qos})
	}
	return p
}

// subscribed subscribes and expects these codes.
func (c *client) subscribed(p *mqttwire.Subscribe, codes ...byte) {
	c.t.Helper()
	c.send(p)
	ack, ok := c.next().(*mqttwire.SubAck)
	if !ok || ack.PacketID != p.PacketID || !bytes.Equal(ack.Codes, codes) {
		c.t.Fatalf("got %+v, want codes %x", ack, codes)
	}
}

var versions = map[string]mqttwire.Version{"3.1": mqttwire.V31, "3.1.1": mqttwire.V311, "5.0": mqttwire.V5}

// eachVersion runs a test once for each version of the protocol.
func eachVersion(t *testing.T, f func(t *testing.T, v mqttwire.Version)) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) { f(t, v) })
	}
}
