package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// No name leads out of its place in a path.
func TestNamesInPathsArriveAsTheyAre(t *testing.T) {
	var got string
	mux := http.NewServeMux()
	mux.HandleFunc("/api/devices/{name}", func(_ http.ResponseWriter, r *http.Request) { got = r.PathValue("name") })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	cl := &client{base: u, http: srv.Client()}
	for _, name := range []string{"dev-1", ".", "..", "../../x", "a/b", "a%2fb", "%2e%2e", "a b", "ü", "a?b#c", "a;b", "app@1.2", "a\x01"} {
		got = ""
		if err := cl.do(t.Context(), http.MethodGet, path("devices", name), nil, nil, nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if got != name {
			t.Errorf("%q arrives as %q", name, got)
		}
	}
}

func TestAnswersThatAreNoSuccess(t *testing.T) {
	var status int
	var text string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	cl := &client{base: u, http: srv.Client(), tokenWhy: "name a token"}
	for _, c := range []struct {
		status           int
		text, want, hint string
	}{
		{404, `{"detail":"there is no device \"x\""}`, `there is no device "x"`, ""},
		{422, `{"detail":"validation failed","errors":[{"location":"body.name","message":"too short"}]}`, "validation failed\nbody.name: too short", ""},
		{422, `{"detail":"name is bad","errors":[{"location":"body.name","message":"name is bad"}]}`, "name is bad", ""},
		{401, `{"detail":"the token is wrong"}`, "the token is wrong", "name a token"},
		{502, `<html>`, srv.URL + " answers 502 Bad Gateway; is it a windlass server?", ""},
		{200, `<html>`, "the answer cannot be read", ""},
	} {
		status, text = c.status, c.text
		var out map[string]any
		err := cl.do(t.Context(), http.MethodGet, "/api/x", nil, nil, &out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %s: got %v, want %s", c.status, c.text, err, c.want)
		}
		var f *failure
		if errors.As(err, &f) != (c.hint != "") || f != nil && f.hint != c.hint {
			t.Errorf("%d %s: hint is %v, want %q", c.status, c.text, f, c.hint)
		}
	}
}

func TestHowAServerIsFound(t *testing.T) {
	token := strings.Repeat("t", 43)
	data := t.TempDir()
	for name, text := range map[string]string{tokenFile: token + "\n", addressFile: "http://127.0.0.1:1234\n"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name        string
		n           connection
		env         map[string]string
		base, token string
	}{
		{"nothing said", connection{}, nil, defaultServer, ""},
		{"a folder", connection{data: data}, nil, "http://127.0.0.1:1234", token},
		{"a folder by a variable", connection{}, map[string]string{"WINDLASS_DATA": data}, "http://127.0.0.1:1234", token},
		{"a server beats a folder", connection{data: data, server: "https://ota.example"}, nil, "https://ota.example", token},
		{"a token beats a folder", connection{data: data, token: "mine"}, nil, "http://127.0.0.1:1234", "mine"},
		{"variables", connection{}, map[string]string{"WINDLASS_SERVER": "ota.example:80", "WINDLASS_TOKEN": "env"}, "http://ota.example:80", "env"},
		{"flags beat variables", connection{server: "http://a", token: "b"}, map[string]string{"WINDLASS_SERVER": "http://c", "WINDLASS_TOKEN": "d"}, "http://a", "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			cl, err := c.n.open()
			if err != nil {
				t.Fatal(err)
			}
			if cl.base.String() != c.base || cl.token != c.token {
				t.Errorf("got %s with %q, want %s with %q", cl.base, cl.token, c.base, c.token)
			}
		})
	}
	if _, err := (&connection{data: filepath.Join(data, "none")}).open(); err == nil {
		t.Error("a folder without a token is taken")
	}
	// The folder that a server has when nobody names one.
	if err := os.Rename(data, defaultData); err != nil {
		t.Fatal(err)
	}
	if cl, err := (&connection{}).open(); err != nil || cl.token != token || cl.base.String() != "http://127.0.0.1:1234" {
		t.Errorf("in the folder of a server: %+v, %v", cl, err)
	}
}

func TestADownloadIsCalledByABareName(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("there.bin", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{
		`attachment; filename=app.bin`:            "app.bin",
		`attachment; filename="../../etc/passwd"`: "passwd",
		`attachment; filename="..\\..\\x.bin"`:    "x.bin",
		`attachment; filename*=utf-8''%2e%2e%2Fy`: "y",
		`attachment; filename="/"`:                "",
		`attachment; filename=".."`:               "",
		`attachment; filename=".bashrc"`:          "",
		`attachment; filename="there.bin"`:        "",
		`attachment`:                              "",
		``:                                        "",
	} {
		got, err := downloadName("", &http.Response{Header: http.Header{"Content-Disposition": {said}}})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v; want %q", said, got, err, want)
		}
	}
	if got, err := downloadName("there.bin", nil); got != "there.bin" || err != nil {
		t.Errorf("a name that was given: %q, %v", got, err)
	}
}

// What does not arrive whole is not left behind.
func TestAFileIsWrittenWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.bin")
	wrong := errors.New("wrong digest")
	if err := writeFile(file, strings.NewReader("new"), func() error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := writeFile(file, strings.NewReader("new"), func() error { return nil }); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(file); string(got) != "new" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
