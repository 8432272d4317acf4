package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A file goes in and out without ever being held: what the server keeps in
// memory stays near what it keeps when nothing happens.
func TestBigPackage(t *testing.T) {
	t.Parallel()
	const allowed = 64 << 20
	size := sized[int64](1<<30, 256<<20)
	s := run(t, "", "--set", "offers.pace=unlimited")
	s.do(t, "profile", "create", "pump")
	s.do(t, "device", "create", "big", "--profile", "pump", "--access-token", "big")
	idle, _ := s.memory(t)
	flat := func(when string, began time.Time) {
		t.Helper()
		now, peak := s.memory(t)
		t.Logf("%s: %v; idle %d MB, now %d MB, at most %d MB", when, time.Since(began).Round(10*time.Millisecond), idle>>20, now>>20, peak>>20)
		if now-idle > allowed || peak-idle > allowed {
			t.Errorf("%s: memory is %d MB and was %d MB at most, more than 64 MB over the %d MB when idle", when, now>>20, peak>>20, idle>>20)
		}
	}

	first, firstSum := bigFile(t, size, "by the verb")
	began := time.Now()
	s.upload(t, first, "big", "1", "pump", "--checksum", firstSum)
	flat("upload by windlass", began)

	second, secondSum := bigFile(t, size, "by curl")
	began = time.Now()
	r := command(t, nil, nil, "", "curl", "--silent", "--show-error", "--fail-with-body", "-H", "Authorization: Bearer "+s.token(t),
		"-F", "title=big", "-F", "version=2", "-F", "profile=pump", "-F", "checksum="+secondSum, "-F", "file=@"+second,
		"http://"+s.http+"/api/packages")
	if r.code != 0 {
		t.Fatalf("upload by curl: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	flat("upload by curl", began)

	for v, want := range map[string]string{"1": firstSum, "2": secondSum} {
		s.do(t, "assign", "big@"+v, "--device", "big")
		wait(t, 10*time.Second, "the offer of big@"+v, func() (bool, string) {
			told := s.attributes(t, "big")
			return told == version{"big", v}, fmt.Sprint(told)
		})
		began = time.Now()
		if n, got := s.fetchWhole(t, "big", v); n != size || got != want {
			t.Errorf("download of big@%s: %d bytes of SHA-256 %s, want %d of %s", v, n, got, size, want)
		}
		flat("download", began)
	}
}

// bigFile is a sparse file of some size, told from others by its words, and its
// SHA-256.
func bigFile(t *testing.T, size int64, words string) (path, sum string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "big.bin")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{0, size / 2, size - 100} {
		if _, err := f.WriteAt([]byte(words), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if n, err := io.Copy(h, f); err != nil || n != size {
		t.Fatal(n, err)
	}
	return path, hex.EncodeToString(h.Sum(nil))
}

// fetchWhole downloads a device's firmware by one GET of curl.
func (s *server) fetchWhole(t *testing.T, token, v string) (int64, string) {
	t.Helper()
	h := &counted{Writer: sha256.New()}
	curl := exec.CommandContext(t.Context(), "curl", "--silent", "--show-error", "--fail",
		fmt.Sprintf("http://%s/api/v1/%s/firmware?title=big&version=%s", s.http, token, v))
	curl.Stdout, curl.Stderr = h, os.Stderr
	if err := curl.Run(); err != nil {
		t.Fatalf("download: %v", err)
	}
	return h.n, hex.EncodeToString(h.Writer.(interface{ Sum([]byte) []byte }).Sum(nil))
}

type counted struct {
	io.Writer
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return c.Writer.Write(b)
}
