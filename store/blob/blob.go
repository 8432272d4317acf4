// Package blob keeps the bytes of packages by what they hold: the name of a
// file is the SHA-256 of its content. A local folder is served straight from
// open files, so that a transport can let the kernel copy them to a socket;
// every other place is reached through gocloud.dev/blob.
//
// It knows digests and bytes. What a package is, who may fetch it and whether
// another package still needs the same bytes is not known here.
package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"syscall"
	"time"

	"gocloud.dev/blob"

	"github.com/windlass-ota/windlass/ota"
)

// Store is an [ota.Blobs] that holds files or connections until it is closed.
// Close waits for checks that run in the background; blobs still open may be
// read and closed after it. Closing twice is once.
type Store interface {
	ota.Blobs
	io.Closer
}

// Options are what a store needs besides its address. The zero value is good.
type Options struct {
	// Log is told of files whose bytes are wrong. Nil: nobody is.
	Log *slog.Logger
	// Keep is how long deleted bytes stay for those who are still fetching
	// them. 0: a day.
	Keep time.Duration
	// Background is the size in bytes above which a file is served while its
	// digest is still being checked. 0: 256 MiB.
	Background int64
	// Spool is the folder where uploads to a remote place are gathered, as
	// their name is only known at their end. "": the system's.
	Spool string
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

const (
	defaultKeep       = 24 * time.Hour
	defaultBackground = 256 << 20
)

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	if o.Background <= 0 {
		o.Background = defaultBackground
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Open opens the store at address: a folder's path or file:// URL, mem:// for
// one that is gone with the process, or the URL of a bucket (s3://, gs://,
// azblob://) where the binary was built with its driver. A folder is made where
// there is none.
func Open(ctx context.Context, address string, o Options) (Store, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return OpenFolder(address, o)
	}
	if u.Scheme == "file" {
		if u.Host != "" && u.Host != "localhost" {
			return nil, ota.Errorf(ota.Invalid, "open blobs", "%q names host %q; a folder's URL is file:///path", address, u.Host)
		}
		return OpenFolder(u.Path, o)
	}
	if tag, known := drivers[u.Scheme]; !known {
		return nil, ota.Errorf(ota.Invalid, "open blobs", "%q: no store is known by %q, want a folder, file, mem, s3, gs or azblob", address, u.Scheme)
	} else if !compiled(u.Scheme) {
		return nil, ota.Errorf(ota.Invalid, "open blobs", "%q: this binary was built without that driver; build it with -tags %s", address, tag)
	}
	b, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	return NewBucket(b, o), nil
}

// drivers are the schemes and the build tags that compile them in.
var drivers = map[string]string{"mem": "", "s3": "s3", "gs": "gcs", "azblob": "azure"}

func compiled(scheme string) bool {
	switch scheme {
	case "s3":
		return hasS3
	case "gs":
		return hasGCS
	case "azblob":
		return hasAzure
	}
	return true
}

// valid says whether digest is one that a Put returned. Everything else names
// no file, whatever path it would spell.
func valid(digest string) bool {
	if len(digest) != 2*sha256.Size {
		return false
	}
	for i := range len(digest) {
		if c := digest[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func notFound(op, digest string) error {
	return ota.Errorf(ota.NotFound, op, "there is no file %.80q", digest)
}

// errDigest is what a file gives whose bytes are not those of its name.
var errDigest = errors.New("its bytes do not match its digest")

// classify gives a failure of the place itself the code that its caller can act
// on: a full disk is not the uploader's fault, and passes.
func classify(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &ota.Error{Code: ota.Busy, Op: op, Err: fmt.Errorf("the disk is full: %w", err)}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return &ota.Error{Code: ota.Busy, Op: op, Err: fmt.Errorf("too many files are open: %w", err)}
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO):
		return &ota.Error{Code: ota.Busy, Op: op, Err: err}
	}
	return fmt.Errorf("%s: %w", op, err)
}
