package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	killRedis(t, func(*testing.T, *rand.Rand, string) {})
}

// The same again, and each time Redis is killed in the middle of writing a turn.
func TestKillRedisAsItWrites(t *testing.T) {
	t.Parallel()
	s := killRedis(t, tear)
	if !strings.Contains(s.log.String(), "were mended after a start of redis") {
		t.Error("nothing was to be mended: the test tests nothing")
	}
}

func killRedis(t *testing.T, dead func(t *testing.T, random *rand.Rand, dir string)) *server {
	t.Helper()
	random := randomFor(t)
	dir, port := t.TempDir(), freePort(t)
	store := beginRedis(t, dir, port)
	url := fmt.Sprintf("redis://127.0.0.1:%d", port)
	s := run(t, "", "--set", "offers.pace=unlimited", "--redis", url)
	f := assignedFleet(t, s, random, sized(1000, 200))
	f.disturb(t, random, kills, func() {
		store.kill()
		dead(t, random, dir)
		store = beginRedis(t, dir, port)
	})
	awaitMended(t, url)
	f.assertNothingLost(t, s)
	s.recount(t)
	checkStore(t, url)
	return s
}

// tear puts the beginning of a turn that nobody was told to be stored behind
// what a Redis that was killed has written: that of the last one that counted
// something, up to some place behind that and before its home.
func tear(t *testing.T, random *rand.Rand, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %v, %v, want one", logs, err)
	}
	log, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	all, whole := commands(log)
	begin, counted, open := -1, -1, false // the turn at hand
	from, after, before := -1, -1, -1     // the one to be torn, and between what
	for _, c := range all {
		switch c.name {
		case "MULTI":
			begin, counted, open = c.start, -1, true
		case "HINCRBY":
			if counted < 0 {
				counted = c.end
			}
		case "SET", "MSET", "DEL", "HSET": // from here on it is no more what follows from the home
			if begin >= 0 && counted >= 0 {
				from, after, before = begin, counted, c.start
			}
			begin = -1
		case "EXEC":
			open = false
		}
	}
	if !whole || open {
		return // it was killed in the middle of one indeed
	}
	if from < 0 {
		t.Fatalf("no turn that counts in %d bytes of %s", len(log), logs[0])
	}
	file, err := os.OpenFile(logs[0], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(log[from : after+random.IntN(before-after+1)]); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// logged is a command of a log: its name, and where it stands.
type logged struct {
	name       string
	start, end int
}

// commands are those of a log, and whether it ends with the end of one.
func commands(log []byte) (all []logged, whole bool) {
	at := 0
	number := func(letter byte) int {
		line, _, ok := bytes.Cut(log[at:], []byte("\r\n"))
		if !ok || len(line) < 2 || line[0] != letter {
			return -1
		}
		at += len(line) + 2
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return -1
		}
		return n
	}
	for at < len(log) {
		c := logged{start: at}
		n := number('*')
		if n < 1 {
			return all, false
		}
		for i := range n {
			size := number('$')
			if size < 0 || at+size+2 > len(log) {
				return all, false
			}
			if i == 0 {
				c.name = strings.ToUpper(string(log[at : at+size]))
			}
			at += size + 2
		}
		c.end = at
		all = append(all, c)
	}
	return all, true
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

// awaitMended waits until the server has recounted everything since Redis was
// started last: a Redis that is killed while it writes may come back with half
// of a turn.
func awaitMended(t *testing.T, url string) {
	t.Helper()
	c, err := redis.Open(t.Context(), redis.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	store := redis.New(c)
	defer store.Close()
	wait(t, time.Minute, "the recount after the last start of redis", func() (bool, string) {
		n, err := store.Unsure(t.Context())
		return err == nil && n == 0, fmt.Sprintf("%d shards are to be recounted, %v", n, err)
	})
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
