package httpcall

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestCall(t *testing.T) {
	var elsewhere atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
			return
		case "/other":
			elsewhere.Add(1)
		case "/large":
			_, _ = io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat("x", 2000)), 2000))
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, r.Method+" "+r.Header.Get("X-A")+" "+string(body))
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, allow := range []string{u.Host, u.Hostname(), "127.0.0.0/8"} {
		c, err := New(Config{Allow: []string{allow}, MaxBody: 1000})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Call(t.Context(), ota.Call{Method: "PUT", URL: srv.URL + "/x", Headers: map[string]string{"X-A": "b"}, Body: []byte("hello")})
		if err != nil || got.Status != http.StatusAccepted || string(got.Body) != "PUT b hello" {
			t.Errorf("allowed by %s: %d %q, %v", allow, got.Status, got.Body, err)
		}
		if got, err := c.Call(t.Context(), ota.Call{Method: "GET", URL: srv.URL + "/moved"}); err != nil || got.Status != http.StatusTemporaryRedirect || elsewhere.Load() != 0 {
			t.Errorf("a redirect: %d, %v, followed %d times", got.Status, err, elsewhere.Load())
		}
		if _, err := c.Call(t.Context(), ota.Call{Method: "GET", URL: srv.URL + "/large"}); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("an answer that is too large: %v", err)
		}
	}
}

// No connection is made to what is not allowed, in whatever way it is written.
func TestForbidden(t *testing.T) {
	var made atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { made.Add(1) }))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Allow: []string{"10.1.0.0/16", "hooks.internal"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "169.254.169.254", "[fd00::1]", "[fe80::1]", "10.2.0.1", "192.168.1.1", "100.64.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"} {
		_, err := c.Call(t.Context(), ota.Call{Method: "GET", URL: "http://" + host + ":" + u.Port() + "/secret-path"})
		if ota.CodeOf(err) != ota.Invalid && host != "localhost" || err == nil {
			t.Errorf("%s: %v", host, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%s: the error shows the URL: %v", host, err)
		}
	}
	for _, odd := range []string{"http://2130706433:" + u.Port(), "http://0177.0.0.1:" + u.Port(), "http://0x7f.1:" + u.Port(), "gopher://127.0.0.1", "file:///etc/passwd", "unix:///x", "http://user@example.com/", "http://"} {
		if _, err := c.Call(t.Context(), ota.Call{Method: "GET", URL: odd}); err == nil {
			t.Errorf("%s is called", odd)
		}
	}
	if n := made.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	if !c.may(netip.MustParseAddr("10.1.2.3")) || !c.may(netip.MustParseAddr("93.184.216.34")) || c.may(netip.MustParseAddr("::ffff:10.0.0.1")) {
		t.Error("addresses are judged wrongly")
	}
}

func TestAllowList(t *testing.T) {
	for _, bad := range []string{"", "10.0.0.0/33", "http://x", "*.example.com"} {
		if _, err := New(Config{Allow: []string{bad}}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
