package http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// many knows as many devices as are asked for: "T17" is d17.
type many struct{ ota.Facts }

func (many) ByKey(_ context.Context, token string) (ota.Ref, error) {
	if id, ok := strings.CutPrefix(token, "T"); ok {
		return ota.RefOf("main", ota.DeviceID("d"+id)), nil
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "token", "no such token")
}

func (many) Get(context.Context, ota.Ref) (*ota.Home, error) {
	return nil, ota.Errorf(ota.NotFound, "get", "no such home")
}

// open serves on a port of its own until the test ends, or stop is called.
func open(t testing.TB, c Config) (tr *Transport, addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr = New(c, Deps{Listener: l, Auth: transports.NewAuthenticator(many{}, transports.Guard{}), Router: transports.NewRouter(nil, nil), Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- tr.Serve(ctx, transports.HandlerFunc(func(context.Context, ota.Message) ([]ota.Reply, error) { return nil, nil }))
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := tr.d.Router.Sessions(); n != 0 {
			t.Errorf("%d polls are left", n)
		}
	})
	t.Cleanup(stop)
	return tr, l.Addr().String(), stop
}

// raw is a device on a bare socket.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{nc, bufio.NewReader(nc)}
}

func (c *raw) ask(paths ...string) {
	var out strings.Builder
	for _, p := range paths {
		out.WriteString("GET /api/v1/" + p + " HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	_, _ = io.WriteString(c, out.String()) // what fails is seen at the answer
}

func (c *raw) want(t testing.TB, status int, body string) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || string(got) != body {
		t.Fatalf("got %d %q, %v, want %d %q", resp.StatusCode, got, err, status, body)
	}
	return resp
}

// waiting returns when so many polls wait.
func waiting(t testing.TB, tr *Transport, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		tr.parked.mu.Lock()
		parked := 0
		for p := range tr.parked.in {
			p.mu.Lock()
			if !p.over {
				parked++
			}
			p.mu.Unlock()
		}
		tr.parked.mu.Unlock()
		if parked == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d polls wait, want %d", parked, n)
		}
	}
}

func change(device ota.DeviceID, values string) []ota.Reply {
	return []ota.Reply{{Word: ota.SayOffer, Tenant: "main", Device: device, Push: true, Shared: []byte(values)}}
}

const poll1 = "T1/attributes/updates?timeout=20000"

// A connection goes on after a poll: with another poll, with a request, and with
// requests that were sent before the answer.
func TestPollsGoOnOverTheirConnection(t *testing.T) {
	tr, addr, _ := open(t, Config{})
	c := dialRaw(t, addr)
	say := func(values string) {
		t.Helper()
		if heard, err := tr.d.Router.Send(t.Context(), change("d1", values)); !heard || err != nil {
			t.Fatalf("heard %v, %v", heard, err)
		}
	}
	for range 3 {
		c.ask(poll1)
		waiting(t, tr, 1)
		say(`{"a":1}`)
		if resp := c.want(t, 200, `{"a":1}`); resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Date") == "" {
			t.Errorf("headers %v", resp.Header)
		}
	}
	c.ask("T1/attributes")
	c.want(t, 200, "{}")
	c.ask("T1/attributes/updates?timeout=1")
	c.want(t, 408, "")
	c.ask(poll1, "T1/attributes", poll1)
	waiting(t, tr, 1)
	say(`{"a":2}`)
	c.want(t, 200, `{"a":2}`)
	c.want(t, 200, "{}")
	waiting(t, tr, 1)
	c.ask("T1/attributes") // amid the waiting
	say(`{"a":3}`)
	c.want(t, 200, `{"a":3}`)
	c.want(t, 200, "{}")
	c.ask("T1/rpc?timeout=20000")
	waiting(t, tr, 1)
	if heard, err := tr.d.Router.Send(t.Context(), []ota.Reply{{Word: ota.SayRPC, Tenant: "main", Device: "d1", Push: true, Call: 3, Method: "m"}}); !heard || err != nil {
		t.Fatal(err)
	}
	c.want(t, 200, `{"id":3,"method":"m","params":{}}`)
}

// A device that hangs up is no session any more, and the end of the server ends
// the polls with their answer, and their connections.
func TestParkedPollsEnd(t *testing.T) {
	tr, addr, stop := open(t, Config{})
	gone, stays, done := dialRaw(t, addr), dialRaw(t, addr), dialRaw(t, addr)
	gone.ask(poll1)
	stays.ask("T2/attributes/updates?timeout=20000", "T2/attributes")
	done.ask("T3/attributes/updates?timeout=1")
	done.want(t, 408, "") // and it is idle now
	waiting(t, tr, 2)
	gone.Close()
	waiting(t, tr, 1)
	stop()
	stays.want(t, 408, "")
	if _, err := done.r.ReadByte(); err == nil {
		t.Error("an idle connection stands")
	}
}

// Of many waiting polls each hears its own word, and none is left behind.
func TestManyPolls(t *testing.T) {
	const n = 2000
	tr, addr, _ := open(t, Config{})
	devices := make([]*raw, n)
	for i := range devices {
		devices[i] = dialRaw(t, addr)
		devices[i].ask(fmt.Sprintf("T%d/attributes/updates?timeout=60000", i))
	}
	waiting(t, tr, n)
	for i := range devices {
		if heard, err := tr.d.Router.Send(t.Context(), change(ota.DeviceID("d"+strconv.Itoa(i)), `{"n":`+strconv.Itoa(i)+`}`)); !heard || err != nil {
			t.Fatalf("%d: %v, %v", i, heard, err)
		}
	}
	for i, d := range devices {
		d.want(t, 200, `{"n":`+strconv.Itoa(i)+`}`)
	}
}

const pollsEnv = "WINDLASS_HTTP_POLLS"

// pollers opens polls and holds them until its input ends: a process of its own,
// so that its memory is not counted.
func pollers(what string) {
	addr, count, _ := strings.Cut(what, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		panic(err)
	}
	for i := range n {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		fmt.Fprintf(nc, "GET /api/v1/T%d/attributes/updates?timeout=300000 HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// BenchmarkWaitingPolls measures what a poll that waits keeps in memory.
func BenchmarkWaitingPolls(b *testing.B) {
	const n = 15_000 // as many as files may be open in most places
	for b.Loop() {
		tr, addr, stop := open(b, Config{})
		heap, rss := transporttest.InMemory(b)
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), fmt.Sprintf("%s=%s %d", pollsEnv, addr, n)), os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		waiting(b, tr, n)
		heap2, rss2 := transporttest.InMemory(b)
		stop()
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(heap2-heap)/n, "heap+stack-B/poll")
		b.ReportMetric(float64(rss2-rss)/n, "rss-B/poll")
	}
}

// S14: who sends half a header, or stands still amid a body, is dropped in time,
// while others are served.
func TestS14Slowloris(t *testing.T) {
	const n = 2000
	_, addr, _ := open(t, Config{Header: 500 * time.Millisecond})
	var half []*raw
	for i := range n {
		c := dialRaw(t, addr)
		switch i % 3 {
		case 0:
			_, _ = io.WriteString(c, "GET /api/v1/T1/attr")
		case 1:
			_, _ = io.WriteString(c, "POST /api/v1/T1/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
		}
		half = append(half, c)
	}
	well := dialRaw(t, addr)
	for range 20 {
		well.ask("T1/attributes")
		well.want(t, 200, "{}")
	}
	for i, c := range half {
		if _, err := io.Copy(io.Discard, c.r); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d stands", i)
		}
	}
}
