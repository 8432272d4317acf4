package coap

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// rig is a transport that serves, and what it handed over.
type rig struct {
	*Transport
	router *transports.Router
	doors  *transports.Doors
	files  *transporttest.Files
	office *office
	stop   func() error

	mu     sync.Mutex
	handed []ota.Message
}

// start starts one. The device d1 has packages of image; the answer to other
// messages is that of answer, which may be nil.
func start(t testing.TB, c Config, image []byte, answer transports.HandlerFunc) *rig {
	t.Helper()
	if c.Listen == "" && c.Secure == "" {
		c.Listen = "127.0.0.1:0"
	}
	r := &rig{router: transports.NewRouter(nil, transporttest.Tokens{}), doors: &transports.Doors{}, files: transporttest.NewFiles(t, false), office: &office{}}
	r.files.Add(t, "sum", image)
	tr, err := New(c, Deps{Auth: book{transports.NewAuthenticator(transporttest.Tokens{}, transports.Guard{})}, Router: r.router, Files: r.files, Doors: r.doors, Claims: r.office, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.Transport = tr
	r.stop = transporttest.Serve(t, tr, transports.HandlerFunc(func(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
		r.mu.Lock()
		r.handed = append(r.handed, m)
		r.mu.Unlock()
		if m.Event == ota.ChunkRequested && (answer == nil || m.Device == "d1") {
			if m.Device != "d1" {
				return []ota.Reply{ota.Refusal(ota.NotFound, "")}, nil
			}
			if m.Want.Title != "" && m.Want.Title != "pump" || m.Want.Version != "" && m.Want.Version != "1.10" {
				return []ota.Reply{ota.Refusal(ota.Invalid, "another package is assigned")}, nil
			}
			p := &ota.Package{ID: ota.PackageID(m.Kind), Kind: m.Kind, Version: ota.Version{Title: "pump", Version: "1.10"}, Blob: "sum", Size: int64(len(image))}
			return []ota.Reply{ota.Chunk(p.Section(m.Piece()))}, nil
		}
		if answer == nil {
			return nil, nil
		}
		return answer(ctx, m)
	}))
	return r
}

// events are the messages of some events so far.
func (r *rig) events(of ...ota.Event) (out []ota.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.handed {
		for _, e := range of {
			if m.Event == e {
				out = append(out, m)
			}
		}
	}
	return out
}

// until waits for a fact, ten seconds at most.
func until(t testing.TB, what string, fact func() bool) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); !fact(); {
		if time.Now().After(late) {
			t.Fatalf("it is not so that %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// dial is a client on a socket of its own.
func (r *rig) dial(t testing.TB) *sim.CoAP {
	t.Helper()
	nc, err := net.Dial("udp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &sim.CoAP{Conn: nc, Ack: time.Second}
}

// noise is bytes without a pattern, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's data
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// raw sends datagrams from one address and returns what comes back.
type raw struct {
	t  testing.TB
	nc net.Conn
	// proves makes it answer pings, as devices do.
	proves bool
	in     int
	out    int
}

func (r *rig) raw(t testing.TB) *raw {
	t.Helper()
	nc, err := net.Dial("udp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &raw{t: t, nc: nc, proves: true}
}

func (x *raw) send(b []byte) {
	x.t.Helper()
	x.out += len(b)
	if _, err := x.nc.Write(b); err != nil {
		x.t.Fatal(err)
	}
}

// next is the next message that comes within a time; nil where none does.
func (x *raw) next(within time.Duration) *coapwire.Message {
	x.t.Helper()
	b := make([]byte, 64<<10)
	for {
		if err := x.nc.SetReadDeadline(time.Now().Add(within)); err != nil {
			x.t.Fatal(err)
		}
		n, err := x.nc.Read(b)
		if err != nil {
			return nil
		}
		x.in += n
		m := &coapwire.Message{}
		if err := m.Decode(b[:n]); err != nil {
			x.t.Fatalf("the server sent % x: %v", b[:n], err)
		}
		if x.proves && m.Type == coapwire.CON && m.Code == coapwire.Empty {
			x.send((&coapwire.Message{Type: coapwire.RST, ID: m.ID}).Append(nil))
			continue
		}
		return m
	}
}

// ask sends a request and returns what comes. Like any device it sends it again
// when nothing does: a repeat is passed over while the first is being ended.
func (x *raw) ask(m coapwire.Message) *coapwire.Message {
	x.t.Helper()
	for range 10 {
		x.send(m.Append(nil))
		if a := x.next(500 * time.Millisecond); a != nil {
			return a
		}
	}
	return nil
}

// get is a request for a path.
func get(id uint16, path ...string) coapwire.Message {
	m := coapwire.Message{Type: coapwire.CON, Code: coapwire.GET, ID: id, Token: []byte{byte(id >> 8), byte(id)}}
	for _, p := range path {
		num := uint16(coapwire.URIPath)
		if len(p) > 0 && p[0] == '?' {
			num, p = coapwire.URIQuery, p[1:]
		}
		m.Options = append(m.Options, coapwire.Option{Num: num, Value: []byte(p)})
	}
	return m
}

func post(id uint16, body string, path ...string) coapwire.Message {
	m := get(id, path...)
	m.Code, m.Payload = coapwire.POST, []byte(body)
	return m
}

func block2(m coapwire.Message, num uint32, szx uint8) coapwire.Message {
	m.Options = append(m.Options, coapwire.Option{Num: coapwire.Block2, Value: coapwire.AppendUint(nil, coapwire.Block{Num: num, SZX: szx}.Uint())})
	return m
}

func describe(m *coapwire.Message) string {
	if m == nil {
		return "nothing"
	}
	s := fmt.Sprintf("%s %d", m.Code, len(m.Payload))
	if b, set, _ := m.Block(coapwire.Block2); set {
		s += fmt.Sprintf(" block %d/%v/%d", b.Num, b.More, b.Size())
	}
	return s
}
