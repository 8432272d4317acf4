package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever a client calls a form, its file is found or it is refused, and no
// field is larger than it may be.
func FuzzUploadForm(f *testing.F) {
	contentType, body := form(part{"title", "", "app"}, part{"file", "a.bin", "bytes"})
	f.Add(contentType, body)
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nb\r\n--x--")
	f.Add("multipart/form-data", "--\r\n")
	f.Add("application/octet-stream", "bytes")
	f.Add("text/html; charset", "")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r := httptest.NewRequest(http.MethodPost, "/api/packages", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		u, err := openUpload(r)
		if err != nil {
			return
		}
		for name, all := range u.values {
			for _, v := range all {
				if len(v) > maxField {
					t.Errorf("field %q has %d bytes", name, len(v))
				}
			}
		}
		data, err := io.ReadAll(u.file)
		if err == nil && len(data) > len(body) {
			t.Errorf("%d bytes of a body of %d", len(data), len(body))
		}
		if err == nil {
			_ = u.end() // it may be broken behind the file
		}
		_, _, _ = metaOf(u.values) // refused or not, it returns
	})
}

// No header makes the way in fail in another way than by 401.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer x", "bearer  x ", "Basic eA==", "Bearer \x00"} {
		f.Add(s)
	}
	auth := AdminToken(testToken)
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/api/profiles", nil)
		r.Header["Authorization"] = []string{header}
		token, ok := bearer(r)
		if ok && token == "" {
			t.Errorf("%q bears an empty token", header)
		}
		if _, in := auth(token); in && token != testToken {
			t.Errorf("%q is let in", header)
		}
	})
}
