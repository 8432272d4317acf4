package api

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func TestLinks(t *testing.T) {
	links := &Links{Base: "https://ota.example.com/x", Key: []byte("key")}
	h := newHouse(t, func(d *Deps) { d.Links = links })
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	h.must(nil, "POST", "/api/packages?title=app&version=1&profile=P", "0123456789")
	h.must(nil, "POST", "/api/packages?title=app&version=2&profile=P", "abc")
	now := h.store.Now()
	link := func(l *Links, name string, until time.Time) string {
		url, err := l.Link(ota.DefaultTenant, h.pkg(name).ID, until)
		if err != nil {
			t.Fatal(err)
		}
		path, ok := strings.CutPrefix(url, links.Base)
		if !ok {
			t.Fatalf("the link %s does not begin with %s", url, links.Base)
		}
		return path
	}
	one, two, soon := link(links, "app@1", now.Add(time.Hour)), link(links, "app@2", now.Add(time.Hour)), link(links, "app@1", now.Add(2*time.Hour))
	parts := func(s string) []string { return strings.Split(s, "/") } // "", dl, tenant, package, end, signature
	mixed := func(at int, from string) string {
		p := parts(one)
		p[at] = parts(from)[at]
		return strings.Join(p, "/")
	}
	get := func(path string, header ...string) (int, string) {
		resp := h.do("GET", path, "", header...)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	for _, c := range []struct {
		name, path string
		header     []string
		status     int
		want       string
	}{
		{"whole, without a token", one, nil, 200, "0123456789"},
		{"a range", one, []string{"Range", "bytes=2-4"}, 206, "234"},
		{"another package", two, nil, 200, "abc"},
		{"over", link(links, "app@1", now.Add(-time.Second)), nil, 410, "expired"},
		{"by another key", link(&Links{Base: links.Base, Key: []byte("other")}, "app@1", now.Add(time.Hour)), nil, 404, "no such link"},
		{"a package put in its place", mixed(3, two), nil, 404, "no such link"},
		{"a later end put in its place", mixed(4, soon), nil, 404, "no such link"},
		{"a tenant put in its place", strings.Replace(one, "/main/", "/other/", 1), nil, 404, "no such link"},
		{"without its signature", one[:strings.LastIndexByte(one, '/')+1], nil, 404, ""},
	} {
		if status, body := get(c.path, c.header...); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, body, c.status, c.want)
		}
	}
	if status, _ := h.call("DELETE", "/api/packages/app@2", ""); status != 204 {
		t.Fatalf("delete the package: %d", status)
	}
	if status, _ := get(two); status != 404 {
		t.Errorf("a link to a package that is gone: %d, want 404", status)
	}
}

func TestLinksNeedAnAddress(t *testing.T) {
	if _, err := (&Links{Key: []byte("key")}).Link("main", "p", time.Now()); ota.CodeOf(err) != ota.Internal || !strings.Contains(err.Error(), "http_url") {
		t.Errorf("%v, want what is to be set", err)
	}
}

func TestNobodyMakesLinks(t *testing.T) {
	h := newHouse(t)
	if status, _ := h.call("GET", "/dl/main/p/99999999999/x", ""); status != 404 {
		t.Errorf("status %d, want 404", status)
	}
}
