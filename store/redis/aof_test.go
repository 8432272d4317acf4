package redis

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// told is a command as a log has it.
func told(words ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return s
}

func TestWholeUntil(t *testing.T) {
	set := told("SET", "key", "a\r\n*1\r\n$5\r\nMULTI\r\n")
	multi, exec := told("MULTI"), told("EXEC")
	turn := multi + set + set + exec
	for name, x := range map[string]struct {
		whole, more string
		torn        bool
	}{
		"empty":                  {},
		"whole":                  {told("SELECT", "0") + set + turn, "", false},
		"notes":                  {"#TS:1700000000\r\n" + set, "", false},
		"torn number":            {set, "*", true},
		"torn length":            {set, "*3\r\n$3", true},
		"torn text":              {set, "*3\r\n$3\r\nSE", true},
		"torn end of line":       {set, "*1\r\n$3\r\nSET\r", true},
		"torn note":              {set, "#TS:17", true},
		"begun":                  {turn, multi, true},
		"half a turn":            {turn, multi + set, true},
		"torn in a turn":         {turn, multi + set + "*3\r\n$3\r\nSE", true},
		"torn in its end":        {turn, multi + set + exec[:len(exec)-1], true},
		"carried out by another": {multi + set + turn, "", false}, // too late
		"lower case":             {turn, strings.ToLower(multi) + set, true},
		"damaged":                {turn, "what?\r\n", false},
		"no command":             {turn, "*0\r\n", false},
		"negative":               {turn, "*1\r\n$-1\r\n", false},
		"long line":              {turn, "*" + strings.Repeat("1", 100), false},
		"wrong end of line":      {turn, "*1\r\n$1\r\nabc", false},
	} {
		whole, torn, err := wholeUntil(strings.NewReader(x.whole + x.more))
		if whole != int64(len(x.whole)) || torn != x.torn || err != nil {
			t.Errorf("%s: %d, %v, %v, want %d, %v", name, whole, torn, err, len(x.whole), x.torn)
		}
	}
}

func TestLastLog(t *testing.T) {
	for manifest, want := range map[string]string{
		"": "",
		"file appendonly.aof.1.base.rdb seq 1 type b\n":                                                                                  "",
		"file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n":                                     "appendonly.aof.1.incr.aof",
		"file a.2.base.rdb seq 2 type b\nfile a.1.incr.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\nfile a.3.incr.aof seq 3 type i": "a.3.incr.aof",
		"file ../../etc/x seq 1 type i\n":                                                                                                "",
	} {
		if got := lastLog([]byte(manifest)); got != want {
			t.Errorf("%q: %q, want %q", manifest, got, want)
		}
	}
}

func FuzzWholeUntil(f *testing.F) {
	f.Add([]byte(told("MULTI") + told("SET", "k", "v") + told("EXEC") + told("MULTI") + "*3\r\n$3\r\nSE"))
	f.Add([]byte("#TS:1\r\n*1\r\n$4\r\nping\r\n"))
	f.Add([]byte("*1\r\n$999999999999\r\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		whole, torn, err := wholeUntil(bytes.NewReader(log))
		if err != nil || whole < 0 || whole > int64(len(log)) || torn && whole == int64(len(log)) {
			t.Fatalf("%d of %d, %v, %v", whole, len(log), torn, err)
		}
		again, torn, err := wholeUntil(bytes.NewReader(log[:whole]))
		if again != whole || torn || err != nil {
			t.Fatalf("cut at %d, it is whole until %d, %v, %v", whole, again, torn, err)
		}
	})
}

// Our own Redis is killed in the middle of a turn, at many places of it. It
// comes back with all that was acknowledged and nothing of that turn, and so it
// does the next time.
func TestManagedCutsATornTurn(t *testing.T) {
	const cuts = 12
	for i := range cuts {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			srv, c := start(t, dir, ManagedOptions{Always: true})
			s := open(t, c)
			homes := fleetOf(t, s, 2)
			homes[0] = mustStep(t, s, homes[0])
			mustStep(t, s, homes[0]) // the turn that is torn
			srv.Close()
			log := filepath.Join(dir, "redis", "appendonlydir", "appendonly.aof.1.incr.aof")
			from, to := lastTransaction(t, log)
			if err := os.Truncate(log, from+(to-from)*int64(i)/cuts+1); err != nil {
				t.Fatal(err)
			}
			if _, err := Managed(t.Context(), dir, ManagedOptions{}); err == nil || !strings.Contains(err.Error(), "torn") {
				t.Fatalf("a torn log gives %v, want a refusal that says so", err)
			}
			for round := range 3 {
				srv, c = start(t, dir, ManagedOptions{Always: true, Repair: true})
				s = open(t, c)
				if r, err := s.Check(t.Context()); err != nil || r.Err() != nil || r.Homes != 2 {
					t.Fatalf("round %d: %d homes, %v, %v", round, r.Homes, r.Err(), err)
				}
				for j, h := range homes {
					if got, err := s.Load(t.Context(), h.Ref); err != nil || got.Version != h.Version || got.LastTurn != h.LastTurn {
						t.Fatalf("round %d, device %d: acknowledged %d, stored %+v, %v", round, j, h.Version, got, err)
					}
				}
				homes[round%2] = mustStep(t, s, homes[round%2])
				if n := times(t, log, told("MULTI")); n != times(t, log, told("EXEC")) {
					t.Errorf("round %d: the log has %d turns that begin, and another number of ends", round, n)
				}
				if err := srv.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// times is how often something stands in a log.
func times(t *testing.T, log, what string) int {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte(what))
}

// A server without a log yet, and one whose log is gone, are Redis's to judge.
func TestCutTornOfNothing(t *testing.T) {
	dir := t.TempDir()
	if n, name, err := cutTorn(dir); n != 0 || name != "" || err != nil {
		t.Errorf("%d of %q, %v", n, name, err)
	}
	logs := filepath.Join(dir, "appendonlydir")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, "appendonly.aof.manifest"), []byte("file x.aof seq 1 type i\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, _, err := cutTorn(dir); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := os.WriteFile(filepath.Join(logs, "x.aof"), []byte(told("SET", "k", "v")+told("MULTI")+"*"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, name, err := cutTorn(dir); n != int64(len(told("MULTI"))+1) || name != "x.aof" || err != nil {
		t.Errorf("%d of %q, %v", n, name, err)
	}
}
