package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/store/redis"
)

const kills = 10

// The server is killed ten times while a fleet updates. Everything that it has
// acknowledged is there when it is back, and the fleet finishes.
func TestKillServer(t *testing.T) {
	t.Parallel()
	random := randomFor(t)
	s := run(t, "", "--set", "offers.pace=unlimited", "--set", "redis_fsync=always")
	f := assignedFleet(t, s, random, sized(1000, 200))
	f.disturb(t, random, kills, func() {
		s.kill()
		s.again(t)
	})
	f.assertNothingLost(t, s)
	s.recount(t)
	checkStore(t, "unix://"+filepath.Join(s.data, "redis", "redis.sock"))
}

// The same with Redis, which the server reaches over the network and has to
// find again.
func TestKillRedis(t *testing.T) {
	t.Parallel()
	random := randomFor(t)
	dir, port := t.TempDir(), freePort(t)
	store := beginRedis(t, dir, port)
	url := fmt.Sprintf("redis://127.0.0.1:%d", port)
	s := run(t, "", "--set", "offers.pace=unlimited", "--redis", url)
	f := assignedFleet(t, s, random, sized(1000, 200))
	f.disturb(t, random, kills, func() {
		store.kill()
		store = beginRedis(t, dir, port)
	})
	f.assertNothingLost(t, s)
	s.recount(t)
	checkStore(t, url)
}

// assignedFleet makes a profile with a package assigned and n devices.
func assignedFleet(t *testing.T, s *server, random *rand.Rand, n int) *fleet {
	t.Helper()
	s.do(t, "profile", "create", "pump")
	file, _ := randomFile(t, random, 30_000)
	s.upload(t, file, "app", "1.2", "pump")
	s.do(t, "assign", "app@1.2", "--profile", "pump")
	return newFleet(t, s, "pump", n)
}

// checkStore recounts the store behind the server's back: counters, indexes,
// lines, due entries, names.
func checkStore(t *testing.T, url string) {
	t.Helper()
	c, err := redis.Open(t.Context(), redis.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	store := redis.New(c)
	defer store.Close()
	report, err := store.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Errorf("recount of %d homes: %v", report.Homes, err)
	}
}

// freePort is one that nobody uses now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// beginRedis starts a Redis that has stored what it acknowledges, and returns
// when it answers.
func beginRedis(t *testing.T, dir string, port int) *process {
	t.Helper()
	p := begin(t, "redis-server", exec.Command("redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always"))
	wait(t, 30*time.Second, "an answer of redis-server", func() (bool, string) {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return false, err.Error()
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write([]byte("PING\r\n")); err != nil {
			return false, err.Error()
		}
		answer := make([]byte, 64)
		n, err := c.Read(answer)
		return string(answer[:n]) == "+PONG\r\n", fmt.Sprintf("%q %v", answer[:n], err)
	})
	return p
}
