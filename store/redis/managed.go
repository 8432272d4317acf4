package redis

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"github.com/windlass-ota/windlass/ota"
)

// ManagedOptions say how [Managed] runs its Redis.
type ManagedOptions struct {
	// Program is the server to start. "": redis-server or valkey-server,
	// whichever is found; "none": none is looked for.
	Program string
	// Always makes each acknowledged write durable before it is acknowledged.
	// Without it a loss of power may take the last two seconds.
	Always bool
	// Repair lets the server cut off the torn end of its log, which is all that
	// was written last; without it such a log is refused.
	Repair bool
	// Log is told what the server says. Nil: nobody is.
	Log *slog.Logger
}

// Server is a Redis that lives and ends with this process.
type Server struct {
	url     string
	warning string
	close   func() error
}

// URL is for [Options].
func (s *Server) URL() string { return s.url }

// Warning says in plain words what the operator should know, or "".
func (s *Server) Warning() string { return s.warning }

// InMemory says whether all is gone when the process ends.
func (s *Server) InMemory() bool { return s.warning != "" }

// Close stops the server when everything is on the disk. Closing twice is once.
func (s *Server) Close() error { return s.close() }

// Managed starts a Redis of our own that keeps its files below dir and listens
// on a socket there that no other user can reach. It is started again, more and
// more slowly, when it dies. A server that a killed process of ours has left
// running is ended first. One process at a time may use dir. Where there is no
// such program a small one within this process takes its place, which keeps
// nothing: see [Server.Warning].
func Managed(ctx context.Context, dir string, o ManagedOptions) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	program, err := findProgram(o.Program)
	if err != nil {
		return nil, err
	}
	if program == "" {
		return memory()
	}
	dir, err = filepath.Abs(filepath.Join(dir, "redis"))
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	socket, err := socketFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	c := &child{program: program, dir: dir, socket: filepath.Join(socket, "redis.sock"), o: o, stop: make(chan struct{}), done: make(chan struct{})}
	if err := c.endOrphan(ctx); err != nil {
		_ = lock.Close() // the first error is the one to tell
		return nil, err
	}
	first := make(chan error, 1)
	go c.watch(first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s := &Server{url: "unix://" + c.socket, close: sync.OnceValue(func() error {
		close(c.stop)
		<-c.done
		return lock.Close()
	})}
	if err != nil {
		s.Close() //nolint:errcheck // the first error is the one to tell
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	return s, nil
}

func findProgram(name string) (string, error) {
	switch name {
	case "none":
		return "", nil
	case "":
		for _, p := range []string{"redis-server", "valkey-server"} {
			if path, err := exec.LookPath(p); err == nil {
				return path, nil
			}
		}
		return "", nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &ota.Error{Code: ota.Invalid, Op: "start redis", Err: err}
	}
	return path, nil
}

// maxSocket is how long the path of a socket may be, by the kernel's structure.
const maxSocket = 100

// socketFolder makes dir, and names a folder for the socket: dir itself, or
// where its path is too long one of ours among the temporary files, the same
// each time.
func socketFolder(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder must be entered
		return "", err
	}
	if len(dir)+len("/redis.sock") <= maxSocket {
		return dir, nil
	}
	sum := sha256.Sum256([]byte(dir))
	short := filepath.Join(os.TempDir(), fmt.Sprintf("windlass-%d-%s", os.Getuid(), hex.EncodeToString(sum[:8])))
	if err := os.Mkdir(short, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(short)
	if err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || int(st.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a folder of ours alone", short)
	}
	return short, nil
}

// lockFolder holds dir for this process; the lock goes with it however it ends.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ota.Errorf(ota.Conflict, "start redis", "another windlass uses %s; stop it, or give --data another folder", filepath.Dir(dir))
		}
		return nil, fmt.Errorf("start redis: %w", err)
	}
	return f, nil
}

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
	said := &lastLines{log: c.o.Log}
	cmd := c.command(repair)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
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
		case err := <-ended:
			if !isUp {
				return fmt.Errorf("%w (%v): %s", errNotReady, err, said.why()) //nolint:errorlint // told, not acted upon
			}
			return fmt.Errorf("%v: %s", err, said.why()) //nolint:errorlint // told, not acted upon
		case <-c.stop:
			c.end(cmd.Process, ended)
			return nil
		}
	}
}

// end stops a server: it writes and syncs its log when asked, and is killed
// when it does not.
func (c *child) end(p *os.Process, ended <-chan error) {
	p.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	t := time.NewTimer(stopWithin)
	defer t.Stop()
	select {
	case _ = <-ended: // how does not matter
	case <-t.C:
		c.o.Log.Error("redis does not stop and is killed", "after", stopWithin)
		p.Kill() //nolint:errcheck // see above
		_ = <-ended
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
			l.lines = append(l.lines, line)
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
		return "the end of its log is torn, perhaps by a loss of power; starting once with repair allowed cuts off what was written last (" + all + ")"
	}
	return all
}

var _ io.Writer = (*lastLines)(nil)
