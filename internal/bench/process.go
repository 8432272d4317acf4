package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/internal/child"
)

// process is a program that was started to be measured.
type process struct {
	*child.Process
	redis int // pid of the Redis that it manages, 0 where there is none

	profiles string // where perf writes what the process does under load; "": nowhere
	profiled int
}

// start starts a program; it ends with the bench.
func (b *bench) start(name string, args ...string) (*process, error) {
	c, err := child.Start(b.dir, nil, name, args...)
	if err != nil {
		return nil, err
	}
	p := &process{Process: c, profiles: b.profiles}
	b.started = append(b.started, p)
	return p, nil
}

// patience bounds every wait.
const patience = time.Minute

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
		if s, err := statOf(pid); err == nil && s.parent == p.Pid() && (strings.HasPrefix(s.name, "redis") || strings.HasPrefix(s.name, "valkey")) {
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
	file := filepath.Join(p.profiles, fmt.Sprintf("%s-%d-%d.perf", p.Name(), p.Pid(), p.profiled))
	p.profiled++
	perf := exec.Command("perf", "record", "-q", "-g", "-F", "499", "-e", "cpu-clock", "-o", file, "-p", strconv.Itoa(p.Pid())) //nolint:gosec,noctx // it ends with the load
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
	s, err := statOf(p.Pid())
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
	return child.Eventually(ctx, patience, func() (bool, error) {
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
