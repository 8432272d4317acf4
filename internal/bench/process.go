package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that was started to be measured.
type process struct {
	name  string
	cmd   *exec.Cmd
	said  *output
	ended chan struct{}
	redis int // pid of the Redis that it manages, 0 where there is none

	profiles string // where perf writes what the process does under load; "": nowhere
	profiled int
}

// start starts a program; it ends with the bench. Both its outputs are kept.
func (b *bench) start(name string, args ...string) (*process, error) {
	cmd := exec.Command(name, args...) //nolint:noctx // it is stopped by stop, in good order
	p := &process{name: filepath.Base(name), cmd: cmd, said: &output{}, ended: make(chan struct{}), profiles: b.profiles}
	cmd.Stdout, cmd.Stderr, cmd.Dir = p.said, p.said, b.dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "WINDLASS_") })
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is read from its state
	}()
	b.started = append(b.started, p)
	return p, nil
}

// stopTime is how long a process has to end in good order.
const stopTime = 15 * time.Second

// stop asks the process to end, and ends it where it does not. Twice is once.
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
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end when it was told to", p.name)
	}
}

// awaitLine waits for a line that begins with prefix and returns it.
func (p *process) awaitLine(ctx context.Context, prefix string) (line string, err error) {
	err = eventually(ctx, func() (bool, error) {
		for l := range strings.Lines(p.said.String()) {
			if strings.HasPrefix(l, prefix) && strings.HasSuffix(l, "\n") {
				line = strings.TrimSpace(l)
				return true, nil
			}
		}
		select {
		case <-p.ended:
			return false, fmt.Errorf("%s ended: %s", p.name, p.said)
		default:
			return false, nil
		}
	})
	return line, err
}

// patience bounds every wait.
const patience = time.Minute

// eventually asks again until done says yes.
func eventually(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return fmt.Errorf("what was waited for did not come: %w", ctx.Err())
		}
	}
}

// stat is what the kernel counts of a process.
type stat struct {
	name   string
	parent int
	cpu    time.Duration // user and system
	rss    int64         // bytes
}

// tick is the unit of CPU times in /proc, the same on every Linux for Go.
const tick = 10 * time.Millisecond

var errStat = errors.New("unknown form")

func statOf(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, errStat)
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 22 {
		return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, errStat)
	}
	var n [4]int64
	for i, at := range []int{1, 11, 12, 21} { // parent, user, system, resident pages
		if n[i], err = strconv.ParseInt(f[at], 10, 64); err != nil {
			return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	return stat{
		name: string(b[open+1 : end]), parent: int(n[0]),
		cpu: time.Duration(n[1]+n[2]) * tick, rss: n[3] * int64(os.Getpagesize()),
	}, nil
}

// findRedis looks for the Redis that the process has started.
func (p *process) findRedis() error {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if s, err := statOf(pid); err == nil && s.parent == p.cmd.Process.Pid && (strings.HasPrefix(s.name, "redis") || strings.HasPrefix(s.name, "valkey")) {
			p.redis = pid
			return nil
		}
	}
	return errors.New("the server manages no Redis: install redis-server")
}

// spend measures what the process spends on load, which returns how many
// operations were done.
func (p *process) spend(load func() (int64, error)) (s sample, err error) {
	own, redis, err := p.cpu()
	if err != nil {
		return s, err
	}
	done, err := p.profile()
	if err != nil {
		return s, err
	}
	began := time.Now()
	n, err := load()
	if err = errors.Join(err, done()); err != nil {
		return s, err
	}
	s.wall, s.ops = time.Since(began), float64(n)
	own2, redis2, err := p.cpu()
	s.cpu, s.redis = own2-own, redis2-redis
	return s, err
}

// profile lets perf watch the process until the returned function is called.
func (p *process) profile() (done func() error, err error) {
	if p.profiles == "" {
		return func() error { return nil }, nil
	}
	file := filepath.Join(p.profiles, fmt.Sprintf("%s-%d-%d.perf", p.name, p.cmd.Process.Pid, p.profiled))
	p.profiled++
	perf := exec.Command("perf", "record", "-q", "-g", "-F", "499", "-e", "cpu-clock", "-o", file, "-p", strconv.Itoa(p.cmd.Process.Pid)) //nolint:gosec,noctx // it ends with the load
	if err := perf.Start(); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return func() error {
		if err := perf.Process.Signal(os.Interrupt); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		_ = perf.Wait() // it says that it was interrupted
		return nil
	}, nil
}

func (p *process) cpu() (own, redis time.Duration, err error) {
	s, err := statOf(p.cmd.Process.Pid)
	if err != nil || p.redis == 0 {
		return s.cpu, 0, err
	}
	r, err := statOf(p.redis)
	return s.cpu, r.cpu, err
}

// atRest waits until the process does next to nothing.
func (p *process) atRest(ctx context.Context) error {
	var last time.Duration
	var since time.Time
	return eventually(ctx, func() (bool, error) {
		now, _, err := p.cpu()
		if err != nil {
			return false, err
		}
		if since.IsZero() || now-last > tick {
			last, since = now, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond, nil
	})
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
