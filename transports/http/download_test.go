package http

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

// chunks answers chunk requests for pkg as the shipped chain does.
func chunks(l *log, pkg **ota.Package) func(context.Context, ota.Message) ([]ota.Reply, error) {
	return func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if l != nil {
			l.add(m)
		}
		p := *pkg
		switch {
		case m.Event != ota.ChunkRequested:
			return nil, nil
		case m.Kind != p.Kind:
			return []ota.Reply{ota.Refusal(ota.NotFound, "")}, nil
		case !m.Want.Is(p.Version):
			return []ota.Reply{ota.Refusal(ota.Invalid, "another package is assigned")}, nil
		}
		return []ota.Reply{ota.Chunk(p.Section(m.Piece()))}, nil
	}
}

func TestDownload(t *testing.T) {
	for _, remote := range []bool{false, true} {
		t.Run(fmt.Sprint("remote ", remote), func(t *testing.T) { testDownload(t, remote) })
	}
}

func testDownload(t *testing.T, remote bool) {
	const q = "T1/firmware?title=pump&version=1.10"
	var l log
	var pkg *ota.Package
	r := start(t, Config{}, chunks(&l, &pkg))
	r.files.remote = remote
	data := noise(100_000)
	pkg = r.files.add(t, "sum", data)
	const tag = `"fw-sum"`
	tests := []struct {
		name, path string
		header     []string
		status     int
		from, to   int    // of data; -1: no body
		span       string // Content-Range
		handed     string
	}{
		{"whole", q, nil, 200, 0, 100_000, "", "0 0"},
		{"whole, said", q + "&size=0&chunk=7", nil, 200, 0, 100_000, "", "0 7"},
		{"whole, negative", q + "&size=-1&chunk=1", nil, 200, 0, 100_000, "", "-1 1"},
		{"first", q + "&size=1000&chunk=0", nil, 200, 0, 1000, "", "1000 0"},
		{"a middle one", q + "&size=65536&chunk=1", nil, 200, 65536, 100_000, "", "65536 1"},
		{"exact", q + "&size=4000&chunk=24", nil, 200, 96_000, 100_000, "", "4000 24"},
		{"past the end", q + "&size=4000&chunk=25", nil, 200, 0, 0, "", "4000 25"},
		{"far past the end", q + "&size=9223372036854775807&chunk=9223372036854775807", nil, 200, 0, 0, "", "9223372036854775807 9223372036854775807"},
		{"a product beyond 64 bits", q + "&size=4294967296&chunk=4294967296", nil, 200, 0, 0, "", "4294967296 4294967296"},
		{"negative chunk", q + "&size=10&chunk=-1", nil, 200, 0, 0, "", "10 -1"},
		{"size is no number", q + "&size=4k&chunk=0", nil, 400, -1, 0, "", "-"},
		{"size is no whole number", q + "&size=1.5", nil, 400, -1, 0, "", "-"},
		{"size beyond 64 bits", q + "&size=9223372036854775808", nil, 400, -1, 0, "", "-"},
		{"empty size", q + "&size=", nil, 400, -1, 0, "", "-"},
		{"no version", "T1/firmware?title=pump", nil, 400, -1, 0, "", "-"},
		{"no query", "T1/firmware", nil, 400, -1, 0, "", "-"},
		{"broken escape", "T1/firmware?title=%zz&version=1", nil, 400, -1, 0, "", "-"},
		{"escaped", "T1/firmware?version=1%2E10&title=pum%70", nil, 200, 0, 100_000, "", "0 0"},
		{"range", q, []string{"Range", "bytes=10-19"}, 206, 10, 20, "bytes 10-19/100000", "0 0 10+10"},
		{"open range", q, []string{"Range", "bytes=99990-"}, 206, 99_990, 100_000, "bytes 99990-99999/100000", "0 0 99990+0"},
		{"range from the start", q, []string{"Range", "bytes=0-"}, 206, 0, 100_000, "bytes 0-99999/100000", "0 0 0+0"},
		{"range over the end", q, []string{"Range", "bytes=99999-200000"}, 206, 99_999, 100_000, "bytes 99999-99999/100000", "0 0 99999+100002"},
		{"range beyond 64 bits", q, []string{"Range", "bytes=5-99999999999999999999"}, 206, 5, 100_000, "bytes 5-99999/100000", "0 0 5+0"},
		{"last bytes", q, []string{"Range", "bytes=-10"}, 206, 99_990, 100_000, "bytes 99990-99999/100000", "0 0"},
		{"more last bytes than there are", q, []string{"Range", "bytes=-200000"}, 206, 0, 100_000, "bytes 0-99999/100000", "0 0"},
		{"range past the end", q, []string{"Range", "bytes=100000-"}, 416, -1, 0, "bytes */100000", "0 0 100000+0"},
		{"no last bytes", q, []string{"Range", "bytes=-0"}, 200, 0, 100_000, "", "0 0"},
		{"several ranges", q, []string{"Range", "bytes=0-1,5-6"}, 200, 0, 100_000, "", "0 0"},
		{"backward range", q, []string{"Range", "bytes=5-4"}, 200, 0, 100_000, "", "0 0"},
		{"range in other units", q, []string{"Range", "lines=5-6"}, 200, 0, 100_000, "", "0 0"},
		{"range with a sign", q, []string{"Range", "bytes=+5-6"}, 200, 0, 100_000, "", "0 0"},
		{"range of a chunk", q + "&size=100&chunk=1", []string{"Range", "bytes=0-1"}, 200, 100, 200, "", "100 1"},
		{"the same file still", q, []string{"Range", "bytes=10-19", "If-Range", tag}, 206, 10, 20, "bytes 10-19/100000", "0 0"},
		{"another file now", q, []string{"Range", "bytes=10-19", "If-Range", `"fw-old"`}, 200, 0, 100_000, "", "0 0"},
		{"a weak tag is none", q, []string{"Range", "bytes=10-19", "If-Range", `W/` + tag}, 200, 0, 100_000, "", "0 0"},
		{"held already", q, []string{"If-None-Match", `"x", ` + tag}, 304, -1, 0, "", "0 0"},
		{"any is held", q, []string{"If-None-Match", `*`}, 304, -1, 0, "", "0 0"},
		{"another is held", q, []string{"If-None-Match", `"x"`}, 200, 0, 100_000, "", "0 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				l.take()
				got := r.do(t, method, tt.path, "", tt.header...)
				if got.status != tt.status {
					t.Fatalf("%s: status %d, want %d (%s)", method, got.status, tt.status, got.body)
				}
				handed := strings.TrimPrefix(l.take(), "chunk_requested main/d1 firmware pump@1.10 ")
				if tt.handed != "-" && handed != tt.handed || tt.handed == "-" && handed != "" {
					t.Errorf("%s: handed over %q, want %q", method, handed, tt.handed)
				}
				if span := got.header.Get("Content-Range"); span != tt.span {
					t.Errorf("%s: Content-Range %q, want %q", method, span, tt.span)
				}
				if tt.from < 0 {
					continue
				}
				want := data[tt.from:tt.to]
				for name, v := range map[string]string{
					"Content-Length": strconv.Itoa(len(want)), "Content-Type": "application/x-firmware", "Content-Disposition": "attachment;filename=sum.bin",
					"X-Filename": "sum.bin", "Etag": tag, "Accept-Ranges": "bytes", "Transfer-Encoding": "",
				} {
					if got.header.Get(name) != v {
						t.Errorf("%s: %s is %q, want %q", method, name, got.header.Get(name), v)
					}
				}
				if method == "HEAD" {
					want = nil
				}
				if got.body != string(want) {
					t.Errorf("%s: %d bytes that differ from the %d wanted", method, len(got.body), len(want))
				}
			}
		})
	}
}

func TestDownloadRefused(t *testing.T) {
	var pkg *ota.Package
	r := start(t, Config{}, chunks(nil, &pkg))
	pkg = r.files.add(t, "sum", noise(5000))
	if got := r.do(t, "GET", "T1/firmware?title=other&version=1.10", ""); got.status != 400 || got.body != "another package is assigned" {
		t.Errorf("another title: %+v", got)
	}
	if got := r.do(t, "GET", "T1/software?title=pump&version=1.10", ""); got.status != 404 {
		t.Errorf("no software is assigned: %+v", got)
	}
	lost := *pkg
	lost.ID, lost.Blob = "lost", "lost"
	pkg = &lost
	if got := r.do(t, "GET", "T1/firmware?title=pump&version=1.10", "", "Range", "bytes=0-9"); got.status != 500 || got.body != "internal error" || got.header.Get("Etag")+got.header.Get("Content-Range") != "" {
		t.Errorf("a file that is lost: %+v", got)
	}
	short := *r.files.add(t, "short", noise(100))
	short.Size = 5000
	pkg = &short
	if got := r.do(t, "GET", "T1/firmware?title=pump&version=1.10", ""); got.status != 500 {
		t.Errorf("a file that is too short: %+v", got)
	}
}

// TestDownloadManyAtOnce: all read one open file and none sees another's place.
func TestDownloadManyAtOnce(t *testing.T) {
	var pkg *ota.Package
	r := start(t, Config{}, chunks(nil, &pkg))
	data := noise(6 << 20)
	pkg = r.files.add(t, "sum", data)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			from := i * 100_003
			to := len(data) - i*7
			got := r.do(t, "GET", "T1/firmware?title=pump&version=1.10", "", "Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
			if got.status != 206 || !bytes.Equal([]byte(got.body), data[from:to]) {
				t.Errorf("%d: status %d, %d bytes, wrong", i, got.status, len(got.body))
			}
		})
	}
	wg.Wait()
}

// TestSlowTaker: whoever takes nothing is let go, and with him the file.
func TestSlowTaker(t *testing.T) {
	var pkg *ota.Package
	r := start(t, Config{Stall: 100 * time.Millisecond}, chunks(nil, &pkg))
	pkg = r.files.add(t, "sum", make([]byte, 64<<20))
	c := r.dial(t)
	fmt.Fprint(c, "GET /api/v1/T1/firmware?title=pump&version=1.10 HTTP/1.1\r\nHost: x\r\n\r\n")
	one := make([]byte, 1)
	if _, err := io.ReadFull(c, one); err != nil {
		t.Fatal(err)
	}
	// It ends only when the server has given up on the connection.
	if err := r.end(); err != nil {
		t.Error(err)
	}
	n, _ := io.Copy(io.Discard, c)
	if n >= 64<<20 {
		t.Error("all was sent to a connection that took nothing")
	}
}

// TestSteadyTaker: a slow download goes on as long as it gets on.
func TestSteadyTaker(t *testing.T) {
	var pkg *ota.Package
	const stall = 3 * time.Second // much more than a busy machine holds up a reader
	r := start(t, Config{Stall: stall}, chunks(nil, &pkg))
	data := noise(28 << 20)
	pkg = r.files.add(t, "sum", data)
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"T1/firmware?title=pump&version=1.10", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	began := time.Now()
	for {
		_, err := io.CopyN(&got, resp.Body, 2<<20)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", got.Len(), err)
		}
		<-time.After(250 * time.Millisecond)
	}
	if !bytes.Equal(got.Bytes(), data) {
		t.Error("the bytes differ")
	}
	if d := time.Since(began); d < stall {
		t.Errorf("the test took %v and proves nothing", d)
	}
}

func TestFileCutWhileItIsSent(t *testing.T) {
	var pkg *ota.Package
	r := start(t, Config{}, chunks(nil, &pkg))
	pkg = r.files.add(t, "sum", make([]byte, 32<<20))
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"T1/firmware?title=pump&version=1.10", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := os.Truncate(r.files.of["sum"].Name(), 1000); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d of %d bytes came and count as all", n, pkg.Size)
	}
}

func TestFileHeaders(t *testing.T) {
	tests := []struct{ name, disposition, plain string }{
		{"fw-1.10_a.bin", "attachment;filename=fw-1.10_a.bin", "fw-1.10_a.bin"},
		{"my file.bin", `attachment;filename="my file.bin";filename*=UTF-8''my%20file.bin`, "my%20file.bin"},
		{"../../etc/passwd", `attachment;filename="_.._etc_passwd";filename*=UTF-8''..%2F..%2Fetc%2Fpasswd`, "..%2F..%2Fetc%2Fpasswd"},
		{"..", `attachment;filename="package";filename*=UTF-8''..`, ".."},
		{"", `attachment;filename="package";filename*=UTF-8''`, ""},
		{"a\"b\r\nSet-Cookie: x", `attachment;filename="a_b__Set-Cookie_ x";filename*=UTF-8''a%22b%0D%0ASet-Cookie%3A%20x`, "a%22b%0D%0ASet-Cookie%3A%20x"},
		{"насос\u202e.bin", `attachment;filename="______.bin";filename*=UTF-8''%D0%BD%D0%B0%D1%81%D0%BE%D1%81%E2%80%AE.bin`, "%D0%BD%D0%B0%D1%81%D0%BE%D1%81%E2%80%AE.bin"},
		{"100%.bin", "attachment;filename=100%.bin", "100%.bin"},
	}
	for _, tt := range tests {
		d, p := fileHeaders(tt.name)
		if diff := cmp.Diff([]string{tt.disposition, tt.plain}, []string{d, p}); diff != "" {
			t.Errorf("%q: %s", tt.name, diff)
		}
	}
}

func TestContentType(t *testing.T) {
	for given, want := range map[string]string{
		"application/zip": "application/zip", "text/plain; charset=utf-8": "text/plain; charset=utf-8",
		"": "application/octet-stream", "nonsense; x": "application/octet-stream", "text/plain\r\nX: y": "application/octet-stream",
	} {
		if got := newFace(&ota.Package{ContentType: given}).mediaType[0]; got != want {
			t.Errorf("%q is sent as %q, want %q", given, got, want)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=1-2,3-4", "bytes=9223372036854775807-9223372036854775807", "bytes=--1", "", "bytes=0-9223372036854775807"} {
		f.Add(s, int64(100))
	}
	f.Fuzz(func(t *testing.T, h string, size int64) {
		if size < 0 {
			return
		}
		s, ok := parseRange(h)
		if !ok {
			return
		}
		p := &ota.Package{Size: size}
		for _, c := range []ota.Section{s.of(p), p.Section(ota.Range{Off: s.off, Len: s.len})} {
			if c.Off < 0 || c.Len < 0 || c.Off > size || c.Len > size-c.Off {
				t.Fatalf("%q of %d bytes is %d+%d", h, size, c.Off, c.Len)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"title=a&version=b", "title=a&version=b&size=4096&chunk=7", "title=%41+b&version=%", "size=&chunk", "title=a&title=b&version=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, problem := readWanted(query)
		if problem == "" && (q.title == "" || q.version == "") {
			t.Fatalf("%q was taken as %+v", query, q)
		}
		p := &ota.Package{Size: 1000}
		if s := p.Section(ota.ChunkRange(q.size, q.chunk)); s.Off < 0 || s.Len < 0 || s.Off+s.Len > 1000 {
			t.Fatalf("%q is %d+%d", query, s.Off, s.Len)
		}
	})
}

func FuzzFileName(f *testing.F) {
	for _, s := range []string{"a.bin", "a b", "\r\n", "../x", "\xff", "%2e%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d, p := fileHeaders(name)
		for _, v := range []string{d, p} {
			if !visible(v) || strings.ContainsAny(v, "/\\") {
				t.Fatalf("%q is sent as %q", name, v)
			}
		}
	})
}
