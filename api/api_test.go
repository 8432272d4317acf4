package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
)

var update = flag.Bool("update", false, "write openapi.json anew")

//go:generate go test -count=1 -run TestDocumentIsFresh -update .

const testToken = "0123456789abcdef0123456789abcdef"

// memBlobs is a blob store in memory.
type memBlobs struct {
	mu   sync.Mutex
	data map[string][]byte
}

func (m *memBlobs) Put(_ context.Context, r io.Reader, a ota.ChecksumAlgorithm, _ int64) (ota.BlobInfo, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return ota.BlobInfo{}, err
	}
	digest := ota.SHA256.Sum(data)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[digest] = data
	return ota.BlobInfo{Digest: digest, Size: int64(len(data)), Checksum: a.Sum(data)}, nil
}

type memBlob struct{ *bytes.Reader }

func (memBlob) Close() error { return nil }

func (m *memBlobs) Open(_ context.Context, digest string) (ota.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.data[digest]
	if !ok {
		return nil, ota.Errorf(ota.NotFound, "open", "there is no file %s", digest)
	}
	return memBlob{bytes.NewReader(data)}, nil
}

func (m *memBlobs) Delete(_ context.Context, digest string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, digest)
	return nil
}

func (m *memBlobs) digests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.data)
}

// house is a server of the API over a real store.
type house struct {
	t     *testing.T
	store *redis.Store
	blobs *memBlobs
	api   *Server
	url   string
}

func newHouse(t *testing.T, change ...func(*Deps)) *house {
	t.Helper()
	m := miniredis.RunT(t)
	c := goredis.NewClient(&goredis.Options{Addr: m.Addr()})
	s := redis.New(c)
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	})
	h := &house{t: t, store: s, blobs: &memBlobs{data: map[string][]byte{}}}
	d := Deps{
		Homes: s, Facts: s, Lister: s, Letters: s, Blobs: h.blobs, Wishes: ota.Wishes{Homes: s, Facts: s, Chain: "rollout"},
		Auth: AdminToken(testToken), NewDeviceID: s.NewDevice, Limits: Limits{Upload: 1 << 20},
		Info: Info{Version: "1.2.3", Process: "p1", Doors: map[string]string{"mqtt": ":1883"}},
	}
	for _, f := range change {
		f(&d)
	}
	h.api = New(d)
	srv := httptest.NewServer(h.api)
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// call makes a request with the token and returns status and body.
func (h *house) call(method, path, body string, header ...string) (int, string) {
	h.t.Helper()
	resp := h.do(method, path, body, append([]string{"Authorization", "Bearer " + testToken}, header...)...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func (h *house) do(method, path, body string, header ...string) *http.Response {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp
}

// must is call where anything but success ends the test; it decodes into out.
func (h *house) must(out any, method, path, body string, header ...string) {
	h.t.Helper()
	status, text := h.call(method, path, body, header...)
	if status >= 300 {
		h.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		h.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

// step is a request and what must come of it.
type step struct {
	method, path, body string
	status             int
	want               string // a part of the answer
}

func (h *house) steps(steps []step) {
	h.t.Helper()
	for _, s := range steps {
		status, text := h.call(s.method, s.path, s.body)
		if status != s.status || !strings.Contains(text, s.want) {
			h.t.Errorf("%s %s %s:\ngot %d %swant %d with %s", s.method, s.path, s.body, status, text, s.status, s.want)
		}
	}
}

func TestOnlyWhoBearsTheTokenIsLetIn(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		path, auth string
		want       int
	}{
		{"/api/profiles", "", 401},
		{"/api/profiles", "Bearer", 401},
		{"/api/profiles", "Bearer wrong", 401},
		{"/api/profiles", "Basic " + testToken, 401},
		{"/api/profiles", "Bearer " + testToken + "0", 401},
		{"/api/profiles", "bearer " + testToken, 200},
		{"/api/nowhere", "", 401},
		{"/api/nowhere", "Bearer " + testToken, 404},
		{"/api/packages/x/content", "", 401},
		{"/healthz", "", 200},
		{"/readyz", "", 200},
		{"/openapi.json", "", 200},
	} {
		resp := h.do(http.MethodGet, c.path, "", "Authorization", c.auth)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s with %q: got %d, want %d", c.path, c.auth, resp.StatusCode, c.want)
		}
		if c.want == 401 && resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", c.path)
		}
	}
	if _, ok := AdminToken("")(""); ok {
		t.Error("an empty token lets in")
	}
}

func TestGuessesOfOneAddressAreLimited(t *testing.T) {
	now := time.Now()
	h := newHouse(t, func(d *Deps) { d.Now = func() time.Time { return now } })
	ask := func(address, token string) int {
		r := httptest.NewRequest(http.MethodGet, "/api/profiles", nil)
		r.RemoteAddr = address
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.api.ServeHTTP(w, r)
		return w.Code
	}
	for range failBurst {
		if got := ask("192.0.2.1:9", "wrong"); got != 401 {
			t.Fatalf("got %d, want 401", got)
		}
	}
	for _, c := range []struct {
		address, token string
		want           int
	}{
		{"192.0.2.1:9", "wrong", 429},
		{"192.0.2.1:10", testToken, 429},
		{"[::ffff:192.0.2.1]:9", testToken, 429},
		{"192.0.2.2:9", testToken, 200},
	} {
		if got := ask(c.address, c.token); got != c.want {
			t.Errorf("%s: got %d, want %d", c.address, got, c.want)
		}
	}
	now = now.Add(failInterval)
	if got := ask("192.0.2.1:9", testToken); got != 200 {
		t.Errorf("after a while: got %d, want 200", got)
	}
	for i := range failMemory + 10 {
		h.api.fails.count(string(rune(i)))
	}
	if n := len(h.api.fails.at); n > failMemory {
		t.Errorf("%d addresses are remembered, want %d at most", n, failMemory)
	}
}

func TestWhatIsNotThereIsSaidInTheFormOfRFC9457(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		location           string
	}{
		{"GET", "/api/nowhere", "", 404, ""},
		{"PUT", "/api/profiles", "", 405, ""},
		{"GET", "/api/profiles/none", "", 404, ""},
		{"POST", "/api/profiles", "{", 400, ""},
		{"POST", "/api/profiles", `{"name":""}`, 422, "body.name"},
		{"POST", "/api/profiles", `{"name":"a<b"}`, 422, "body.name"},
		{"POST", "/api/profiles", `{"name":"p","colour":"red"}`, 422, "body.colour"},
		{"POST", "/api/profiles", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, 413, ""},
		{"GET", "/api/profiles?limit=1", "", 422, "query.limit"},
		{"GET", "/api/devices?pageSize=100000", "", 422, "query.pageSize"},
		{"GET", "/api/devices?cursor=%00", "", 422, ""},
		{"GET", "/api/devices?profile=none", "", 404, "query.profile"},
	} {
		resp := h.do(c.method, c.path, c.body, "Authorization", "Bearer "+testToken)
		var p Problem
		err := json.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || p.Status != c.status || p.Title == "" {
			t.Errorf("%s %s: got %d, %+v, %v; want %d", c.method, c.path, resp.StatusCode, p, err, c.status)
		}
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s %s: Content-Type is %q", c.method, c.path, got)
		}
		if c.location != "" && (len(p.Errors) == 0 || p.Errors[0].Location != c.location) {
			t.Errorf("%s %s: errors are %v, want one of %s", c.method, c.path, p.Errors, c.location)
		}
	}
}

// A failure of the server's tells nobody what it was.
func TestFailuresOfOursAreNotShown(t *testing.T) {
	h := newHouse(t, func(d *Deps) {
		d.NewDeviceID = func(context.Context, ota.TenantID, string) (ota.DeviceID, error) {
			return "", errors.New("host redis-7 refuses")
		}
	})
	h.must(nil, "POST", "/api/profiles", `{"name":"p"}`)
	status, text := h.call("POST", "/api/devices", `{"name":"d","profile":"p"}`)
	if status != 500 || strings.Contains(text, "redis-7") {
		t.Errorf("got %d %s", status, text)
	}
}

func TestDocumentIsFresh(t *testing.T) {
	got, err := New(Deps{}).Document()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("openapi.json is out of date: go generate ./api")
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal(got, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Errorf("version is %q, %v", doc.OpenAPI, err)
	}
	for _, p := range []string{"/api/packages", "/api/packages/{package}/content", "/api/devices/{device}"} {
		if doc.Paths[p]["get"] == nil {
			t.Errorf("GET %s is not in the document", p)
		}
	}
}

func TestHealth(t *testing.T) {
	parts, ready := []Part{{Name: "redis", OK: true}}, false
	h := newHouse(t, func(d *Deps) {
		d.Health = func(context.Context) []Part { return parts }
		d.Ready = func() bool { return ready }
	})
	h.steps([]step{
		{"GET", "/healthz", "", 200, `{"ok":true,"parts":[{"name":"redis","ok":true}]}`},
		{"GET", "/readyz", "", 503, `{"ready":false}`},
		{"GET", "/api/system", "", 200, `"doors":{"mqtt":":1883"}`},
	})
	parts, ready = append(parts, Part{Name: "blobs", Detail: "the disk is full"}), true
	h.steps([]step{
		{"GET", "/healthz", "", 503, `"detail":"the disk is full"`},
		{"GET", "/readyz", "", 200, `{"ready":true}`},
	})
}
