package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// server is a windlass that was started to be measured: the binary itself, with
// a Redis of its own.
type server struct {
	*process
	http, mqtt, coap string // host:port
	token            string
}

const readyLine = "windlass ready"

// server starts a windlass whose data lies in a folder of that name.
func (b *bench) server(ctx context.Context, name string) (*server, error) {
	program, err := b.program(ctx, "cmd/windlass", false)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(b.dir, name)
	p, err := b.start(program, "run", "--data", data, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--coap", "127.0.0.1:0",
		"--set", "offers.pace=unlimited", "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	line, err := p.Line(ctx, patience, readyLine)
	if err != nil {
		return nil, err
	}
	s := &server{process: p}
	for _, word := range strings.Fields(line) {
		switch door, addr, _ := strings.Cut(word, "="); door {
		case "http":
			s.http = addr
		case "mqtt":
			s.mqtt = addr
		case "coap":
			s.coap = addr
		}
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, err
	}
	s.token = strings.TrimSpace(string(token))
	return s, p.findRedis()
}

// post is a request to the management API; body may be a reader, for a file,
// or anything that becomes JSON, or nil.
func (s *server) post(ctx context.Context, path string, body any) error {
	kind, src := "application/octet-stream", io.Reader(nil)
	switch v := body.(type) {
	case nil:
	case io.Reader:
		src = v
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		kind, src = "application/json", bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+path, src)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", kind)
	return s.do(req, nil)
}

func (s *server) do(req *http.Request, into any) error {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, res.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// devices makes n devices of a new profile; prefix and a number are their names
// and tokens.
func (s *server) devices(ctx context.Context, profile, prefix string, from, to int) error {
	if err := s.post(ctx, "/api/profiles", map[string]string{"name": profile}); err != nil {
		return err
	}
	return each(ctx, from, to, func(ctx context.Context, i int) error {
		name := fmt.Sprint(prefix, i)
		return s.post(ctx, "/api/devices", map[string]string{"name": name, "profile": profile, "accessToken": name})
	})
}

// upload makes a package of what r holds.
func (s *server) upload(ctx context.Context, profile, title, version string, r io.Reader) error {
	q := url.Values{"title": {title}, "version": {version}, "profile": {profile}}
	return s.post(ctx, "/api/packages?"+q.Encode(), r)
}

func (s *server) assign(ctx context.Context, profile, title, version string) error {
	return s.post(ctx, "/api/assignments", map[string]string{"package": title + "@" + version, "profile": profile})
}

// device is a request of a device to its own API.
func (s *server) device(ctx context.Context, method, token, path, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.http+"/api/v1/"+token+"/"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return s.do(req, into)
}

// each does one thing for all of from…to-1, sixteen at a time.
func each(ctx context.Context, from, to int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := from; i < to && ctx.Err() == nil; i++ {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}
