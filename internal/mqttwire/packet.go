package mqttwire

import (
	"errors"
	"io"
)

// Packet is any control packet of this package.
type Packet interface {
	// Decode fills the packet from a frame of its own type. What it held before
	// is gone; its memory is used again. After an error its content is undefined,
	// save where a packet says otherwise.
	Decode(f Frame, v Version) error
	// Append writes the whole packet behind dst. After an error dst comes back
	// as long as it was.
	Append(dst []byte, v Version) ([]byte, error)
}

// New returns an empty packet of a type, nil for the reserved type 0.
func New(t Type) Packet {
	switch t {
	case CONNECT:
		return &Connect{}
	case CONNACK:
		return &Connack{}
	case PUBLISH:
		return &Publish{}
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return &Ack{Type: t}
	case SUBSCRIBE:
		return &Subscribe{}
	case SUBACK, UNSUBACK:
		return &SubAck{Type: t}
	case UNSUBSCRIBE:
		return &Unsubscribe{}
	case PINGREQ, PINGRESP:
		return &Ping{Type: t}
	case DISCONNECT, AUTH:
		return &Close{Type: t}
	}
	return nil
}

// Reader takes frames off a stream, for clients and tests. A server with many
// idle connections does better with [Split] and buffers of its own.
// It is not safe for concurrent use.
type Reader struct {
	src   io.Reader
	limit int
	buf   []byte
	have  []byte // what of buf is read and not yet returned
}

// NewReader returns a Reader that refuses bodies over limit bytes.
func NewReader(src io.Reader, limit int) *Reader { return &Reader{src: src, limit: limit} }

// Next returns the next packet. The frame is valid until the call after. At the
// end of the stream between two packets it returns io.EOF, amid one
// io.ErrUnexpectedEOF, and for a frame that breaks the rules an [*Error].
func (r *Reader) Next(v Version) (Frame, error) {
	for {
		f, size, err := Split(r.have, v, r.limit)
		if err != nil {
			return Frame{}, err
		}
		if size > 0 && len(r.have) >= size {
			r.have = r.have[size:]
			return f, nil
		}
		if err := r.fill(size); err != nil {
			return Frame{}, err
		}
	}
}

// fill reads once, having made room for a packet of size bytes.
func (r *Reader) fill(size int) error {
	switch size = max(size, len(r.have)+1); {
	case size > len(r.buf):
		grown := make([]byte, max(2*size, 4096))
		r.have = grown[:copy(grown, r.have)]
		r.buf = grown
	case size > cap(r.have) || cap(r.have) == len(r.have):
		r.have = r.buf[:copy(r.buf, r.have)]
	}
	n, err := r.src.Read(r.have[len(r.have):cap(r.have)])
	r.have = r.have[:len(r.have)+n]
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	case errors.Is(err, io.EOF) && len(r.have) > 0:
		return io.ErrUnexpectedEOF
	}
	return err
}
