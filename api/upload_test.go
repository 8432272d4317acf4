package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

const octets = "application/octet-stream"

func (h *house) upload(query, data string) (int, string) {
	h.t.Helper()
	return h.call("POST", "/api/packages?"+query, data, "Content-Type", octets)
}

func TestUploadComputesEveryChecksum(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	data := strings.Repeat("firmware", 1000)
	for _, a := range ota.ChecksumAlgorithms() {
		q := "title=app&profile=P&fileName=app.bin&label=board=x&label=track=beta&version=" + string(a) + "&checksumAlgorithm=" + strings.ToLower(string(a))
		sum := a.Sum([]byte(data))
		var p Package
		h.must(&p, "POST", "/api/packages?"+q+"&checksum="+strings.ToUpper(sum), data, "Content-Type", octets)
		if p.Checksum != sum || p.ChecksumAlgorithm != a || p.Size != 8000 || p.Type != "firmware" || !p.Ready || p.FileName != "app.bin" || p.Labels["board"] != "x" {
			t.Errorf("%s: got %+v, want checksum %s", a, p, sum)
		}
		wrong := strings.Map(func(r rune) rune { return '0' + ('9'-r)%2 }, sum)
		if status, text := h.upload("title=wrong&profile=P&version=1&checksumAlgorithm="+string(a)+"&checksum="+wrong, data+"!"); status != 422 || !strings.Contains(text, "query.checksum") {
			t.Errorf("%s: a wrong checksum: %d %s", a, status, text)
		}
	}
	if n := h.blobs.digests(); n != 1 {
		t.Errorf("%d files are kept, want 1", n)
	}
	h.steps([]step{{"GET", "/api/packages/wrong@1", "", 404, ``}})
}

func TestUploadRefused(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	for _, c := range []struct {
		name, query, data string
		status            int
		want              string
	}{
		{"no title", "version=1&profile=P", "x", 422, "title is required"},
		{"no version", "title=a&profile=P", "x", 422, "version is required"},
		{"no profile", "title=a&version=1", "x", 422, "query.profile"},
		{"an unknown profile", "title=a&version=1&profile=Q", "x", 404, "query.profile"},
		{"an unknown field", "title=a&version=1&profile=P&colour=red", "x", 422, "query.colour"},
		{"a field twice", "title=a&title=b&version=1&profile=P", "x", 422, "query.title"},
		{"markup", "title=%3Cb%3E&version=1&profile=P", "x", 422, "markup"},
		{"NUL", "title=a%00&version=1&profile=P", "x", 422, "control characters"},
		{"a long title", "title=" + strings.Repeat("a", 256) + "&version=1&profile=P", "x", 422, "longer than 255"},
		{"another type", "title=a&version=1&profile=P&type=bootloader", "x", 422, "want firmware or software"},
		{"another algorithm", "title=a&version=1&profile=P&checksumAlgorithm=SHA1", "x", 422, "want one of MD5"},
		{"no file", "title=a&version=1&profile=P", "", 422, "the file is empty"},
		{"a large file", "title=a&version=1&profile=P", strings.Repeat("x", 1<<20+1), 413, "1048576 bytes at most"},
		{"a label without a name", "title=a&version=1&profile=P&label==x", "x", 422, "query.labels"},
	} {
		if status, text := h.upload(c.query, c.data); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s: got %d %s, want %d with %s", c.name, status, text, c.status, c.want)
		}
	}
	if n := h.blobs.digests(); n != 0 {
		t.Errorf("%d files are kept, want none", n)
	}
	if status, text := h.upload("title=a&version=1&profile=P", strings.Repeat("x", 1<<20)); status != 201 {
		t.Errorf("as large as may be: %d %s", status, text)
	}
}

// A body whose length is not known is stopped where it crosses the limit.
func TestUploadOfUnknownLengthIsBounded(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/api/packages?title=a&version=1&profile=P", io.LimitReader(endless{}, 2<<20))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 || h.blobs.digests() != 0 {
		t.Errorf("got %d, %d files kept", resp.StatusCode, h.blobs.digests())
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestUploadTwice(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	h.must(nil, "POST", "/api/profiles", `{"name":"Q"}`)
	const q = "title=app&version=1&tag=t&profile=P"
	for _, c := range []struct {
		name, query, data string
		status            int
		want              string
	}{
		{"first", q, "bytes", 201, `"tag":"t"`},
		{"the same again", q, "bytes", 200, `"tag":"t"`},
		{"with a description", q + "&description=better", "bytes", 200, `"description":"better"`},
		{"other bytes", q, "other", 409, "checksum cannot change"},
		{"another tag", "title=app&version=1&tag=u&profile=P", "bytes", 409, "tag cannot change"},
		{"another profile", "title=app&version=1&tag=t&profile=Q", "bytes", 409, "device profile cannot change"},
		{"another type", q + "&type=software", "bytes", 409, "kind cannot change"},
		{"another algorithm", q + "&checksumAlgorithm=MD5", "bytes", 409, "checksum algorithm cannot change"},
		{"the same bytes, another version", "title=app&version=2&profile=P", "bytes", 201, `"version":"2"`},
	} {
		status, text := h.upload(c.query, c.data)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s: got %d %s, want %d with %s", c.name, status, text, c.status, c.want)
		}
		if n := h.blobs.digests(); n != 1 {
			t.Errorf("%s: %d files are kept, want 1", c.name, n)
		}
	}
	h.steps([]step{
		{"DELETE", "/api/packages/app@1", "", 204, ``},
		{"GET", "/api/packages/app@2/content", "", 200, `bytes`},
		{"DELETE", "/api/packages/app@2", "", 204, ``},
		{"GET", "/api/packages/app@2/content", "", 404, ``},
	})
	if n := h.blobs.digests(); n != 0 {
		t.Errorf("%d files are kept after the last package of theirs, want none", n)
	}
}

type part struct{ name, file, value string }

func form(parts ...part) (contentType, body string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		head := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q`, p.name)}}
		if p.file != "" {
			head = textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, p.name, p.file)}, "Content-Type": {"application/x-image"}}
		}
		pw, err := w.CreatePart(head)
		if err == nil {
			_, err = io.WriteString(pw, p.value)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return w.FormDataContentType(), b.String()
}

func TestUploadOfAForm(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	file, version := part{"file", `../../etc/app.bin`, "bytes"}, part{"version", "", "1"}
	for _, c := range []struct {
		name   string
		parts  []part
		status int
		want   string
	}{
		{"fields first", []part{version, {"label", "", "a=b"}, file}, 201, `"fileName":"app.bin","contentType":"application/x-image","labels":{"a":"b"}`},
		{"again", []part{version, {"label", "", "a=b"}, file}, 200, `"digest"`},
		{"a field behind", []part{{"version", "", "2"}, file, {"tag", "", "t"}}, 422, "body.tag"},
		{"no file", []part{version}, 422, "holds no file"},
		{"two files", []part{{"version", "", "2"}, file, file}, 422, "body.file"},
		{"a large field", []part{{"description", "", strings.Repeat("x", maxField+1)}, file}, 422, "body.description"},
		{"many fields", append(make([]part, maxFields+1), file), 422, "fields before its file"},
	} {
		contentType, body := form(c.parts...)
		status, text := h.call("POST", "/api/packages?title=app&profile=P", body, "Content-Type", contentType)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s: got %d %s, want %d with %s", c.name, status, text, c.status, c.want)
		}
	}
	if n := h.blobs.digests(); n != 1 {
		t.Errorf("%d files are kept, want 1", n)
	}
	h.steps([]step{{"POST", "/api/packages?title=app&profile=P", "--x\r\n", 422, ""}})
	if status, _ := h.call("POST", "/api/packages?title=app&profile=P&version=3", "--x\r\nbroken", "Content-Type", "multipart/form-data; boundary=x"); status != 400 {
		t.Errorf("a broken form: %d, want 400", status)
	}
}

// What a client leaves when it hangs up is not kept.
func TestUploadThatBreaksOff(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/api/packages?title=a&version=1&profile=P",
		io.MultiReader(strings.NewReader("some"), iotest.ErrReader(errors.New("cable cut"))))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Errorf("the request succeeded: %s", resp.Status)
	}
	h.steps([]step{{"GET", "/api/packages/a@1", "", 404, ``}})
	if n := h.blobs.digests(); n != 0 {
		t.Errorf("%d files are kept, want none", n)
	}
}

func TestURLPackages(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	h.steps([]step{
		{"POST", "/api/packages/external", `{"title":"app","version":"1","profile":"P","url":"https://x/y.bin"}`, 201, `"url":"https://x/y.bin","size":0`},
		{"POST", "/api/packages/external", `{"title":"app","version":"1","profile":"P","url":"https://x/y.bin"}`, 201, `"url"`},
		{"POST", "/api/packages/external", `{"title":"app","version":"1","profile":"P","url":"https://x/z.bin"}`, 409, `url cannot change`},
		{"POST", "/api/packages/external", `{"title":"app","version":"2","profile":"P","url":"y.bin"}`, 422, `"location":"body.url"`},
		{"POST", "/api/packages/external", `{"title":"app","version":"2","profile":"P","url":"https://x","checksum":"00"}`, 422, `needs its algorithm`},
		{"POST", "/api/packages/external", `{"title":"app","version":"2","profile":"P","type":"software","url":"coap://x","size":10,"checksumAlgorithm":"CRC32","checksum":"00AA00AA"}`, 201, `"checksum":"00aa00aa"`},
		{"GET", "/api/packages/app@1/content", "", 409, `its bytes lie at https://x/y.bin`},
	})
	if status, text := h.upload("title=app&version=1&profile=P", "bytes"); status != 409 {
		t.Errorf("bytes for a URL package: %d %s", status, text)
	}
	if n := h.blobs.digests(); n != 0 {
		t.Errorf("%d files are kept, want none", n)
	}
}

func TestPackagesAreFoundAndShown(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	names := []string{"Pump", "pump-boot", "valve", "a/b@c", "..", "ü b"}
	for _, n := range names {
		h.must(nil, "POST", "/api/packages?profile=P&version=1&title="+url.QueryEscape(n), "bytes of "+n, "Content-Type", octets)
	}
	for _, n := range names {
		at := "/api/packages/" + strings.ReplaceAll(url.PathEscape(n+"@1"), "..", "%2E%2E")
		var p Package
		h.must(&p, "GET", at, "")
		if p.Title != n {
			t.Errorf("%s shows %q", at, p.Title)
		}
		if _, text := h.call("GET", at+"/content", ""); text != "bytes of "+n {
			t.Errorf("%s holds %q", at, text)
		}
		h.steps([]step{{"GET", "/api/packages/" + p.ID, "", 200, p.ID}})
	}
	for search, want := range map[string]int{"": 6, "pump": 2, "PUMP-": 1, "none": 0} {
		var l List[Package]
		h.must(&l, "GET", "/api/packages?search="+url.QueryEscape(search), "")
		if len(l.Data) != want || l.Next != "" {
			t.Errorf("search %q: got %d, want %d", search, len(l.Data), want)
		}
	}
	var l List[Package]
	h.must(&l, "GET", "/api/packages?search=valve&pageSize=1", "")
	if len(l.Data) != 1 || l.Data[0].Title != "valve" {
		t.Errorf("a search reads behind empty pages: got %+v", l)
	}
}

func TestDownload(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	var p Package
	h.must(&p, "POST", "/api/packages?title=app&version=1&profile=P&fileName=..%2Fa%22b.bin", "0123456789", "Content-Type", "text/html")
	for _, c := range []struct {
		method string
		header []string
		status int
		want   string
	}{
		{"GET", nil, 200, "0123456789"},
		{"HEAD", nil, 200, ""},
		{"GET", []string{"Range", "bytes=2-4"}, 206, "234"},
		{"GET", []string{"Range", "bytes=-3"}, 206, "789"},
		{"GET", []string{"Range", "bytes=10-"}, 416, ""},
		{"GET", []string{"Range", "bytes=2-4", "If-Range", `"other"`}, 200, "0123456789"},
		{"GET", []string{"If-None-Match", `"` + p.Digest + `"`}, 304, ""},
	} {
		resp := h.do(c.method, "/api/packages/app@1/content", "", append(c.header, "Authorization", "Bearer "+testToken)...)
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || c.status < 400 && string(data) != c.want {
			t.Errorf("%s %v: got %d %q, %v; want %d %q", c.method, c.header, resp.StatusCode, data, err, c.status, c.want)
		}
		if c.status != 200 {
			continue
		}
		if got := resp.Header.Get("Content-Disposition"); strings.ContainsAny(got, `/\`) || !strings.Contains(got, "a_b.bin") {
			t.Errorf("Content-Disposition is %q", got)
		}
		if resp.Header.Get("Content-Type") != octets || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("a browser may run it: %v", resp.Header)
		}
	}
}

// A package that a chain must check first is not ready before that chain says so.
func TestAPackageIsCheckedFirst(t *testing.T) {
	heard, result := true, error(nil)
	var h *house
	h = newHouse(t, func(d *Deps) {
		d.ChecksPackages = func() bool { return heard }
		d.PackageAdded = func(ctx context.Context, ref ota.Ref) error {
			if result != nil {
				return result
			}
			_, err := h.api.change(ctx, ref, func(t *ota.Turn) error {
				t.Home.Package.Ready = true
				return nil
			})
			return err
		}
	})
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	if status, text := h.upload("title=a&version=1&profile=P", "x"); status != 201 || !strings.Contains(text, `"ready":true`) {
		t.Errorf("checked: %d %s", status, text)
	}
	result = ota.Errorf(ota.Invalid, "package_added", "its signature is wrong")
	if status, text := h.upload("title=b&version=1&profile=P", "y"); status != 422 || !strings.Contains(text, "its signature is wrong") {
		t.Errorf("refused: %d %s", status, text)
	}
	h.steps([]step{
		{"GET", "/api/packages/b@1", "", 200, `"ready":false`},
		{"POST", "/api/assignments", `{"package":"b@1","profile":"P"}`, 409, `still being checked`},
	})
	heard = false
	if status, text := h.upload("title=c&version=1&profile=P", "z"); status != 201 || !strings.Contains(text, `"ready":true`) {
		t.Errorf("nobody hears: %d %s", status, text)
	}
}

// More uploads than the server takes are told to come again.
func TestUploadsAreBoundedInNumber(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Limits.Uploads = 1 })
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		req, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/api/packages?title=slow&version=1&profile=P", r)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+testToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		if resp.StatusCode != 201 {
			t.Errorf("the slow one: %s", resp.Status)
		}
	})
	if _, err := io.WriteString(w, "begin"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(h.api.uploads) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the upload does not begin")
		}
		_, _ = h.call("GET", "/readyz", "") // gives the other side a turn
	}
	if status, text := h.upload("title=b&version=1&profile=P", "x"); status != 503 {
		t.Errorf("one too many: %d %s", status, text)
	}
	w.Close()
	wg.Wait()
	if status, text := h.upload("title=b&version=1&profile=P", "x"); status != 201 {
		t.Errorf("afterwards: %d %s", status, text)
	}
}

func TestBytesAreHeldUntilTheirPackageIsStored(t *testing.T) {
	var g blobGuard
	var deleted int
	del := func() {
		if err := g.delete("d", func() error { deleted++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	one, two := g.hold("d"), g.hold("d")
	del()
	one()
	del()
	if deleted != 0 {
		t.Error("deleted while held")
	}
	two()
	if del(); deleted != 1 || len(g.held) != 0 {
		t.Errorf("deleted %d times, held %v", deleted, g.held)
	}
}

// A body that stops moving ends the upload; work after a body that came whole is
// not bounded by how long the body had.
func TestABodyMustMove(t *testing.T) {
	const idle = 100 * time.Millisecond
	var seen error
	h := newHouse(t, func(d *Deps) {
		d.Limits.Idle = idle
		d.ChecksPackages = func() bool { return true }
		d.PackageAdded = func(ctx context.Context, _ ota.Ref) error {
			select {
			case <-ctx.Done():
				seen = ctx.Err()
			case <-time.After(4 * idle):
			}
			return nil
		}
	})
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	r, w := io.Pipe()
	defer w.Close()
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/api/packages?title=stalls&version=1&profile=P", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("a body that stalls: %s, want 400", resp.Status)
		}
	}
	if n := h.blobs.digests(); n != 0 {
		t.Errorf("%d files are kept, want none", n)
	}
	if status, text := h.upload("title=slow&version=1&profile=P", "x"); status != 201 || seen != nil {
		t.Errorf("slow work after the body: %d %s, %v", status, text, seen)
	}
}
