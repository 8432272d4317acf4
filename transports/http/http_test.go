package http

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv("WINDLASS_BENCH_SERVER"); addr != "" {
		benchServer(addr)
		return
	}
	if what := os.Getenv(pollsEnv); what != "" {
		pollers(what)
		return
	}
	goleak.VerifyTestMain(m)
}

// facts knows devices by token: "T1" is d1.
type facts struct{ ota.Facts }

func (facts) ByKey(_ context.Context, token string) (ota.Ref, error) {
	switch token {
	case "T1", "T2":
		return ota.RefOf("main", ota.DeviceID("d"+token[1:])), nil
	case "away":
		return ota.Ref{}, ota.Errorf(ota.Busy, "token", "the store is away")
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "token", "no such token")
}

// files is a store of blobs whose digests are names.
type files struct {
	of     map[string]*os.File
	remote bool // its blobs are no local files
}

type localBlob struct{ remoteBlob }

type remoteBlob struct {
	*io.SectionReader
	f *os.File
}

func (b localBlob) File() *os.File { return b.f }
func (remoteBlob) Close() error    { return nil }

func (s *files) Open(_ context.Context, digest string) (ota.Blob, error) {
	f := s.of[digest]
	if f == nil {
		return nil, ota.Errorf(ota.NotFound, "open blob", "no such file")
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := remoteBlob{io.NewSectionReader(f, 0, info.Size()), f}
	if s.remote {
		return b, nil
	}
	return localBlob{b}, nil
}

func (*files) Put(context.Context, io.Reader, ota.ChecksumAlgorithm, int64) (ota.BlobInfo, error) {
	panic("not used")
}
func (*files) Delete(context.Context, string) error { panic("not used") }

// add keeps data as the file of a new package.
func (s *files) add(t testing.TB, name string, data []byte) *ota.Package {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if s.of == nil {
		s.of = map[string]*os.File{}
	}
	s.of[name] = f
	return &ota.Package{
		ID: ota.PackageID(name), Kind: ota.Firmware, Version: ota.Version{Title: "pump", Version: "1.10"},
		Blob: name, Size: int64(len(data)), FileName: name + ".bin", ContentType: "application/x-firmware",
	}
}

// noise is n bytes of which no two places look alike.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>12) ^ byte(i*7) ^ byte(i>>5)
	}
	return b
}

// rig is a transport that serves on a port of its own.
type rig struct {
	t      *Transport
	router *transports.Router
	url    string
	addr   string
	files  *files
	client *http.Client
	end    func() error // ends Serve and waits for it
}

func start(t *testing.T, c Config, h transports.HandlerFunc) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{router: transports.NewRouter(nil, nil), files: &files{}, addr: l.Addr().String(), url: "http://" + l.Addr().String() + "/api/v1/"}
	r.t = New(c, Deps{
		Listener: l, Router: r.router, Blobs: r.files, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Auth:   transports.NewAuthenticator(facts{}, transports.Guard{Burst: 20, Every: time.Hour}),
		Beside: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "beside") }),
	})
	r.end = transporttest.Serve(t, r.t, h)
	r.client = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

// reply is an answer read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r *rig) do(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// log keeps what was handed over, one line each.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(m ota.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := fmt.Sprintf("%s %s/%s", m.Event, m.Tenant, m.Device)
	switch m.Event {
	case ota.Telemetry, ota.AttributesReported:
		line += " " + string(m.Values)
		if !m.TS.IsZero() {
			line += fmt.Sprint(" at ", m.TS.UnixMilli())
		}
	case ota.AttributesRequested:
		line += fmt.Sprintf(" %q %q", m.ClientKeys, m.SharedKeys)
	case ota.ChunkRequested:
		line += fmt.Sprintf(" %s %s %d %d", m.Kind, m.Want, m.Size, m.Chunk)
		if m.Range != nil {
			line += fmt.Sprintf(" %d+%d", m.Range.Off, m.Range.Len)
		}
	case ota.RPCRequested:
		line += fmt.Sprintf(" %s %s", m.Method, m.Params)
	case ota.RPCAnswered:
		line += fmt.Sprintf(" %d %s", m.Call, m.Result)
	}
	if m.Transport != Name || !strings.HasPrefix(m.Address, "127.0.0.1:") {
		line += " from nowhere"
	}
	l.lines = append(l.lines, line)
}

func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.Join(l.lines, "\n")
	l.lines = nil
	return s
}

func TestDeviceAPI(t *testing.T) {
	var l log
	said := map[string][]ota.Reply{}
	r := start(t, Config{MaxBody: 1000, MaxRPCBody: 100}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		l.add(m)
		var v string
		if _, err := fmt.Sscanf(string(m.Values), `{"fail":%q}`, &v); err == nil {
			return nil, ota.Errorf(ota.Code(v), "step", "the cause")
		}
		return said[string(m.Event)+m.Method], nil
	})
	said["attributes_requested"] = []ota.Reply{{Word: ota.SayAttributes, Client: []byte(`{"a":1}`), Shared: []byte(`{"fw_version":"1.10"}`)}}
	said["rpc_requestedgetSessionLimits"] = []ota.Reply{{Word: ota.SayBody, Body: []byte(`{"x":1}`)}}
	said["rpc_requestedodd"] = []ota.Reply{{Word: ota.SayError, Code: ota.Conflict, Text: "not now"}}

	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string // the body
		handed                   string
	}{
		{"telemetry", "POST", "T1/telemetry", `{"fw_state":"DOWNLOADING","v":1.10,"n":null}`, 200, "", `telemetry main/d1 {"fw_state":"DOWNLOADING","v":1.10}`},
		{"list of telemetry", "POST", "T1/telemetry", `[{"a":1},{"ts":5,"values":{"a":2}}]`, 200, "", "telemetry main/d1 {\"a\":1}\ntelemetry main/d1 {\"a\":2} at 5"},
		{"a list ends at the first failure", "POST", "T1/telemetry", `[{"fail":"busy"},{"a":2}]`, 503, "busy, try later", `telemetry main/d1 {"fail":"busy"}`},
		{"invalid", "POST", "T1/telemetry", `{"fail":"invalid"}`, 400, "step: the cause", `telemetry main/d1 {"fail":"invalid"}`},
		{"not found", "POST", "T1/telemetry", `{"fail":"not_found"}`, 404, "step: the cause", `telemetry main/d1 {"fail":"not_found"}`},
		{"conflict", "POST", "T1/telemetry", `{"fail":"conflict"}`, 409, "step: the cause", `telemetry main/d1 {"fail":"conflict"}`},
		{"internal says nothing of us", "POST", "T1/telemetry", `{"fail":"internal"}`, 500, "internal error", `telemetry main/d1 {"fail":"internal"}`},
		{"malformed", "POST", "T1/telemetry", `{"a":`, 500, "parse JSON: not valid JSON", ""},
		{"no body", "POST", "T1/telemetry", ``, 500, "parse JSON: not valid JSON", ""},
		{"too large", "POST", "T1/telemetry", `{"a":"` + strings.Repeat("x", 1000) + `"}`, 413, "the body is too large", ""},
		{"attributes", "POST", "T2/attributes", `{"a":"1.10"}`, 200, "", `attributes main/d2 {"a":"1.10"}`},
		{"attributes in a list", "POST", "T2/attributes", `[{"a":1}]`, 500, "parse JSON: attributes are one object", ""},
		{"all attributes", "GET", "T1/attributes", "", 200, `{"client":{"a":1},"shared":{"fw_version":"1.10"}}`, `attributes_requested main/d1 [] []`},
		{"keys, joined and repeated", "GET", "T1/attributes?clientKeys=a,b&sharedKeys=c&sharedKeys=d%2Ce", "", 200,
			`{"client":{"a":1},"shared":{"fw_version":"1.10"}}`, `attributes_requested main/d1 ["a" "b"] ["c" "d" "e"]`},
		{"empty keys", "GET", "T1/attributes?clientKeys=&x=1", "", 200, `{"client":{"a":1},"shared":{"fw_version":"1.10"}}`, `attributes_requested main/d1 [] []`},
		{"keys that cannot be read", "GET", "T1/attributes?clientKeys=%zz", "", 400, `invalid URL escape "%zz"`, ""},
		{"long query", "GET", "T1/attributes?clientKeys=" + strings.Repeat("a,", 5000), "", 414, "the query is too long", ""},
		{"call", "POST", "T1/rpc", `{"method":"getSessionLimits","params":{}}`, 200, `{"x":1}`, `rpc_requested main/d1 getSessionLimits {}`},
		{"call that a chain refuses", "POST", "T1/rpc", `{"method":"odd"}`, 409, "not now", `rpc_requested main/d1 odd `},
		{"call that no chain answers", "POST", "T1/rpc", `{"method":"other"}`, 200, "", `rpc_requested main/d1 other `},
		{"call without a method", "POST", "T1/rpc", `{}`, 500, "parse JSON: a call needs a method", ""},
		{"large call", "POST", "T1/rpc", `{"method":"` + strings.Repeat("x", 100) + `"}`, 413, "the body is too large", ""},
		{"answer to a call", "POST", "T1/rpc/7", `{"ok":true}`, 200, "", `rpc_answered main/d1 7 {"ok":true}`},
		{"answer to no call", "POST", "T1/rpc/x", `{}`, 400, "the id is not the number of a call", ""},
		{"answer that is no JSON", "POST", "T1/rpc/7", `{`, 500, "parse JSON: not valid JSON", ""},
		{"claim", "POST", "T1/claim", ``, 501, "devices are not claimed here", ""},
		{"provision", "POST", "provision", `{}`, 501, "devices are not provisioned here", ""},
		{"unknown token", "POST", "nobody/telemetry", `{"a":1}`, 401, "", ""},
		{"unknown token, download", "GET", "nobody/firmware?title=a&version=b", "", 401, "", ""},
		{"store away", "GET", "away/attributes", "", 503, "busy, try later", ""},
		{"unknown path", "GET", "T1/nothing", "", 404, "404 page not found\n", ""},
		{"wrong method", "GET", "T1/telemetry", "", 405, "Method Not Allowed\n", ""},
		{"beside", "GET", "../../other", "", 200, "beside", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := r.do(t, tt.method, tt.path, tt.body)
			if got.status != tt.status || got.body != tt.want {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, tt.status, tt.want)
			}
			if handed := l.take(); handed != tt.handed {
				t.Errorf("handed over:\n%s\nwant:\n%s", handed, tt.handed)
			}
			if got.status == 503 && got.header.Get("Retry-After") == "" {
				t.Error("busy without Retry-After")
			}
		})
	}
}

func TestBodyWithoutLength(t *testing.T) {
	var l log
	r := start(t, Config{MaxBody: 100}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) { l.add(m); return nil, nil })
	send := func(body string) int {
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"T1/telemetry", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := send(`{"a":1}`); got != 200 || l.take() != `telemetry main/d1 {"a":1}` {
		t.Errorf("chunked: %d", got)
	}
	if got := send(`{"a":"` + strings.Repeat("x", 200) + `"}`); got != 413 || l.take() != "" {
		t.Errorf("chunked and too large: %d", got)
	}
}

func TestTooManyWrongTokens(t *testing.T) {
	r := start(t, Config{}, func(context.Context, ota.Message) ([]ota.Reply, error) { return nil, nil })
	if got := r.do(t, "POST", "T1/telemetry", `{}`); got.status != 200 {
		t.Fatalf("%d", got.status)
	}
	for i := range 20 {
		if got := r.do(t, "POST", fmt.Sprintf("wrong%d/telemetry", i), `{}`); got.status != 401 || got.body != "" {
			t.Fatalf("wrong token %d: %d %q", i, got.status, got.body)
		}
	}
	if got := r.do(t, "POST", "wrong/telemetry", `{}`); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("over the limit: %d", got.status)
	}
	if got := r.do(t, "POST", "T1/telemetry", `{}`); got.status != 200 {
		t.Errorf("a device at the same address: %d", got.status)
	}
}

// lines speaks raw HTTP.
func (r *rig) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// TestSlowSenders: whoever does not get on with a request is let go.
func TestSlowSenders(t *testing.T) {
	r := start(t, Config{Header: 100 * time.Millisecond}, func(context.Context, ota.Message) ([]ota.Reply, error) {
		t.Error("half a message was handed over")
		return nil, nil
	})
	for name, sent := range map[string]string{
		"nothing":       "",
		"half a line":   "POST /api",
		"half a header": "POST /api/v1/T1/telemetry HTTP/1.1\r\nHost: x\r\nContent-",
		"half a body":   "POST /api/v1/T1/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"a\"",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial(t)
			fmt.Fprint(c, sent)
			got, err := io.ReadAll(c)
			if err != nil {
				t.Fatalf("the connection is still open: %v", err)
			}
			if strings.Contains(string(got), " 200 ") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	r := start(t, Config{}, func(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
		close(began)
		<-release
		return nil, ctx.Err()
	})
	got := make(chan int, 1)
	go func() {
		resp, err := r.client.Post(r.url+"T1/telemetry", "application/json", strings.NewReader(`{"a":1}`))
		if err != nil {
			got <- -1
			return
		}
		resp.Body.Close()
		got <- resp.StatusCode
	}()
	<-began
	ended := make(chan error, 1)
	go func() { ended <- r.end() }()
	<-r.t.stop // the end has begun
	close(release)
	if code := <-got; code != 200 {
		t.Errorf("a message that was handed over was answered %d", code)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", r.addr); err == nil {
		c.Close()
		t.Error("a new connection was taken")
	}
}

// TestHungUp: a message goes on when its asker has gone.
func TestHungUp(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	r := start(t, Config{}, func(ctx context.Context, _ ota.Message) ([]ota.Reply, error) {
		close(began)
		<-time.After(50 * time.Millisecond)
		ended <- ctx.Err()
		return nil, nil
	})
	c := r.dial(t)
	fmt.Fprint(c, "POST /api/v1/T1/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}")
	<-began
	c.Close()
	if err := <-ended; err != nil {
		t.Errorf("the turn was ended with its asker: %v", err)
	}
}

func TestInFlightIsBounded(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	r := start(t, Config{InFlight: 3}, func(context.Context, ota.Message) ([]ota.Reply, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		<-time.After(time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return nil, nil
	})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { r.do(t, "POST", "T1/telemetry", `{"a":1}`) })
	}
	wg.Wait()
	if most > 3 {
		t.Errorf("%d messages at once, 3 at most", most)
	}
}

func TestPoll(t *testing.T) {
	touched := make(chan struct{}, 8)
	r := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event == ota.Touch && m.Device == "d1" {
			touched <- struct{}{}
		}
		return nil, nil
	})
	word := func(w ota.Word, shared string, deleted ...string) ota.Reply {
		return ota.Reply{Word: w, Tenant: "main", Device: "d1", Push: true, Shared: []byte(shared), Deleted: deleted, Method: "reboot"}
	}
	ask := func(path string) chan reply {
		got := make(chan reply, 1)
		go func() { got <- r.do(t, "GET", path, "") }()
		<-touched // the session is open by then
		return got
	}
	t.Run("push", func(t *testing.T) {
		got := ask("T1/attributes/updates?timeout=20000")
		if heard, _ := r.router.Send(t.Context(), []ota.Reply{{Word: ota.SayOffer, Tenant: "main", Device: "d2", Shared: []byte(`{"x":1}`)}}); heard {
			t.Error("another device's word was heard")
		}
		if heard, _ := r.router.Send(t.Context(), []ota.Reply{word(ota.SayRPC, "")}); heard {
			t.Error("a call was heard by a poll for attributes")
		}
		if heard, _ := r.router.Send(t.Context(), []ota.Reply{word(ota.SayCancel, "", "fw_url"), word(ota.SayOffer, `{"fw_title":"pump"}`)}); !heard {
			t.Error("nobody heard")
		}
		if a := <-got; a.status != 200 || a.body != `{"fw_title":"pump","deleted":["fw_url"]}` || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("call", func(t *testing.T) {
		got := ask("T1/rpc")
		numbered := word(ota.SayRPC, "")
		numbered.Call = 41
		if heard, _ := r.router.Send(t.Context(), []ota.Reply{numbered}); !heard {
			t.Error("nobody heard")
		}
		if a := <-got; a.status != 200 || a.body != `{"id":41,"method":"reboot","params":{}}` {
			t.Errorf("got %+v", a)
		}
		got = ask("T1/rpc")
		if heard, _ := r.router.Send(t.Context(), []ota.Reply{word(ota.SayRPC, "")}); !heard {
			t.Error("nobody heard")
		}
		if a := <-got; a.status != 200 || a.body != `{"id":1,"method":"reboot","params":{}}` {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("nothing came", func(t *testing.T) {
		if a := <-ask("T1/attributes/updates?timeout=1"); a.status != 408 || a.body != "" {
			t.Errorf("got %+v", a)
		}
		if n := r.router.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
	t.Run("no number", func(t *testing.T) {
		if a := r.do(t, "GET", "T1/attributes/updates?timeout=soon", ""); a.status != 400 {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("hung up", func(t *testing.T) {
		c := r.dial(t)
		fmt.Fprint(c, "GET /api/v1/T1/attributes/updates HTTP/1.1\r\nHost: x\r\n\r\n")
		<-touched
		c.Close()
		until(t, func() bool { return r.router.Sessions() == 0 })
	})
	t.Run("the server ends", func(t *testing.T) {
		got := ask("T1/attributes/updates")
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if a := <-got; a.status != 408 {
			t.Errorf("got %+v", a)
		}
	})
}

// until polls for something that must come true soon.
func until(t *testing.T, f func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !f() {
		select {
		case <-deadline:
			t.Fatal("it did not come true in time")
		case <-time.After(time.Millisecond):
		}
	}
}
