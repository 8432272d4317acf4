package blob

import (
	"context"
	"crypto/md5" //nolint:gosec // object stores check uploads by it
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/windlass-ota/windlass/ota"
)

// Bucket is a [Store] in any place that gocloud.dev/blob reaches. Objects are
// named like the files of a [Folder]; what is deleted gets a marker below trash/
// and goes a day later.
type Bucket struct {
	b *blob.Bucket
	o Options

	mu     sync.Mutex
	known  map[string]*object
	closed bool

	stop   chan struct{}
	checks sync.WaitGroup
}

var _ Store = (*Bucket)(nil)

// NewBucket makes a store of b, which is closed with it.
func NewBucket(b *blob.Bucket, o Options) *Bucket {
	return &Bucket{b: b, o: o.withDefaults(), known: map[string]*object{}, stop: make(chan struct{})}
}

// object is what a process knows of one object: whether it may be served.
type object struct {
	ready chan struct{}
	size  int64
	err   error
	bad   atomic.Bool
}

func key(digest string) string { return digest[:2] + "/" + digest[2:] }

const trashPrefix = trashDir + "/"

// Put implements [ota.Blobs]. What comes in is gathered in a local file first:
// an object's name is only known at its end, and an upload that breaks off must
// leave nothing in the bucket.
func (s *Bucket) Put(ctx context.Context, r io.Reader, a ota.ChecksumAlgorithm, limit int64) (ota.BlobInfo, error) {
	const op = "put blob"
	f, err := os.CreateTemp(s.o.Spool, "windlass-put-*")
	if err != nil {
		return ota.BlobInfo{}, classify(op, err)
	}
	defer func() {
		f.Close()           //nolint:errcheck // it is about to go
		os.Remove(f.Name()) //nolint:errcheck // the system's temporary folder
	}()
	sum := md5.New() //nolint:gosec // see the import
	info, err := stream(ctx, io.MultiWriter(f, sum), r, a, limit)
	if err != nil {
		return ota.BlobInfo{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return ota.BlobInfo{}, classify(op, err)
	}
	if err := s.b.Delete(ctx, trashPrefix+info.Digest); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return ota.BlobInfo{}, away(op, err)
	}
	if s.has(ctx, info) {
		return info, nil
	}
	err = s.b.Upload(ctx, key(info.Digest), f, &blob.WriterOptions{ContentType: "application/octet-stream", ContentMD5: sum.Sum(nil)})
	if err != nil {
		return ota.BlobInfo{}, away(op, err)
	}
	s.forget(info.Digest)
	return info, nil
}

// has says whether the object is there already and not known to be damaged.
func (s *Bucket) has(ctx context.Context, info ota.BlobInfo) bool {
	s.mu.Lock()
	x := s.known[info.Digest]
	s.mu.Unlock()
	if x != nil && x.bad.Load() {
		return false
	}
	attrs, err := s.b.Attributes(ctx, key(info.Digest))
	return err == nil && attrs.Size == info.Size
}

// Open implements [ota.Blobs]: see [Folder.Open].
func (s *Bucket) Open(ctx context.Context, digest string) (ota.Blob, error) {
	const op = "open blob"
	if !valid(digest) {
		return nil, notFound(op, digest)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, &ota.Error{Code: ota.Busy, Op: op, Err: errStopped}
	}
	x, mine := s.known[digest], false
	if x == nil {
		if len(s.known) >= maxChecked {
			clear(s.known)
		}
		x, mine = &object{ready: make(chan struct{})}, true
		s.known[digest] = x
		s.checks.Add(1)
	}
	s.mu.Unlock()
	if mine {
		go s.load(context.WithoutCancel(ctx), x, digest)
	}
	select {
	case <-x.ready:
	case <-ctx.Done():
		return nil, &ota.Error{Code: ota.Busy, Op: op, Err: context.Cause(ctx)}
	}
	switch {
	case x.bad.Load(), errors.Is(x.err, errDigest):
		return nil, ota.Errorf(ota.Internal, op, "file %.12s…: %w", digest, errDigest)
	case gcerrors.Code(x.err) == gcerrors.NotFound:
		return nil, notFound(op, digest)
	case x.err != nil:
		return nil, away(op, x.err)
	}
	return &remote{bucket: s, object: x, digest: digest}, nil
}

// load asks for the object and reads it through once. It goes on when the first
// asker hangs up: others wait for it too.
func (s *Bucket) load(ctx context.Context, x *object, digest string) {
	defer s.checks.Done()
	served := false
	serve := func() {
		if !served {
			served = true
			close(x.ready)
		}
	}
	defer serve()
	attrs, err := s.b.Attributes(ctx, key(digest))
	if err != nil {
		x.err = err
		s.forget(digest)
		return
	}
	if x.size = attrs.Size; x.size > s.o.Background {
		serve()
	}
	r, err := s.b.NewReader(ctx, key(digest), nil)
	if err == nil {
		err = check(r, digest, s.stop)
		r.Close() //nolint:errcheck // it was only read
	}
	switch {
	case errors.Is(err, errDigest):
		x.bad.Store(true)
		s.o.Log.Error("a stored file is damaged and will not be served", "digest", digest, "size", x.size)
	case err != nil: // not known: the next Open begins again
		if !served {
			x.err = err
		}
		s.forget(digest)
	}
}

// Delete implements [ota.Blobs]: the object goes with the first [Bucket.Sweep]
// after a day.
func (s *Bucket) Delete(ctx context.Context, digest string) error {
	const op = "delete blob"
	if !valid(digest) {
		return nil
	}
	there, err := s.b.Exists(ctx, key(digest))
	if err != nil {
		return away(op, err)
	}
	if !there {
		return nil
	}
	at := s.o.Now().UTC().Format(time.RFC3339)
	if err := s.b.WriteAll(ctx, trashPrefix+digest, []byte(at), &blob.WriterOptions{ContentType: "text/plain"}); err != nil {
		return away(op, err)
	}
	return s.Sweep(ctx)
}

// Sweep removes objects that were deleted more than a day ago. Each Delete does
// it too.
func (s *Bucket) Sweep(ctx context.Context) error {
	const op = "sweep blobs"
	for it := s.b.List(&blob.ListOptions{Prefix: trashPrefix}); ; {
		o, err := it.Next(ctx)
		if err == io.EOF { //nolint:errorlint // the iterator's own end
			return nil
		}
		if err != nil {
			return away(op, err)
		}
		digest := strings.TrimPrefix(o.Key, trashPrefix)
		text, err := s.b.ReadAll(ctx, o.Key)
		if gcerrors.Code(err) == gcerrors.NotFound {
			continue
		}
		if err != nil {
			return away(op, err)
		}
		at, err := time.Parse(time.RFC3339, string(text))
		if err == nil && s.o.Now().Sub(at) < s.o.Keep || !valid(digest) {
			continue
		}
		for _, k := range []string{key(digest), o.Key} {
			if err := s.b.Delete(ctx, k); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
				return away(op, err)
			}
		}
		s.forget(digest)
	}
}

func (s *Bucket) forget(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, digest)
}

// Close implements [Store].
func (s *Bucket) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	s.mu.Unlock()
	s.checks.Wait()
	if err := s.b.Close(); err != nil {
		return fmt.Errorf("close blobs: %w", err)
	}
	return nil
}

// away is a failure of the place or the way to it: it may pass.
func away(op string, err error) error {
	var e *ota.Error
	if errors.As(err, &e) {
		return err
	}
	switch gcerrors.Code(err) {
	case gcerrors.PermissionDenied, gcerrors.InvalidArgument, gcerrors.Unimplemented:
		return fmt.Errorf("%s: %w", op, err)
	}
	return &ota.Error{Code: ota.Busy, Op: op, Err: err}
}

// remote is an object that is read piece by piece.
type remote struct {
	bucket *Bucket
	object *object
	digest string
}

// ReadAt implements [ota.Blob]; each call is one request.
func (x *remote) ReadAt(p []byte, off int64) (int, error) {
	const op = "read blob"
	if x.object.bad.Load() {
		return 0, ota.Errorf(ota.Internal, op, "file %.12s…: %w", x.digest, errDigest)
	}
	if off < 0 {
		return 0, ota.Errorf(ota.Invalid, op, "offset is %d", off)
	}
	if off >= x.object.size { // asked past its end, a bucket says nothing
		return 0, io.EOF
	}
	want := min(int64(len(p)), x.object.size-off)
	if want == 0 {
		return 0, nil
	}
	r, err := x.bucket.b.NewRangeReader(context.Background(), key(x.digest), off, want, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		x.bucket.forget(x.digest)
		return 0, notFound(op, x.digest)
	}
	if err != nil {
		return 0, away(op, err)
	}
	defer r.Close()
	n, err := io.ReadFull(r, p[:want])
	if err != nil {
		return n, away(op, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size implements [ota.Blob].
func (x *remote) Size() int64 { return x.object.size }

// Close implements [ota.Blob]; nothing is held.
func (x *remote) Close() error { return nil }
