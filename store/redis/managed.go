package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

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
		_ = unlock(lock) // the first error is the one to tell
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
		return unlock(lock)
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

// unlock says so: a program that is being started by another goroutine may hold
// a copy of the open file for a moment yet.
func unlock(lock *os.File) error {
	return errors.Join(syscall.Flock(int(lock.Fd()), syscall.LOCK_UN), lock.Close())
}
