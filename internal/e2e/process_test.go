package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test started; it ends with the test.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *output
	done chan struct{} // closed when it has ended
	err  error         // of its end, once done is closed
}

// begin starts a program. What it says is shown when the test fails. It is
// killed at the end of the test, if it still runs then.
func begin(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, log: &output{}, done: make(chan struct{})}
	cmd.Stderr = p.log
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.log.tail(16<<10))
		}
	})
	return p
}

// kill ends it as kill -9 does, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// stop asks it to end, and fails where that takes longer than within or ends
// otherwise than well.
func (p *process) stop(t *testing.T, within time.Duration) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop %s: %v", p.name, err)
	}
	select {
	case <-p.done:
		if p.err != nil {
			t.Errorf("%s ended with %v, want exit code 0", p.name, p.err)
		}
	case <-time.After(within):
		t.Errorf("%s still runs %v after SIGTERM", p.name, within)
		p.kill()
	}
}

// children are the processes below pid, deeper ones included, by pid.
func children(t *testing.T, pid int) map[int]string {
	t.Helper()
	parents, names := map[int]int{}, map[int]string{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
		fields := strings.Fields(string(b[end+1:]))
		id, _ := strconv.Atoi(strings.TrimSpace(string(b[:open])))
		parents[id], _ = strconv.Atoi(fields[1])
		names[id] = string(b[open+1 : end])
	}
	below := map[int]string{}
	for id := range parents {
		for up := parents[id]; up > 1; up = parents[up] {
			if up == pid {
				below[id] = names[id]
			}
		}
	}
	return below
}

// memory is what the process holds now and what it held at most, in bytes.
func (p *process) memory(t *testing.T) (now, peak int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		name, rest, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscan(rest, &kb); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			now = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return now, peak
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

// tail is the last n bytes.
func (o *output) tail(n int) string {
	s := o.String()
	if len(s) > n {
		s = "…" + s[len(s)-n:]
	}
	return s
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// command runs a program to its end; stdin may be nil.
func command(t *testing.T, stdin io.Reader, env []string, dir, name string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = stdin, &out, &errs, dir, environment(env...)
	cmd.WaitDelay = 5 * time.Second
	late := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// environment is ours without what would configure windlass, and with more.
func environment(more ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WINDLASS_") {
			env = append(env, e)
		}
	}
	return append(env, append(more, "PYTHONDONTWRITEBYTECODE=1")...)
}
