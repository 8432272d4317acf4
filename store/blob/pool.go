package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

const (
	maxOpen    = 512         // files kept open; those in use are never closed for it
	maxChecked = 1 << 16     // files remembered as good
	lookEvery  = time.Second // how often an open file is compared with the folder
)

// file is an open file that all who read it share. Being handed out again
// costs no allocation: the file itself is the handle, and a count says how many
// hold it.
type file struct {
	folder *Folder
	digest string
	f      *os.File
	size   int64
	ready  chan struct{} // closed when the file may be served, or err says why not
	err    error         // read after ready
	bad    atomic.Bool   // found after it was served: a large file, checked meanwhile

	// Guarded by the folder's lock.
	info   os.FileInfo // as it was when it was opened; nil until then
	refs   int
	gone   bool // no longer among the folder's files: the last Close closes it
	looked time.Time
}

var _ ota.LocalBlob = (*file)(nil)

// Open implements [ota.Blobs]. The digest is checked before the first byte is
// served, once in a process for each file as it lies there; above the size that
// [Options] says it is checked while it is being served.
func (s *Folder) Open(ctx context.Context, digest string) (ota.Blob, error) {
	const op = "open blob"
	if !valid(digest) {
		return nil, notFound(op, digest)
	}
	e, mine, err := s.take(digest)
	if err != nil {
		return nil, err
	}
	if mine {
		s.load(e)
	}
	select {
	case <-e.ready:
	default:
		select {
		case <-e.ready:
		case <-ctx.Done():
			s.release(e)
			return nil, &ota.Error{Code: ota.Busy, Op: op, Err: context.Cause(ctx)}
		}
	}
	if e.err == nil && !e.bad.Load() {
		return e, nil
	}
	err = e.err
	s.release(e)
	switch {
	case err == nil, errors.Is(err, errDigest):
		return nil, ota.Errorf(ota.Internal, op, "file %.12s…: %w", digest, errDigest)
	case errors.Is(err, fs.ErrNotExist):
		return nil, notFound(op, digest)
	case errors.Is(err, errStopped):
		return nil, &ota.Error{Code: ota.Busy, Op: op, Err: err}
	}
	return nil, classify(op, err)
}

// take finds the file among the open ones, or makes an entry that the caller
// has to load.
func (s *Folder) take(digest string) (e *file, mine bool, err error) {
	now := time.Now() // how long ago is a matter of this process alone
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, &ota.Error{Code: ota.Busy, Op: "open blob", Err: errStopped}
	}
	e = s.files[digest]
	if e != nil && e.info != nil && now.Sub(e.looked) >= lookEvery {
		e.looked = now
		if info, err := s.stat(digest); err != nil || !same(info, e.info) {
			s.drop(e)
			e = nil
		}
	}
	if e != nil {
		e.refs++
		return e, false, nil
	}
	s.trim()
	e = &file{folder: s, digest: digest, ready: make(chan struct{}), refs: 1, looked: now}
	s.files[digest] = e
	return e, true, nil
}

// load opens the file and checks it, for all who wait for it.
func (s *Folder) load(e *file) {
	defer close(e.ready)
	var info os.FileInfo
	e.f, info, e.err = s.openFile(e.digest)
	if e.err != nil {
		s.mu.Lock()
		s.drop(e)
		s.mu.Unlock()
		return
	}
	e.size = info.Size()
	s.mu.Lock()
	good := s.checked[e.digest]
	late := e.size > s.o.Background && !s.closed
	s.mu.Unlock()
	switch {
	case same(info, good):
	case late:
		s.checkLater(e, info)
	default:
		e.err = s.verify(e, info)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.info = info
	if e.err != nil && !errors.Is(e.err, errDigest) { // a reason that may pass
		s.drop(e)
	}
}

func (s *Folder) checkLater(e *file, info os.FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	e.refs++
	s.checks.Add(1)
	go func() {
		defer s.checks.Done()
		defer s.release(e)
		switch err := s.verify(e, info); {
		case errors.Is(err, errDigest):
			e.bad.Store(true)
		case err != nil: // not known: the next Open begins again
			s.mu.Lock()
			s.drop(e)
			s.mu.Unlock()
		}
	}()
}

// verify reads the whole file and remembers that it was good.
func (s *Folder) verify(e *file, info os.FileInfo) error {
	err := check(io.NewSectionReader(e.f, 0, e.size), e.digest, s.stop)
	if errors.Is(err, errDigest) {
		s.o.Log.Error("a stored file is damaged and will not be served", "digest", e.digest, "size", e.size)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.checked) >= maxChecked {
		clear(s.checked)
	}
	s.checked[e.digest] = info
	return nil
}

func (s *Folder) openFile(digest string) (*os.File, os.FileInfo, error) {
	f, err := os.Open(s.place(digest))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(s.trash(digest))
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", f.Name())
	}
	if err != nil {
		f.Close() //nolint:errcheck // it was only read
		return nil, nil, err
	}
	return f, info, nil
}

func (s *Folder) stat(digest string) (os.FileInfo, error) {
	info, err := os.Stat(s.place(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return os.Stat(s.trash(digest))
	}
	return info, err
}

// same says whether a file is still the one that was looked at before.
func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// lookAgain makes the next Open compare the open file with the folder.
func (s *Folder) lookAgain(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.files[digest]; e != nil {
		e.looked = time.Time{}
	}
}

// trim closes files that nobody reads, those not asked for the longest first.
func (s *Folder) trim() {
	for len(s.files) >= maxOpen {
		var old *file
		for _, e := range s.files {
			if e.refs == 0 && (old == nil || e.looked.Before(old.looked)) {
				old = e
			}
		}
		if old == nil {
			return
		}
		s.drop(old)
	}
}

// drop takes a file out of the pool and closes it when nobody reads it.
func (s *Folder) drop(e *file) {
	if e.gone {
		return
	}
	e.gone = true
	if s.files[e.digest] == e {
		delete(s.files, e.digest)
	}
	if e.refs == 0 && e.f != nil {
		e.f.Close() //nolint:errcheck // it was only read
	}
}

func (s *Folder) release(e *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.refs--; e.refs == 0 && e.gone && e.f != nil {
		e.f.Close() //nolint:errcheck // it was only read
	}
}

// ReadAt implements [ota.Blob].
func (e *file) ReadAt(p []byte, off int64) (int, error) {
	if e.bad.Load() {
		return 0, ota.Errorf(ota.Internal, "read blob", "file %.12s…: %w", e.digest, errDigest)
	}
	return e.f.ReadAt(p, off)
}

// Size implements [ota.Blob].
func (e *file) Size() int64 { return e.size }

// File implements [ota.LocalBlob].
func (e *file) File() *os.File { return e.f }

// Close implements [ota.Blob].
func (e *file) Close() error {
	e.folder.release(e)
	return nil
}
