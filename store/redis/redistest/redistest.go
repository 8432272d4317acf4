// Package redistest starts Redis for tests: in memory, one real server, or a
// cluster of three masters. Everything ends with the test, and a test that
// needs a redis-server where none is installed fails.
//
// It knows nothing of what is kept there.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// readyIn bounds the wait for servers, which need much less on an idle machine.
const readyIn = 30 * time.Second

// meetAgain is when nodes of a cluster that do not know each other yet are told
// again: a handshake is given up after the node time-out.
const meetAgain = 3 * time.Second

// Memory starts a miniredis and returns it with a client of it.
func Memory(t testing.TB) (redis.UniversalClient, *miniredis.Miniredis) {
	t.Helper()
	m := miniredis.RunT(t)
	return client(t, redis.NewClient(options("tcp", m.Addr()))), m
}

// Server is a redis-server that a test has started.
type Server struct {
	Network, Addr string // how to reach it

	dir  string
	args []string
	cmd  *exec.Cmd
}

// StartServer starts a redis-server on a unix socket, or on a port of 127.0.0.1
// where tcp is set, with args behind the usual ones. Its data lies in a folder
// of the test, so that [Server.Start] after [Server.Kill] finds it again.
func StartServer(t testing.TB, tcp bool, args ...string) *Server {
	t.Helper()
	s := &Server{dir: socketDir(t)}
	s.args = append([]string{"--dir", s.dir, "--save", "", "--daemonize", "no", "--loglevel", "warning"}, args...)
	if tcp {
		port := freePort(t)
		s.Network, s.Addr = "tcp", "127.0.0.1:"+port
		s.args = append(s.args, "--bind", "127.0.0.1", "--port", port)
	} else {
		s.Network, s.Addr = "unix", filepath.Join(s.dir, "r.sock")
		s.args = append(s.args, "--port", "0", "--unixsocket", s.Addr)
	}
	t.Cleanup(s.Kill)
	s.Start(t)
	return s
}

// Start starts the server again after [Server.Kill] and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.cmd = exec.CommandContext(context.Background(), "redis-server", s.args...)
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start redis-server (apt-get install redis-server): %v", err)
	}
	c := redis.NewClient(options(s.Network, s.Addr))
	defer c.Close()
	Eventually(t, func(ctx context.Context) error { return c.Ping(ctx).Err() })
}

// Kill ends the server at once, as a crash would. Twice is once.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Log is the file to which a server with --appendonly yes writes what it is told.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(all) != 1 {
		t.Fatalf("logs %v, %v, want one", all, err)
	}
	return all[0]
}

// Client returns a client that ends with the test.
func (s *Server) Client(t testing.TB) redis.UniversalClient {
	t.Helper()
	return client(t, redis.NewClient(options(s.Network, s.Addr)))
}

// Single starts one redis-server on a unix socket and returns a client of it.
func Single(t testing.TB) redis.UniversalClient {
	t.Helper()
	return StartServer(t, false).Client(t)
}

// Cluster starts three masters that share the slots evenly and returns a client
// of them, when every one of them says that the cluster is whole.
func Cluster(t testing.TB) redis.UniversalClient {
	t.Helper()
	const masters, slots = 3, 16384
	var addrs []string
	var nodes []*redis.Client
	for range masters {
		bus := freePort(t)
		s := StartServer(t, true, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000")
		addrs = append(addrs, s.Addr+"@"+bus)
		n := redis.NewClient(options(s.Network, s.Addr))
		defer n.Close()
		nodes = append(nodes, n)
	}
	ctx := t.Context()
	for i, n := range nodes {
		if err := n.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	meet := func() {
		for _, a := range addrs {
			addr, bus, _ := strings.Cut(a, "@")
			host, port, _ := net.SplitHostPort(addr)
			if err := nodes[0].Do(ctx, "cluster", "meet", host, port, bus).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	meet()
	met := time.Now()
	for _, n := range nodes {
		Eventually(t, func(ctx context.Context) error {
			info, err := n.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(masters))) {
				err = errors.New(info)
			}
			if err != nil && time.Since(met) > meetAgain { // a node that is busy forgets whom it was to meet
				meet()
				met = time.Now()
			}
			return err
		})
	}
	for i := range addrs {
		addrs[i], _, _ = strings.Cut(addrs[i], "@")
	}
	return client(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs, ClusterStateReloadInterval: time.Second, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}))
}

func options(network, addr string) *redis.Options {
	return &redis.Options{
		Network: network, Addr: addr, Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func client(t testing.TB, c redis.UniversalClient) redis.UniversalClient {
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Eventually asks until the answer is nil, and fails the test when that takes
// too long.
func Eventually(t testing.TB, ask func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyIn)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still not so after %s: %v", readyIn, err)
		}
	}
}

// socketDir is a folder whose path is short enough for a socket.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redistest") //nolint:usetesting // its path must fit into a socket address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func freePort(t testing.TB) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal(fmt.Errorf("listening on %s", l.Addr()))
	}
	return strconv.Itoa(addr.Port)
}
