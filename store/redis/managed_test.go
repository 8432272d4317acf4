package redis

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

func start(t *testing.T, dir string, o ManagedOptions) (*Server, redis.UniversalClient) {
	t.Helper()
	s, err := Managed(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := Open(t.Context(), Options{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

// eventually polls until is true; what it waits for happens in another process.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("within 20 s it did not happen that %s", what)
		}
	}
}

func pidOf(t *testing.T, c redis.UniversalClient) string {
	t.Helper()
	text, err := c.Info(t.Context(), "server").Result()
	if err != nil {
		return ""
	}
	return info(text)["process_id"]
}

func kill(t *testing.T, pid string, sig syscall.Signal) {
	t.Helper()
	n := 0
	for _, d := range pid {
		n = 10*n + int(d-'0')
	}
	if n < 2 {
		t.Fatalf("pid is %q", pid)
	}
	if err := syscall.Kill(n, sig); err != nil {
		t.Fatal(err)
	}
}

func TestManagedKeepsOverRestart(t *testing.T) {
	dir := t.TempDir()
	s, c := start(t, dir, ManagedOptions{})
	if s.Warning() != "" || s.InMemory() {
		t.Errorf("a real server warns %q", s.Warning())
	}
	for path, want := range map[string]os.FileMode{filepath.Join(dir, "redis"): 0o700, strings.TrimPrefix(s.URL(), "unix://"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, c = start(t, dir, ManagedOptions{})
	if v, err := c.Get(t.Context(), "k").Result(); v != "v" {
		t.Errorf("after a restart the value is %q, %v", v, err)
	}
}

func TestManagedWatchdog(t *testing.T) {
	_, c := start(t, t.TempDir(), ManagedOptions{Always: true})
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	first := pidOf(t, c)
	kill(t, first, syscall.SIGKILL)
	eventually(t, "another server answers", func() bool { p := pidOf(t, c); return p != "" && p != first })
	if v, err := c.Get(t.Context(), "k").Result(); v != "v" {
		t.Errorf("after kill -9 the value is %q, %v", v, err)
	}
}

// An orphan is a server whose windlass was killed, on a system whose kernel
// does not end it: here a child that its owner has forgotten.
func TestManagedEndsOrphan(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		dir := t.TempDir()
		abs := filepath.Join(dir, "redis")
		if err := os.Mkdir(abs, 0o700); err != nil {
			t.Fatal(err)
		}
		orphan := &child{program: "redis-server", dir: abs, socket: filepath.Join(abs, "redis.sock")}
		cmd := orphan.command(false)
		cmd.SysProcAttr.Pdeathsig = 0 // its thread may end here
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // it is killed
			close(ended)
		}()
		r := orphan.dial()
		defer r.Close()
		eventually(t, "the orphan answers", func() bool { return r.Set(t.Context(), "k", "v", 0).Err() == nil })
		if stopped {
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		_, c := start(t, dir, ManagedOptions{})
		<-ended
		if v, err := c.Get(t.Context(), "k").Result(); v != "v" {
			t.Errorf("stopped %v: what the orphan kept is %q, %v", stopped, v, err)
		}
	}
}

func TestManagedFolderIsOneProcess(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir, ManagedOptions{})
	_, err := Managed(t.Context(), dir, ManagedOptions{})
	if ota.CodeOf(err) != ota.Conflict || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second use gives %v, want a conflict that names the folder", err)
	}
	s.Close()
	start(t, dir, ManagedOptions{})
}

func TestManagedLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 20), strings.Repeat("path", 20))
	s, c := start(t, dir, ManagedOptions{})
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(strings.TrimPrefix(s.URL(), "unix://"))) })
}

func TestManagedTornLog(t *testing.T) {
	dir := t.TempDir()
	s, c := start(t, dir, ManagedOptions{Always: true})
	for _, k := range []string{"a", "b"} {
		if err := c.Set(t.Context(), k, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	logs, err := filepath.Glob(filepath.Join(dir, "redis", "appendonlydir", "*.incr.aof"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	info, err := os.Stat(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(logs[0], info.Size()-5); err != nil {
		t.Fatal(err)
	}
	_, err = Managed(t.Context(), dir, ManagedOptions{})
	if err == nil || !strings.Contains(err.Error(), "torn") {
		t.Fatalf("a torn log gives %v, want a refusal that says so", err)
	}
	_, c = start(t, dir, ManagedOptions{Repair: true})
	if n, err := c.Exists(t.Context(), "a", "b").Result(); n != 1 {
		t.Errorf("after the repair %d of 2 are there, %v, want the one that was whole", n, err)
	}
}

func TestManagedInMemory(t *testing.T) {
	s, c := start(t, t.TempDir(), ManagedOptions{Program: "none"})
	if !strings.Contains(s.Warning(), "lost") || !s.InMemory() {
		t.Errorf("the warning is %q", s.Warning())
	}
	if err := c.Set(t.Context(), "k", "v", 20*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the value expires", func() bool { return c.Exists(t.Context(), "k").Val() == 0 })
	other := redis.NewClient(&redis.Options{Addr: c.(*redis.Client).Options().Addr, DisableIdentity: true, Protocol: 2})
	defer other.Close()
	if err := other.Get(t.Context(), "k").Err(); err == nil || err == redis.Nil {
		t.Error("another user of the machine may read the store")
	}
}

func TestManagedRefuses(t *testing.T) {
	_, err := Managed(t.Context(), t.TempDir(), ManagedOptions{Program: "no-such-server"})
	if ota.CodeOf(err) != ota.Invalid {
		t.Errorf("a program that does not exist gives %v", err)
	}
	_, err = Managed(t.Context(), t.TempDir(), ManagedOptions{Program: "false"})
	if err == nil || !strings.Contains(err.Error(), "did not start") {
		t.Errorf("a program that ends at once gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Managed(ctx, t.TempDir(), ManagedOptions{}); err == nil {
		t.Error("a start whose asker has gone goes on")
	}
}

// A windlass that is killed takes its Redis with it, in good order, and the next
// one finds all that was written.
func TestManagedAfterKill(t *testing.T) {
	if dir := os.Getenv("WINDLASS_TEST_KILLED"); dir != "" {
		_, c := start(t, dir, ManagedOptions{})
		for i := 0; ; i++ {
			if err := c.Set(t.Context(), "count", i, 0).Err(); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(os.Stdout, i)
		}
	}
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestManagedAfterKill$", "-test.count=1")
		cmd.Env = append(os.Environ(), "WINDLASS_TEST_KILLED="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := -1
		for s := bufio.NewScanner(out); s.Scan(); {
			if _, err := fmt.Sscan(s.Text(), &last); err != nil {
				t.Fatalf("it says %q", s.Text())
			}
			if last == 500*(round+1) {
				kill(t, fmt.Sprint(cmd.Process.Pid), syscall.SIGKILL)
			}
		}
		if cmd.Wait() == nil || last < 500 {
			t.Fatalf("it ended by itself, at %d", last)
		}
		s, c := start(t, dir, ManagedOptions{})
		if n, err := c.Get(t.Context(), "count").Int(); err != nil || n < last {
			t.Errorf("round %d: %d was acknowledged, %d is stored, %v", round, last, n, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
