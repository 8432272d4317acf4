package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server is a running windlass.
type server struct {
	*process
	data string
	http string // host:port
	mqtt string // host:port
	args []string
}

// stopWithin is how soon a server must have ended after SIGTERM.
const stopWithin = 10 * time.Second

// run starts `windlass run` on free ports, with a data folder of its own where
// data is "". It is ended, and must end well, with the test.
func run(t *testing.T, data string, args ...string) *server {
	t.Helper()
	if data == "" {
		data = filepath.Join(t.TempDir(), "data")
	}
	s := launch(t, data, "127.0.0.1:0", "127.0.0.1:0", append([]string{"run", "--data", data}, args...))
	s.endsWell(t)
	return s
}

// again starts a server that was killed, on the same ports with the same data.
func (s *server) again(t *testing.T) {
	t.Helper()
	n := launch(t, s.data, s.http, s.mqtt, s.args)
	s.process = n.process
	s.endsWell(t)
}

// endsWell stops the process with the test, unless it has ended until then.
func (s *server) endsWell(t *testing.T) {
	p := s.process
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			p.stop(t, stopWithin)
		}
	})
}

func launch(t *testing.T, data, httpAddr, mqttAddr string, args []string) *server {
	t.Helper()
	cmd := exec.Command(binary, append([]string{args[0], "--http", httpAddr, "--mqtt", mqttAddr, "--coap", "127.0.0.1:0"}, args[1:]...)...)
	cmd.Dir, cmd.Env = t.TempDir(), environment()
	s := &server{process: begin(t, "windlass "+args[0], cmd), data: data, args: args}
	s.awaitReady(t)
	return s
}

var readyLine = regexp.MustCompile(`(?m)^windlass ready(?: .*)?$`)

// awaitReady reads the addresses of the line that says that the server is ready.
func (s *server) awaitReady(t *testing.T) {
	t.Helper()
	var line string
	wait(t, time.Minute, "windlass ready", func() (bool, string) {
		select {
		case <-s.done:
			t.Fatalf("the server ended before it was ready: %v\n%s", s.err, s.log)
		default:
		}
		line = readyLine.FindString(s.log.String())
		return line != "", s.log.tail(300)
	})
	for _, word := range strings.Fields(line) {
		switch door, addr, _ := strings.Cut(word, "="); door {
		case "http":
			s.http = addr
		case "mqtt":
			s.mqtt = addr
		}
	}
	if s.http == "" || s.mqtt == "" {
		t.Fatalf("the ready line %q lacks an address", line)
	}
}

// try runs a verb against the server, with its data folder for the token.
func (s *server) try(t *testing.T, args ...string) result {
	t.Helper()
	return command(t, nil, nil, t.TempDir(), binary, append(args, "--server", "http://"+s.http, "--data", s.data)...)
}

// do runs a verb that must succeed.
func (s *server) do(t *testing.T, args ...string) string {
	t.Helper()
	r := s.try(t, args...)
	if r.code != 0 {
		t.Fatalf("windlass %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// ask runs a verb and reads its JSON.
func (s *server) ask(t *testing.T, into any, args ...string) {
	t.Helper()
	out := s.do(t, append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("windlass %s --output json: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// upload gives the server a package.
func (s *server) upload(t *testing.T, file, title, version, profile string, more ...string) {
	t.Helper()
	s.do(t, append([]string{"package", "upload", file, "--title", title, "--version", version, "--profile", profile}, more...)...)
}

// token is the administrator's.
func (s *server) token(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// manage is one request to the management API. The verbs are clients of it; where
// a thousand answers are needed, a thousand processes would be a test of the machine.
func (s *server) manage(t *testing.T, method, path string, body, into any) {
	t.Helper()
	if err := s.request(t.Context(), s.token(t), method, path, body, into); err != nil {
		t.Fatal(err)
	}
}

func (s *server) request(ctx context.Context, token, method, path string, body, into any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.http+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s %w: %s", method, path, res.Status, err, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: %w: %s", method, path, err, answer)
	}
	return nil
}

// each does one thing for 0…n-1, sixteen at a time.
func each(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var next atomic.Int64
	failed := make(chan error, 16)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
}

// get is one request of a device over HTTP: the status and the body.
func (s *server) get(t *testing.T, token, path string, query url.Values) (int, []byte) {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://%s/api/v1/%s/%s?%s", s.http, token, path, query.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b
}
