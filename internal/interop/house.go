package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/internal/child"
)

// house is the server that the clients update from, and all that is made on the
// way.
type house struct {
	progress io.Writer
	root     string // of the module
	own      string // the folder of this program
	cache    string // of kits; outside of the tree
	dir      string // for everything that is made
	kits     map[string]installed
	certs    certificates

	server *child.Process
	doors  map[string]string // by name: host:port
	token  string            // of the administrator
}

// imageSize is a little more than a multiple of every chunk that a client asks
// for, so the last one is short.
const imageSize = 200<<10 + 77

const profile = "interop"

// newHouse starts the server, with a Redis of its own; it is built where no binary
// is named.
func newHouse(ctx context.Context, binary string, progress io.Writer) (h *house, err error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	h = &house{progress: progress, root: strings.TrimSpace(string(root)), kits: map[string]installed{}, doors: map[string]string{}}
	h.own = filepath.Join(h.root, "internal", "interop")
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	h.cache = filepath.Join(cache, "windlass", "interop")
	if err := os.MkdirAll(h.cache, 0o755); err != nil {
		return nil, err
	}
	if h.dir, err = os.MkdirTemp("", "windlass-interop-"); err != nil {
		return nil, err
	}
	if err := h.open(ctx, binary); err != nil {
		return nil, errors.Join(err, h.close(true))
	}
	return h, nil
}

func (h *house) say(format string, args ...any) { fmt.Fprintf(h.progress, format+"\n", args...) }

// close ends the server and removes what was made.
func (h *house) close(remove bool) error {
	var errs []error
	if h.server != nil {
		errs = append(errs, h.server.Stop())
	}
	if remove {
		errs = append(errs, os.RemoveAll(h.dir))
	}
	return errors.Join(errs...)
}

// doorsAsked are the doors that a server is told to open, each on a free port.
var doorsAsked = []string{"http", "mqtt", "coap", "coaps", "lwm2m", "lwm2ms"}

func (h *house) open(ctx context.Context, binary string) (err error) {
	if h.certs, err = makeCertificates(h.dir); err != nil {
		return err
	}
	if binary == "" {
		h.say("building the server …")
		binary = filepath.Join(h.dir, "windlass")
		if err := h.command(ctx, h.root, "go", "build", "-o", binary, "./cmd/windlass"); err != nil {
			return err
		}
	}
	data := filepath.Join(h.dir, "data")
	args := []string{"run", "--data", data, "--set", "offers.pace=unlimited", "--log-level", "warn", "--set", "tls.cert=" + h.certs.server.cert, "--set", "tls.key=" + h.certs.server.key}
	for _, d := range doorsAsked {
		args = append(args, "--"+d, "127.0.0.1:0")
	}
	if h.server, err = child.Start(h.dir, nil, binary, args...); err != nil {
		return err
	}
	line, err := h.server.Line(ctx, time.Minute, "windlass ready")
	if err != nil {
		return err
	}
	for _, word := range strings.Fields(line) {
		if door, at, ok := strings.Cut(word, "="); ok {
			h.doors[door] = at
		}
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return err
	}
	h.token = strings.TrimSpace(string(token))
	return h.manage(ctx, http.MethodPost, "/api/profiles", map[string]string{"name": profile}, nil)
}

// manage is one request to the management API.
func (h *house) manage(ctx context.Context, method, path string, body, into any) error {
	kind, src := "application/json", io.Reader(nil)
	switch v := body.(type) {
	case nil:
	case []byte:
		kind, src = "application/octet-stream", bytes.NewReader(v)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		src = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+h.doors["http"]+path, src)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		return errors.Join(fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer), err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// image uploads a package of random bytes behind a line that says what it is, as
// firmware knows its own name.
func (h *house) image(ctx context.Context, v version) ([]byte, error) {
	data := make([]byte, imageSize)
	_, _ = rand.Read(data) // it never fails
	copy(data, v.Title+" "+v.Version+"\n")
	q := url.Values{"title": {v.Title}, "version": {v.Version}, "profile": {profile}}
	return data, h.manage(ctx, http.MethodPost, "/api/packages?"+q.Encode(), data, nil)
}

// version is what a device runs, or shall run.
type version struct {
	Title   string `json:"title"`
	Version string `json:"version"`
}

// track is what the server knows of a device's firmware.
type track struct {
	State   string   `json:"state"`
	Target  *version `json:"target"`
	Current *version `json:"current"`
	Error   *string  `json:"error"`
	History []struct {
		State string `json:"state"`
	} `json:"history"`
}

func (h *house) firmware(ctx context.Context, device string) (track, error) {
	var d struct {
		Firmware track `json:"firmware"`
	}
	err := h.manage(ctx, http.MethodGet, "/api/devices/"+url.PathEscape(device), nil, &d)
	return d.Firmware, err
}

// endsWell waits until the process has ended, and is an error where that takes too
// long or the process says that it went wrong.
func endsWell(p *child.Process, within time.Duration) error {
	select {
	case <-p.Ended:
		if err := p.Err(); err != nil {
			return fmt.Errorf("the client ended with %w", err)
		}
		return nil
	case <-time.After(within):
		return errors.New("the client does not end")
	}
}
