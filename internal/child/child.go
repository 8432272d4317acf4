// Package child runs programs for a program that measures or checks them: what
// they say is kept, and they end, with all that they have started, when they are
// told to.
//
// It knows nothing of what they are.
package child

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that was started.
type Process struct {
	Said  Output        // all that it has said, on both outputs
	Ended chan struct{} // closed when it has ended

	cmd *exec.Cmd
	err error
}

// Start starts a program in a folder, in a process group of its own. Of the
// environment it has all but WINDLASS_…, and env besides.
func Start(dir string, env []string, name string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(name, args...), Ended: make(chan struct{})} //nolint:gosec,noctx // Stop ends it, in good order
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.Said, &p.Said
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "WINDLASS_") }), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name(), err)
	}
	go func() {
		defer close(p.Ended)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// Name is the last part of the program's path.
func (p *Process) Name() string { return filepath.Base(p.cmd.Path) }

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Err is how the process ended; it waits until it has.
func (p *Process) Err() error {
	<-p.Ended
	return p.err
}

// stopTime is how long a process has to end in good order.
const stopTime = 15 * time.Second

// Stop asks the process to end, and kills it where it does not, which is an
// error. Twice is once.
func (p *Process) Stop() error {
	select {
	case <-p.Ended:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.Ended:
		return nil
	case <-time.After(stopTime):
		p.Kill()
		return fmt.Errorf("%s did not end when it was told to", p.Name())
	}
}

// Kill ends the process and all that it has started, at once.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL) // it may have ended
	<-p.Ended
}

// Line waits for a whole line that begins with prefix and returns it. It is an
// error when the process ends before.
func (p *Process) Line(ctx context.Context, patience time.Duration, prefix string) (line string, err error) {
	err = Eventually(ctx, patience, func() (bool, error) {
		for l := range strings.Lines(p.Said.String()) {
			if strings.HasPrefix(l, prefix) && strings.HasSuffix(l, "\n") {
				line = strings.TrimSpace(l)
				return true, nil
			}
		}
		select {
		case <-p.Ended:
			return false, fmt.Errorf("%s ended: %s", p.Name(), p.Said.String())
		default:
			return false, nil
		}
	})
	return line, err
}

// Eventually asks again until done says yes or fails, or patience is over.
func Eventually(ctx context.Context, patience time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticks := time.NewTicker(10 * time.Millisecond)
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

// Output collects what a process says; it may be read meanwhile.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String is all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
