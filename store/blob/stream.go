package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// buffers hold the pieces that move through a Put or a check: the only memory
// that either needs, whatever the size of the file.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// stream copies r to w up to its end, hashing in passing. One byte more than
// limit is Invalid. A failure of r is returned as it is, one of w is classified:
// the first is the uploader's, the second the house's.
func stream(ctx context.Context, w io.Writer, r io.Reader, a ota.ChecksumAlgorithm, limit int64) (ota.BlobInfo, error) {
	const op = "put blob"
	var info ota.BlobInfo
	digest, sum := sha256.New(), hash.Hash(nil)
	if a != ota.SHA256 && a != "" {
		if sum = a.New(); sum == nil {
			return info, ota.Errorf(ota.Invalid, op, "checksum algorithm %q is not known", a)
		}
	}
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return info, fmt.Errorf("%s: %w", op, err)
		}
		n, rerr := r.Read(buf[:])
		if n > 0 {
			if info.Size += int64(n); limit > 0 && info.Size > limit {
				return info, ota.Errorf(ota.Invalid, op, "the file is larger than %d bytes", limit)
			}
			digest.Write(buf[:n])
			if sum != nil {
				sum.Write(buf[:n])
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return info, classify(op, err)
			}
		}
		if rerr == io.EOF { // a wrapped one is a torn upload, not its end
			break
		}
		if rerr != nil {
			return info, fmt.Errorf("%s: read what was sent: %w", op, rerr)
		}
	}
	info.Digest = hex.EncodeToString(digest.Sum(nil))
	if info.Checksum = info.Digest; sum != nil {
		info.Checksum = a.Hex(sum)
	}
	return info, nil
}

// check reads all of r and says whether its bytes are those of digest: nil,
// errDigest, or why it could not be read.
func check(r io.Reader, digest string, stop <-chan struct{}) error {
	h := sha256.New()
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	for {
		select {
		case <-stop:
			return errStopped
		default:
		}
		n, err := r.Read(buf[:])
		h.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if hex.EncodeToString(h.Sum(nil)) != digest {
		return errDigest
	}
	return nil
}

// errStopped ends a check because the store is being closed.
var errStopped = errors.New("the store is closed")
