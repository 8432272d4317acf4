package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Folder is a [Store] in a local folder, or one that several machines share.
// Files lie at ab/cdef… by their digest; tmp holds what is being written, trash
// what was deleted less than a day ago. Its blobs are [ota.LocalBlob]s.
type Folder struct {
	root string
	o    Options

	mu      sync.Mutex
	files   map[string]*file       // by digest; see pool.go
	checked map[string]os.FileInfo // files whose digest was right, as they were then
	closed  bool
	sweep   *time.Timer // nil while nothing waits in the trash for its end

	stop   chan struct{}
	checks sync.WaitGroup
	create func(dir string) (*os.File, error) // a test puts a full disk here
}

var _ Store = (*Folder)(nil)

const (
	tmpDir   = "tmp"
	trashDir = "trash"
)

// OpenFolder opens the folder at path, making it where there is none, and
// removes what a crash or a Delete has left there longer than it has to stay.
func OpenFolder(path string, o Options) (*Folder, error) {
	if path == "" {
		return nil, ota.Errorf(ota.Invalid, "open blobs", "no folder is named")
	}
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	s := &Folder{
		root: root, o: o.withDefaults(), files: map[string]*file{}, checked: map[string]os.FileInfo{}, stop: make(chan struct{}),
		create: func(dir string) (*os.File, error) { return os.CreateTemp(dir, "put-*") },
	}
	for _, d := range []string{tmpDir, trashDir} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o750); err != nil {
			return nil, classify("open blobs", err)
		}
	}
	if err := s.Sweep(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Folder) place(digest string) string {
	return filepath.Join(s.root, digest[:2], digest[2:])
}

func (s *Folder) trash(digest string) string { return filepath.Join(s.root, trashDir, digest) }

// Put implements [ota.Blobs]. The file takes its name only when all of it is on
// the disk, and takes the place of one of that name, so that uploading a
// damaged file again mends it.
func (s *Folder) Put(ctx context.Context, r io.Reader, a ota.ChecksumAlgorithm, limit int64) (ota.BlobInfo, error) {
	const op = "put blob"
	f, err := s.create(filepath.Join(s.root, tmpDir))
	if err != nil {
		return ota.BlobInfo{}, classify(op, err)
	}
	kept := false
	defer func() {
		f.Close() //nolint:errcheck // closed before where it matters
		if !kept {
			os.Remove(f.Name()) //nolint:errcheck // swept in a day
		}
	}()
	info, err := stream(ctx, f, r, a, limit)
	if err != nil {
		return ota.BlobInfo{}, err
	}
	if err := f.Sync(); err != nil {
		return ota.BlobInfo{}, classify(op, err)
	}
	if err := f.Close(); err != nil {
		return ota.BlobInfo{}, classify(op, err)
	}
	if err := s.publish(f.Name(), info.Digest); err != nil {
		return ota.BlobInfo{}, classify(op, err)
	}
	kept = true
	s.lookAgain(info.Digest)
	return info, nil
}

// publish gives a finished file its name, durably.
func (s *Folder) publish(tmp, digest string) error {
	place := s.place(digest)
	dir := filepath.Dir(place)
	switch err := os.Mkdir(dir, 0o750); {
	case err == nil:
		if err := syncDir(s.root); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := os.Rename(tmp, place); err != nil {
		return err
	}
	return syncDir(dir)
}

// Delete implements [ota.Blobs]. The bytes stay for a day, and Open goes on to
// find them: a device that fetches chunk by chunk opens the file each time.
func (s *Folder) Delete(_ context.Context, digest string) error {
	const op = "delete blob"
	if !valid(digest) {
		return nil
	}
	place, now := s.place(digest), s.o.Now()
	// The day is counted from the file's time, so that it is set before the
	// file comes to where a sweep looks.
	err := os.Chtimes(place, now, now)
	if err == nil {
		err = os.Rename(place, s.trash(digest))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return classify(op, err)
	}
	s.lookAgain(digest)
	s.sweepLater()
	for _, d := range []string{filepath.Join(s.root, trashDir), filepath.Dir(place)} {
		if err := syncDir(d); err != nil {
			return classify(op, err)
		}
	}
	return nil
}

// Sweep removes deleted files whose day is over, and what writers that died
// have left. It runs by itself when the folder is opened and a day after each
// Delete.
func (s *Folder) Sweep() error {
	const op = "sweep blobs"
	now, waits := s.o.Now(), false
	for _, d := range []string{tmpDir, trashDir} {
		entries, err := os.ReadDir(filepath.Join(s.root, d))
		if err != nil {
			return classify(op, err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return classify(op, err)
			}
			if now.Sub(info.ModTime()) < s.o.Keep {
				waits = waits || d == trashDir
				continue
			}
			if err := os.Remove(filepath.Join(s.root, d, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return classify(op, err)
			}
		}
	}
	if waits {
		s.sweepLater()
	}
	return nil
}

func (s *Folder) sweepLater() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.sweep != nil {
		return
	}
	s.checks.Add(1)
	s.sweep = time.AfterFunc(s.o.Keep+time.Minute, func() {
		defer s.checks.Done()
		s.mu.Lock()
		s.sweep = nil
		s.mu.Unlock()
		if err := s.Sweep(); err != nil {
			s.o.Log.Warn("deleted files stay", "error", err)
		}
	})
}

// Close implements [Store].
func (s *Folder) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	if s.sweep != nil && s.sweep.Stop() {
		s.checks.Done()
	}
	s.mu.Unlock()
	s.checks.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.files {
		s.drop(e)
	}
	return nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
