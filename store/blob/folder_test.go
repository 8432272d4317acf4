package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func folder(t testing.TB, o Options) *Folder {
	t.Helper()
	s, err := OpenFolder(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func bytesOf(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func putBytes(t testing.TB, s ota.Blobs, b []byte) string {
	t.Helper()
	info, err := s.Put(context.Background(), bytes.NewReader(b), ota.SHA256, 0)
	if err != nil {
		t.Fatal(err)
	}
	return info.Digest
}

// files lists all files below the folder.
func files(t testing.TB, s *Folder) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, strings.TrimPrefix(path, s.root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A stored file that was cut short or has one other bit is found before its
// first byte is served, wherever the damage is, and is served again once the
// right bytes were uploaded.
func TestDamageIsFound(t *testing.T) {
	var log bytes.Buffer
	good := bytesOf(1, 100_003)
	for _, background := range []int64{0, 1} { // checked before, or while it is served
		for i := range 200 {
			t.Run(fmt.Sprint(background, " ", i), func(t *testing.T) {
				s := folder(t, Options{Background: background, Log: slog.New(slog.NewTextHandler(&log, nil))})
				log.Reset()
				digest := putBytes(t, s, good)
				path := s.place(digest)
				r := rand.New(rand.NewPCG(7, uint64(i)))
				if i%4 == 0 {
					if err := os.Truncate(path, int64(r.IntN(len(good)))); err != nil {
						t.Fatal(err)
					}
				} else {
					flipped := bytes.Clone(good)
					flipped[r.IntN(len(good))] ^= 1 << r.IntN(8)
					if err := os.WriteFile(path, flipped, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				f, err := s.Open(t.Context(), digest)
				if err == nil {
					if background == 0 {
						t.Fatal("a damaged file is served")
					}
					s.checks.Wait()
					if _, err := f.ReadAt(make([]byte, 10), 0); ota.CodeOf(err) != ota.Internal {
						t.Errorf("after the check the file is read on: %v", err)
					}
					f.Close()
					_, err = s.Open(t.Context(), digest)
				}
				if ota.CodeOf(err) != ota.Internal || !errors.Is(err, errDigest) || !strings.Contains(log.String(), digest) {
					t.Fatalf("damage gives %v, and the log says %q", err, log.String())
				}
				putBytes(t, s, good)
				f, err = s.Open(t.Context(), digest)
				if err != nil {
					t.Fatalf("uploaded again it gives %v", err)
				}
				f.Close()
			})
		}
	}
}

// What changes behind our back is noticed, even where the file is open.
func TestDamageToAnOpenFile(t *testing.T) {
	s := folder(t, Options{})
	good := bytesOf(2, 5000)
	digest := putBytes(t, s, good)
	f, err := s.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(s.place(digest), good[:4000], 0o600); err != nil {
		t.Fatal(err)
	}
	s.lookAgain(digest) // as a second does
	if _, err := s.Open(t.Context(), digest); !errors.Is(err, errDigest) {
		t.Errorf("the changed file gives %v", err)
	}
}

func TestAFileIsCheckedOnce(t *testing.T) {
	s := folder(t, Options{})
	digest := putBytes(t, s, bytesOf(3, 1<<20))
	for range 3 { // also after it was closed to make room
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				f, err := s.Open(t.Context(), digest)
				if err != nil {
					t.Error(err)
					return
				}
				f.Close()
			})
		}
		all.Wait()
		s.mu.Lock()
		if len(s.checked) != 1 || s.files[digest].refs != 0 {
			t.Errorf("%d files checked, %d hold the file", len(s.checked), s.files[digest].refs)
		}
		s.drop(s.files[digest])
		s.mu.Unlock()
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	s := folder(t, Options{})
	var held []ota.Blob
	for i := range maxOpen + 50 {
		digest := putBytes(t, s, []byte(fmt.Sprint(i)))
		f, err := s.Open(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			held = append(held, f)
		} else {
			f.Close()
		}
	}
	if n := len(s.files); n > maxOpen {
		t.Errorf("%d files are open, want %d at most", n, maxOpen)
	}
	for i, f := range held { // those in use were not closed
		p := make([]byte, 1)
		if _, err := f.ReadAt(p, 0); err != nil || p[0] != fmt.Sprint(2 * i)[0] {
			t.Fatalf("file %d: %q, %v", 2*i, p, err)
		}
		f.Close()
	}
}

func TestFailedPutLeavesNothing(t *testing.T) {
	s := folder(t, Options{})
	torn := io.MultiReader(bytes.NewReader(bytesOf(4, 1<<20)), iotestErr{errors.New("gone")})
	if _, err := s.Put(t.Context(), torn, ota.SHA256, 0); err == nil {
		t.Fatal("stored")
	}
	if _, err := s.Put(t.Context(), bytes.NewReader(bytesOf(4, 1<<20)), ota.SHA256, 1000); err == nil {
		t.Fatal("stored")
	}
	if left := files(t, s); len(left) > 0 {
		t.Errorf("failed uploads leave %v", left)
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func TestFullDevice(t *testing.T) {
	s := folder(t, Options{})
	s.create = func(dir string) (*os.File, error) {
		// A link of ours, as a failed upload removes its file.
		link := filepath.Join(dir, "put-full")
		if err := os.Symlink("/dev/full", link); err != nil {
			return nil, err
		}
		return os.OpenFile(link, os.O_RDWR, 0)
	}
	_, err := s.Put(t.Context(), bytes.NewReader(bytesOf(5, 1000)), ota.SHA256, 0)
	if ota.CodeOf(err) != ota.Busy || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a full disk gives %v", err)
	}
	if left := files(t, s); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}

// A disk that is full half-way through an upload: in a name space of its own,
// where a small file system can be mounted. Where the kernel does not grant
// that, TestFullDevice has to do.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("WINDLASS_TEST_FULL_DISK"); dir != "" {
		fullDisk(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.count=1")
	cmd.Env = append(os.Environ(), "WINDLASS_TEST_FULL_DISK="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || bytes.Contains(out, []byte("no mount")) {
		t.Logf("no file system can be mounted here: %v %s", err, out)
		return
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func fullDisk(t *testing.T, dir string) {
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal("no mount: ", err)
	}
	s, err := OpenFolder(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Put(t.Context(), bytes.NewReader(bytesOf(6, 4<<20)), ota.SHA256, 0)
	if ota.CodeOf(err) != ota.Busy || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a disk that fills up gives %v", err)
	}
	if left := files(t, s); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
	b := bytesOf(6, 1<<20)
	f, err := s.Open(t.Context(), putBytes(t, s, b))
	if err != nil {
		t.Fatalf("the next upload, which fits: %v", err)
	}
	f.Close()
}

func TestDeletedBytesStayADay(t *testing.T) {
	now := time.Now()
	s := folder(t, Options{Now: func() time.Time { return now }})
	digest, other := putBytes(t, s, []byte("deleted")), putBytes(t, s, []byte("kept"))
	dead := filepath.Join(s.root, tmpDir, "put-of-a-process-that-died")
	if err := os.WriteFile(dead, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	open := func(digest string) error {
		f, err := s.Open(t.Context(), digest)
		if err == nil {
			f.Close()
		}
		s.lookAgain(digest)
		return err
	}
	sweep := func(later time.Duration) {
		now = now.Add(later)
		if err := s.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	sweep(23 * time.Hour)
	if err := open(digest); err != nil {
		t.Errorf("within the day: %v", err)
	}
	sweep(2 * time.Hour)
	if err := open(digest); ota.CodeOf(err) != ota.NotFound {
		t.Errorf("after the day: %v", err)
	}
	if err := open(other); err != nil {
		t.Errorf("one that was not deleted: %v", err)
	}
	if left := files(t, s); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
	// Put again within the day, it stays for good.
	putBytes(t, s, []byte("deleted"))
	if err := s.Delete(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	putBytes(t, s, []byte("deleted"))
	sweep(48 * time.Hour)
	if err := open(digest); err != nil {
		t.Errorf("uploaded again after the delete: %v", err)
	}
}

func TestClosedStore(t *testing.T) {
	s := folder(t, Options{})
	digest := putBytes(t, s, []byte("bytes"))
	f, err := s.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 5), 0); err != nil {
		t.Errorf("who reads is cut off: %v", err)
	}
	f.Close()
	if _, err := s.Open(t.Context(), digest); ota.CodeOf(err) != ota.Busy {
		t.Errorf("a closed store gives %v", err)
	}
}

// zeros is a large upload that needs no memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestPutKeepsMemoryFlat(t *testing.T) {
	s := folder(t, Options{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	info, err := s.Put(t.Context(), io.LimitReader(zeros{}, 256<<20), ota.CRC32, 0)
	if err != nil || info.Size != 256<<20 {
		t.Fatal(info, err)
	}
	f, err := s.Open(t.Context(), info.Digest)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("256 MiB allocate %d KiB", grown>>10)
	}
}

func TestOpenAllocatesNothing(t *testing.T) {
	s := folder(t, Options{})
	digest := putBytes(t, s, bytesOf(8, 100_000))
	buf := make([]byte, 1000)
	n := testing.AllocsPerRun(1000, func() {
		f, err := s.Open(context.Background(), digest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(buf, 5000); err != nil {
			t.Fatal(err)
		}
		f.Close()
	})
	if n > 0.1 { // once a second the file is looked at again
		t.Errorf("a chunk allocates %v times", n)
	}
}

func BenchmarkOpen(b *testing.B) {
	s := folder(b, Options{})
	digest := putBytes(b, s, bytesOf(9, 1<<20))
	b.Run("open and close", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f, err := s.Open(context.Background(), digest)
			if err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
	b.Run("16 KiB", func(b *testing.B) {
		buf := make([]byte, 16<<10)
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			f, err := s.Open(context.Background(), digest)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.ReadAt(buf, 64<<10); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
}

func BenchmarkPut(b *testing.B) {
	s := folder(b, Options{})
	for _, a := range []ota.ChecksumAlgorithm{ota.SHA256, ota.MD5} {
		b.Run(string(a), func(b *testing.B) {
			b.SetBytes(64 << 20)
			for b.Loop() {
				if _, err := s.Put(context.Background(), io.LimitReader(zeros{}, 64<<20), a, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
