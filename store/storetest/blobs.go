package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/windlass-ota/windlass/ota"
)

// Blobs holds a store of files to the meaning of [ota.Blobs]. open makes a new
// and empty one, which ends with the test.
func Blobs(t *testing.T, open func(t *testing.T) ota.Blobs) {
	t.Run("what is put is found", func(t *testing.T) { blobsRoundTrip(t, open(t)) })
	t.Run("a range is what it was", func(t *testing.T) { blobsRanges(t, open(t)) })
	t.Run("every checksum", func(t *testing.T) { blobsChecksums(t, open(t)) })
	t.Run("limits and torn uploads leave nothing", func(t *testing.T) { blobsRefused(t, open(t)) })
	t.Run("names that are no digests", func(t *testing.T) { blobsNames(t, open(t)) })
	t.Run("delete lets readers go on", func(t *testing.T) { blobsDelete(t, open(t)) })
	t.Run("many at once", func(t *testing.T) { blobsParallel(t, open(t)) })
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b) //nolint:errcheck // never fails
	return b
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func put(t *testing.T, s ota.Blobs, b []byte) ota.BlobInfo {
	t.Helper()
	info, err := s.Put(t.Context(), bytes.NewReader(b), ota.SHA256, 0)
	if err != nil {
		t.Fatalf("put %d bytes: %v", len(b), err)
	}
	return info
}

func readBlob(t *testing.T, s ota.Blobs, digest string) []byte {
	t.Helper()
	f, err := s.Open(t.Context(), digest)
	if err != nil {
		t.Fatalf("open %.12s: %v", digest, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatalf("read %.12s: %v", digest, err)
	}
	return b
}

func wantCode(t *testing.T, err error, want ota.Code) {
	t.Helper()
	if got := ota.CodeOf(err); got != want {
		t.Errorf("the error is %v, of code %q, want %q", err, got, want)
	}
}

func blobsRoundTrip(t *testing.T, s ota.Blobs) {
	for _, n := range []int{0, 1, 1000, 256 << 10, 1<<20 + 7} {
		b := random(uint64(n), n)
		info := put(t, s, b)
		if want := (ota.BlobInfo{Digest: digestOf(b), Size: int64(n), Checksum: digestOf(b)}); info != want {
			t.Errorf("put %d bytes says %+v, want %+v", n, info, want)
		}
		if again := put(t, s, b); again != info {
			t.Errorf("put twice says %+v, then %+v", info, again)
		}
		if !bytes.Equal(readBlob(t, s, info.Digest), b) {
			t.Errorf("%d bytes came back changed", n)
		}
	}
	_, err := s.Open(t.Context(), digestOf([]byte("nobody put this")))
	wantCode(t, err, ota.NotFound)
}

func blobsRanges(t *testing.T, s ota.Blobs) {
	b := random(3, 100_000)
	f, err := s.Open(t.Context(), put(t, s, b).Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tests := []struct {
		off, len, want int
		err            error
	}{{0, 10, 10, nil}, {99_990, 10, 10, nil}, {99_990, 20, 10, io.EOF}, {100_000, 5, 0, io.EOF}, {200_000, 5, 0, io.EOF}, {17, 65_536, 65_536, nil}}
	for _, c := range tests {
		p := make([]byte, c.len)
		n, err := f.ReadAt(p, int64(c.off))
		// A full read that ends with the file may say so or not.
		if n != c.want || !errors.Is(err, c.err) && (!errors.Is(err, io.EOF) || n != c.len) {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v, want %d, %v", c.len, c.off, n, err, c.want, c.err)
		}
		if n > 0 && !bytes.Equal(p[:n], b[c.off:c.off+n]) {
			t.Errorf("ReadAt(%d bytes, %d) gave other bytes", c.len, c.off)
		}
	}
}

func blobsChecksums(t *testing.T, s ota.Blobs) {
	b := random(4, 300_000)
	for _, a := range ota.ChecksumAlgorithms() {
		// One byte at a time makes every boundary a boundary.
		info, err := s.Put(t.Context(), iotest.HalfReader(bytes.NewReader(b)), a, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if info.Checksum != a.Sum(b) || info.Digest != digestOf(b) {
			t.Errorf("%s: got %+v, want %s", a, info, a.Sum(b))
		}
	}
	_, err := s.Put(t.Context(), bytes.NewReader(b), "ROT13", 0)
	wantCode(t, err, ota.Invalid)
}

func blobsRefused(t *testing.T, s ota.Blobs) {
	b := random(5, 600_000)
	torn := errors.New("connection reset")
	_, err := s.Put(t.Context(), io.MultiReader(bytes.NewReader(b), iotest.ErrReader(torn)), ota.MD5, 0)
	if !errors.Is(err, torn) {
		t.Errorf("a torn upload gives %v, want %v", err, torn)
	}
	_, err = s.Put(t.Context(), io.MultiReader(bytes.NewReader(b), iotest.ErrReader(io.ErrUnexpectedEOF)), ota.MD5, 0)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short upload gives %v", err)
	}
	_, err = s.Put(t.Context(), bytes.NewReader(b), ota.SHA256, int64(len(b))-1)
	wantCode(t, err, ota.Invalid)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.Put(ctx, io.MultiReader(bytes.NewReader(b), callReader(cancel), bytes.NewReader(b)), ota.SHA256, 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled upload gives %v", err)
	}
	_, err = s.Open(t.Context(), digestOf(b))
	wantCode(t, err, ota.NotFound)
	put(t, s, b)
	if !bytes.Equal(readBlob(t, s, digestOf(b)), b) {
		t.Error("after failures the same bytes cannot be put")
	}
}

// callReader calls a function where it is read, and is empty.
type callReader func()

func (c callReader) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

func blobsNames(t *testing.T, s ota.Blobs) {
	d := put(t, s, []byte("bytes")).Digest
	for _, name := range []string{"", ".", "..", "../../etc/passwd", strings.ToUpper(d), d[:63], d + "0", d[:2] + "/" + d[3:], strings.Repeat("é", 32), "tmp", "trash/" + d} {
		_, err := s.Open(t.Context(), name)
		wantCode(t, err, ota.NotFound)
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	readBlob(t, s, d)
}

func blobsDelete(t *testing.T, s ota.Blobs) {
	b := random(6, 50_000)
	d := put(t, s, b).Digest
	f, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if err := s.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size())); err != nil || !bytes.Equal(got, b) {
		t.Errorf("a reader is disturbed by the delete: %v", err)
	}
	if !bytes.Equal(readBlob(t, s, d), b) {
		t.Error("within a day of the delete the bytes are gone for a device that asks for the next chunk")
	}
	put(t, s, b)
	if !bytes.Equal(readBlob(t, s, d), b) {
		t.Error("what was deleted cannot be put again")
	}
}

func blobsParallel(t *testing.T, s ota.Blobs) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			b := random(uint64(100+i%4), 200_000) // the same file by two at once
			info, err := s.Put(t.Context(), bytes.NewReader(b), ota.CRC32, 0)
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				if err := readAndCompare(t.Context(), s, info.Digest, b); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func readAndCompare(ctx context.Context, s ota.Blobs, digest string, want []byte) error {
	f, err := s.Open(ctx, digest)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("file %.12s came back changed", digest)
	}
	return nil
}
