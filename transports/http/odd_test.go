package http

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// TestOddRequests: whatever a request looks like, nothing is taken for a second
// one that hides in it, and nobody speaks for another.
func TestOddRequests(t *testing.T) {
	const hidden = "POST /api/v1/T2/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"h\":1}"
	post := func(path, headers, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + body
	}
	var l log
	r := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) { l.add(m); return nil, nil })
	tests := []struct{ name, request, handed string }{
		{"length and chunks", post("/api/v1/T1/telemetry", fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", 5+len(hidden)), "0\r\n\r\n"+hidden), ""},
		{"two lengths", post("/api/v1/T1/telemetry", fmt.Sprintf("Content-Length: 7\r\nContent-Length: %d\r\n", 7+len(hidden)), `{"a":1}`+hidden), ""},
		{"a list of lengths", post("/api/v1/T1/telemetry", "Content-Length: 7, 7\r\n", `{"a":1}`), ""},
		{"negative length", post("/api/v1/T1/telemetry", "Content-Length: -1\r\n", hidden), ""},
		{"signed length", post("/api/v1/T1/telemetry", "Content-Length: +7\r\n", `{"a":1}`), ""},
		{"length beyond 64 bits", post("/api/v1/T1/telemetry", "Content-Length: 99999999999999999999\r\n", `{"a":1}`), ""},
		{"space before the colon", post("/api/v1/T1/telemetry", "Content-Length : 7\r\n", `{"a":1}`), ""},
		{"unknown coding", post("/api/v1/T1/telemetry", "Transfer-Encoding: xchunked\r\n", "7\r\n{\"a\":1}\r\n0\r\n\r\n"), ""},
		{"bad chunk size", post("/api/v1/T1/telemetry", "Transfer-Encoding: chunked\r\n", "0x7\r\n{\"a\":1}\r\n0\r\n\r\n"), ""},
		{"huge chunk size", post("/api/v1/T1/telemetry", "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{\"a\":1}\r\n0\r\n\r\n"), ""},
		{"no host", "POST /api/v1/T1/telemetry HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"a\":1}", ""},
		{"two hosts", post("/api/v1/T1/telemetry", "Host: y\r\nContent-Length: 7\r\n", `{"a":1}`), ""},
		{"version 3.7", "POST /api/v1/T1/telemetry HTTP/3.7\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}", ""},
		{"large header", post("/api/v1/T1/telemetry", "X: "+strings.Repeat("x", 64<<10)+"\r\nContent-Length: 7\r\n", `{"a":1}`), ""},
		{"body of a GET", "GET /api/v1/T1/attributes HTTP/1.1\r\nHost: x\r\nContent-Length: " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden, "attributes_requested main/d1 [] []"},
		{"double slash", post("/api/v1//T1/telemetry", "Content-Length: 7\r\n", `{"a":1}`), ""},
		{"dots", post("/api/v1/T2/../T1/telemetry", "Content-Length: 7\r\n", `{"a":1}`), ""},
		{"encoded dots", post("/api/v1/T2/%2e%2e/telemetry", "Content-Length: 7\r\n", `{"a":1}`), ""},
		{"encoded slash", post("/api/v1/T1%2Ftelemetry", "Content-Length: 7\r\n", `{"a":1}`), ""},
		{"token with a slash", post("/api/v1/T1%2F/telemetry", "Content-Length: 7\r\n", `{"a":1}`), ""},
		{"token with a NUL", post("/api/v1/T1%00/telemetry", "Content-Length: 7\r\n", `{"a":1}`), ""},
		{"encoded token", post("/api/v1/%54%31/telemetry", "Content-Length: 7\r\n", `{"a":1}`), `telemetry main/d1 {"a":1}`},
		{"absolute target", post("http://evil/api/v1/T1/telemetry", "Content-Length: 7\r\n", `{"a":1}`), `telemetry main/d1 {"a":1}`},
		{"method is another", post("/api/v1/T1/telemetry", "X-HTTP-Method-Override: GET\r\nContent-Length: 7\r\n", `{"a":1}`), `telemetry main/d1 {"a":1}`},
		{"connect", "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"trace", "TRACE /api/v1/T1/telemetry HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := r.dial(t)
			io.WriteString(c, tt.request) //nolint:errcheck // it may be cut off midway, rightly
			if tcp, ok := c.(*net.TCPConn); ok {
				tcp.CloseWrite() //nolint:errcheck // as above
			}
			answers, err := io.ReadAll(c)
			if err != nil && len(answers) == 0 && !strings.Contains(err.Error(), "reset") {
				t.Fatal(err)
			}
			if n := bytes.Count(answers, []byte("HTTP/1.1 ")); n > 1 {
				t.Errorf("%d answers to one request: %q", n, answers)
			}
			if got := l.take(); got != tt.handed {
				t.Errorf("handed over %q, want %q; answered %.60q", got, tt.handed, answers)
			}
		})
	}
}

// TestPipelined: requests that come together are answered in order.
func TestPipelined(t *testing.T) {
	var pkg *ota.Package
	r := start(t, Config{}, chunks(nil, &pkg))
	data := noise(200_000)
	pkg = r.files.add(t, "sum", data)
	c := r.dial(t)
	for i := range 20 {
		fmt.Fprintf(c, "GET /api/v1/T1/firmware?title=pump&version=1.10&size=10000&chunk=%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	in := bufio.NewReader(c)
	for i := range 20 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, data[i*10_000:(i+1)*10_000]) {
			t.Fatalf("answer %d: %d bytes, %v", i, len(got), err)
		}
		resp.Body.Close()
	}
}

// TestFilesOfOthers: a handler beside ours sends files over our connections as
// over any.
func TestFilesOfOthers(t *testing.T) {
	data := make([]byte, 5<<20+17)
	rand.Read(data)
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ConnContext: ConnContext, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file":
			http.ServeFile(w, r, path)
		case "/reader":
			io.Copy(w, bytes.NewBuffer(bytes.Clone(data))) //nolint:errcheck // the test reads what came
		case "/write":
			w.Write(data)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(Listener(l, time.Minute)) }()
	t.Cleanup(func() { srv.Close(); <-ended })
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)
	get := func(path, span string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if span != "" {
			req.Header.Set("Range", span)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for range 2 { // the second time over the same connection
		for _, path := range []string{"/file", "/reader", "/write"} {
			if !bytes.Equal(get(path, ""), data) {
				t.Errorf("%s: the bytes differ", path)
			}
		}
		if !bytes.Equal(get("/file", "bytes=1000000-3000000"), data[1_000_000:3_000_001]) {
			t.Error("a range of a file: the bytes differ")
		}
	}
}
