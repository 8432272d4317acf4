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
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
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

	server *process
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
		errs = append(errs, h.server.stop())
	}
	if remove {
		errs = append(errs, os.RemoveAll(h.dir))
	}
	return errors.Join(errs...)
}

var readyLine = regexp.MustCompile(`(?m)^windlass ready(?: .*)?$`)

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
	if h.server, err = start(h.dir, nil, binary, args...); err != nil {
		return err
	}
	line, err := h.server.ready(ctx)
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

// process is a program that was started; what it says is kept.
type process struct {
	cmd   *exec.Cmd
	said  output
	ended chan struct{}
	err   error // of its end, once ended is closed
}

// start starts a program in a process group of its own, so that what it has
// started ends with it.
func start(dir string, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})} //nolint:gosec,noctx // stop ends it, in good order
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.said, &p.said
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "WINDLASS_") }), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(name), err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// stopTime is how long a process has to end in good order.
const stopTime = 15 * time.Second

// stop asks the process to end, and ends it and all that it started where it
// does not. Twice is once.
func (p *process) stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTime):
		p.kill()
		return fmt.Errorf("%s did not end when it was told to", filepath.Base(p.cmd.Path))
	}
}

// endsWell waits until the process has ended, and is an error where that takes too
// long or the process says that it went wrong.
func (p *process) endsWell(within time.Duration) error {
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("the client ended with %w", p.err)
		}
		return nil
	case <-time.After(within):
		return errors.New("the client does not end")
	}
}

// kill ends the process and all that it started.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-p.ended
}

// ready waits for the line that says where the doors are.
func (p *process) ready(ctx context.Context) (line string, err error) {
	err = eventually(ctx, time.Minute, func() (bool, error) {
		if line = readyLine.FindString(p.said.String()); line != "" {
			return true, nil
		}
		select {
		case <-p.ended:
			return false, fmt.Errorf("the server ended: %s", p.said.String())
		default:
			return false, nil
		}
	})
	return line, err
}

// eventually asks again until done says yes.
func eventually(ctx context.Context, patience time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// output collects what a process says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
