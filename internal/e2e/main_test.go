package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the program under test, which TestMain builds.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "windlass-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "windlass")
	args := []string{"build", "-o", binary}
	if asked("race") {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/windlass-ota/windlass/cmd/windlass")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build windlass:", err)
		return 1
	}
	return m.Run()
}

// asked says whether a word stands in WINDLASS_E2E.
func asked(word string) bool {
	return slices.Contains(strings.Split(os.Getenv("WINDLASS_E2E"), ","), word)
}

// sized returns the full size, or in a short run the short one.
func sized[T any](full, short T) T {
	if !asked("full") && (asked("short") || underRace) {
		return short
	}
	return full
}

// whole returns the size that is promised where that is asked for: it takes too
// long for every day. Else it is like sized.
func whole[T any](promised, full, short T) T {
	if asked("full") {
		return promised
	}
	return sized(full, short)
}

// one lets big tests run one after the other.
var one sync.Mutex

// alone makes a test of the size that is promised wait for the others like it: a
// process may only have so many connections.
func alone(t *testing.T) {
	t.Helper()
	if asked("full") {
		one.Lock()
		t.Cleanup(one.Unlock)
	}
}

// randomFor returns randomness whose seed is shown, and can be given by
// WINDLASS_E2E_SEED.
func randomFor(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("WINDLASS_E2E_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("WINDLASS_E2E_SEED: %v", err)
		}
	}
	t.Logf("seed %d (WINDLASS_E2E_SEED=%d repeats it)", seed, seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// randomFile writes n random bytes to a new file.
func randomFile(t *testing.T, r *rand.Rand, n int64) (path string, data []byte) {
	t.Helper()
	data = make([]byte, n)
	for i := range data {
		if i%8 == 0 {
			v := r.Uint64()
			for j := range min(8, len(data)-i) {
				data[i+j] = byte(v >> (8 * j))
			}
		}
	}
	path = filepath.Join(t.TempDir(), "image.bin")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

// testdata is the absolute path of something in the tree's testdata.
func testdata(t *testing.T, parts ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", "..", "testdata"}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// wait asks again until done says yes, and fails after a while with what it
// said last. It is the one place where these tests let time pass.
func wait(t *testing.T, patience time.Duration, what string, done func() (bool, string)) {
	t.Helper()
	ticks := time.NewTicker(25 * time.Millisecond)
	defer ticks.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		ok, said := done()
		if ok {
			return
		}
		select {
		case <-ticks.C:
		case <-late.C:
			t.Fatalf("%s: not within %v; last seen: %s", what, patience, said)
		case <-t.Context().Done():
			t.Fatalf("%s: the test ended first; last seen: %s", what, said)
		}
	}
}
