package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// child is the server as a process, over all its lives.
type child struct {
	program string
	dir     string
	socket  string
	o       ManagedOptions
	stop    chan struct{}
	done    chan struct{}
}

func (c *child) command(repair bool) *exec.Cmd {
	sync, cut := "everysec", "no"
	if c.o.Always {
		sync = "always"
	}
	if repair {
		cut = "yes"
	}
	cmd := exec.Command(c.program, "--port", "0", "--unixsocket", c.socket, "--unixsocketperm", "600", "--dir", c.dir,
		"--pidfile", filepath.Join(c.dir, "redis.pid"), "--daemonize", "no", "--databases", "1", "--save", "",
		"--appendonly", "yes", "--appendfsync", sync, "--aof-load-truncated", cut, "--maxmemory-policy", "noeviction",
		"--loglevel", "notice", "--logfile", "")
	cmd.Dir = c.dir
	cmd.SysProcAttr = childAttributes()
	return cmd
}

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	steady     = time.Minute // after so long a life the back-off begins anew
	stopWithin = 15 * time.Second
)

// watch starts the server and starts it again until stop. It tells first what
// became of the first start.
//
// The kernel ends a child when the thread that started it ends, so this
// goroutine keeps its own.
func (c *child) watch(first chan<- error) {
	defer close(c.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wait := minBackoff
	for life := 0; ; life++ {
		began := time.Now()
		// What a server that was killed under us has left half written nobody
		// was told to be stored. A torn log at our own start may be older.
		err := c.live(c.o.Repair || life > 0, func() {
			if life == 0 {
				first <- nil
			}
		})
		if err == nil {
			return
		}
		if life == 0 && errors.Is(err, errNotReady) {
			first <- err
			return
		}
		if time.Since(began) > steady {
			wait = minBackoff
		}
		c.o.Log.Warn("redis ended by itself and is started again", "error", err, "wait", wait)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.stop:
			t.Stop()
			return
		}
		wait = min(2*wait, maxBackoff)
	}
}

// errNotReady says that a server ended before it took its first command.
var errNotReady = errors.New("it did not start")

// live is one life of the server: nil when it was told to stop.
func (c *child) live(repair bool, ready func()) error {
	if repair {
		if err := c.cutTorn(); err != nil {
			return fmt.Errorf("%w: %w", errNotReady, err)
		}
	}
	said := &lastLines{log: c.o.Log, dir: c.dir}
	cmd := c.command(repair)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	ended := make(chan string, 1) // how
	go func() {
		cmd.Wait() //nolint:errcheck // the state says more
		ended <- cmd.ProcessState.String()
	}()
	up := make(chan struct{})
	probing, cancel := context.WithCancel(context.Background())
	var probe sync.WaitGroup
	probe.Go(func() { c.probe(probing, up) })
	defer probe.Wait()
	defer cancel()
	isUp := false
	for {
		select {
		case <-up:
			isUp, up = true, nil
			ready()
		case how := <-ended:
			if !isUp {
				return fmt.Errorf("%w (%s): %s", errNotReady, how, said.why())
			}
			return fmt.Errorf("%s; it said last: %s", how, said.why())
		case <-c.stop:
			c.end(cmd.Process, ended)
			return nil
		}
	}
}

// cutTorn cuts off the torn end of the log that a killed server has left.
func (c *child) cutTorn() error {
	cut, name, err := cutTorn(c.dir)
	if err == nil && cut > 0 {
		c.o.Log.Warn("the torn end of redis's log is cut off: the one write that it was in the middle of", "file", name, "bytes", cut)
	}
	return err
}

// end stops a server: it writes and syncs its log when asked, and is killed
// when it does not.
func (c *child) end(p *os.Process, ended <-chan string) {
	p.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	t := time.NewTimer(stopWithin)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		c.o.Log.Error("redis does not stop and is killed", "after", stopWithin)
		p.Kill() //nolint:errcheck // see above
		<-ended
	}
}

// probe closes up when the server answers. A large log takes its time to load.
func (c *child) probe(ctx context.Context, up chan<- struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if c.answers(ctx) {
			close(up)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// answers tries a connection of its own each time: a client that has failed to
// connect waits for a second before it tries again.
func (c *child) answers(ctx context.Context) bool {
	if _, err := os.Stat(c.socket); err != nil {
		return false
	}
	r := c.dial()
	defer r.Close()
	return r.Ping(ctx).Err() == nil
}

func (c *child) dial() *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: c.socket, MaxRetries: -1, DialerRetries: 1, PoolSize: 4, DisableIdentity: true, Protocol: 2,
		DialTimeout: time.Second, ReadTimeout: time.Second, ContextTimeoutEnabled: true})
}

// endOrphan ends a server that still listens on our socket: we hold the folder,
// so the process that started it is gone.
func (c *child) endOrphan(ctx context.Context) error {
	r := c.dial()
	defer r.Close()
	pid, told := 0, false
	if text, err := r.Info(ctx, "server").Result(); err == nil {
		fmt.Sscanf(info(text)["process_id"], "%d", &pid) //nolint:errcheck // 0 then
	} else if pid = c.orphanPid(); pid == 0 {
		os.Remove(c.socket) //nolint:errcheck // a new server makes it anew
		return nil
	}
	c.o.Log.Info("a redis of an earlier run is ended first", "pid", pid)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); syscall.Kill(pid, 0) == nil; {
		if !told {
			syscall.Kill(pid, syscall.SIGTERM) //nolint:errcheck // seen above
			syscall.Kill(pid, syscall.SIGCONT) //nolint:errcheck // a stopped one hears nothing
			told = true
		} else if time.Since(began) > stopWithin {
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // seen above
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("end the redis of an earlier run: %w", context.Cause(ctx))
		}
	}
	return nil
}

// orphanPid is the process in the server's own file, where that is a server of
// this folder and not a later process of the same number.
func (c *child) orphanPid() int {
	text, err := os.ReadFile(filepath.Join(c.dir, "redis.pid"))
	if err != nil {
		return 0
	}
	var pid int
	if _, err := fmt.Sscanf(string(text), "%d", &pid); err != nil || pid <= 1 {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), c.socket) {
		return 0
	}
	return pid
}

// lastLines keeps the end of what a server says, for the error that tells why
// it ended.
type lastLines struct {
	log *slog.Logger
	dir string

	mu    sync.Mutex
	lines []string
}

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := bufio.NewScanner(strings.NewReader(string(p)))
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" {
			l.log.Debug("redis says", "line", line)
			if !strings.Contains(line, " * ") { // its mark of what is ordinary
				l.lines = append(l.lines, line)
			}
		}
	}
	if n := len(l.lines); n > 8 {
		l.lines = l.lines[n-8:]
	}
	return len(p), nil
}

// why is the last that the server said; a torn log gets the way out.
func (l *lastLines) why() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Join(l.lines, "; ")
	if strings.Contains(all, "Unexpected end of file reading the append only file") {
		return "the end of its log is torn, perhaps by a loss of power; what was written last is cut off by: redis-check-aof --fix " +
			filepath.Join(l.dir, "appendonlydir", "appendonly.aof.manifest") + " (" + all + ")"
	}
	return all
}

var _ io.Writer = (*lastLines)(nil)
