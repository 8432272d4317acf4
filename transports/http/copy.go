package http

import (
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// small is the size up to which copying beats a call of the kernel of its own:
// header and body leave in one write.
const small = 3 << 10

var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// copyOut writes a section behind its headers. When it fails midway the server
// closes the connection, since less was sent than was promised.
func copyOut(w http.ResponseWriter, r *http.Request, b ota.Blob, s ota.Section) {
	p := &piece{blob: b, off: s.Off, left: s.Len}
	if local, ok := b.(ota.LocalBlob); ok && s.Len > small {
		if rf, ok := w.(io.ReaderFrom); ok {
			// The headers go first, so that the server hands the piece to the
			// connection as it is.
			if c, ok := r.Context().Value(connKey{}).(*conn); ok && canSend {
				c.hold = true
			}
			if http.NewResponseController(w).Flush() == nil {
				p.file = local.File()
				rf.ReadFrom(p) //nolint:errcheck // see above
				return
			}
		}
	}
	buf, _ := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for p.left > 0 {
		n, err := p.Read(buf[:])
		if err != nil {
			return
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return
		}
	}
}

// piece is a section on its way out: a reader, for whoever can only read, and
// for a connection of ours the file and the place in it.
type piece struct {
	blob ota.Blob
	file *os.File // nil where it must be read
	off  int64
	left int64
}

// Read reads at most what is left of the piece.
func (p *piece) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	if int64(len(b)) > p.left {
		b = b[:p.left]
	}
	n, err := p.blob.ReadAt(b, p.off)
	p.off += int64(n)
	p.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	if err == io.EOF { //nolint:errorlint // a reader's own
		err = io.ErrUnexpectedEOF // it was promised
	}
	return n, err
}
