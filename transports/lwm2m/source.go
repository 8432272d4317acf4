package lwm2m

import (
	"context"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// window is how much of a package is asked for at a time, as a device on another
// wire would ask for a piece: chains see each, and how far it is.
const window = 16 << 10

// refusedError is the chains' word that the client may not have a piece.
type refusedError struct{ reply ota.Reply }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the piece is refused: %s %s", e.reply.Code, e.reply.Text)
}

// piece asks the chains for a piece of a package. The section is of what the
// device may have now, which is the package, or it is refused.
func (t *Transport) piece(m ota.Message, pkg *ota.Package, r ota.Range) (ota.Section, error) {
	m.Kind, m.Want, m.Range = pkg.Kind, pkg.Version, &r
	replies, err := t.handle(m)
	if err != nil {
		return ota.Section{}, err
	}
	for _, x := range replies {
		switch {
		case x.Word == ota.SayError:
			return ota.Section{}, &refusedError{x}
		case x.Word == ota.SayChunk && x.Section.Package.ID != pkg.ID:
			return ota.Section{}, &refusedError{ota.Refusal(ota.Conflict, "another package is assigned")}
		case x.Word == ota.SayChunk:
			return x.Section, nil
		}
	}
	return ota.Section{}, &refusedError{ota.Refusal(ota.Internal, "nobody has answered")}
}

// source reads a package that is pushed.
type source struct {
	s    *session
	pkg  *ota.Package
	blob ota.Blob
	from int64 // what was granted: from…to
	to   int64
}

func (x *source) read(ctx context.Context, off int64, b []byte) error {
	for pause := 100 * time.Millisecond; off < x.from || off+int64(len(b)) > x.to; pause = min(2*pause, 10*time.Second) {
		sec, err := x.s.t.piece(x.s.message(ota.ChunkRequested), x.pkg, ota.Range{Off: off, Len: max(window, int64(len(b)))})
		if err == nil {
			if sec.Len < int64(len(b)) {
				return fmt.Errorf("the package ends at %d", sec.Off+sec.Len)
			}
			x.from, x.to = sec.Off, sec.Off+sec.Len
			break
		}
		if ota.CodeOf(err) != ota.Busy {
			return err
		}
		select { // the store is away, and comes back
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if x.blob == nil && len(b) > 0 {
		blob, err := x.s.t.d.Files.Open(ctx, x.pkg.Blob)
		if err != nil {
			return err
		}
		x.blob = blob
	}
	if len(b) == 0 {
		return nil
	}
	if n, err := x.blob.ReadAt(b, off); n < len(b) {
		return fmt.Errorf("read %d bytes at %d: %w", len(b), off, err)
	}
	return nil
}

func (x *source) close() {
	if x.blob != nil {
		_ = x.blob.Close() // it was only read
	}
}
