package coapx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// Upload is a body of any size that is sent in blocks.
type Upload struct {
	Size int64
	// Read reads the bytes from off on into b, all of it.
	Read func(ctx context.Context, off int64, b []byte) error
	// Sent hears after each block how many bytes the peer has acknowledged; may
	// be nil.
	Sent func(n int64)
	// Patience says how long the peer may be silent about the next block; the
	// block is sent again until then.
	Patience func() time.Duration
	SZX      byte // size of the first block; the peer may ask for smaller ones
}

// Upload sends a request with a body in blocks and returns the response to the
// last of them, or the first that refuses.
func (c *Conn) Upload(ctx context.Context, m *Message, u Upload) (*Message, error) {
	b := Block{SZX: min(u.SZX, MaxSZX)}
	buf := make([]byte, b.Size())
	for off := int64(0); ; {
		n := min(b.Size(), u.Size-off)
		if err := u.Read(ctx, off, buf[:n]); err != nil {
			return nil, err
		}
		if off/b.Size() > MaxBlockNum {
			return nil, fmt.Errorf("coap: %d bytes are too many blocks of %d", u.Size, b.Size())
		}
		b.Num, b.More = uint32(off/b.Size()), off+n < u.Size
		part := m.clone().SetBlock(message.Block1, b)
		if b.Num == 0 {
			part.Set(message.Size1, uint32(min(u.Size, 1<<32-1)))
		}
		part.Payload = buf[:n]
		r, err := c.insist(ctx, part, u.Patience)
		if err != nil {
			return nil, err
		}
		asked, sized := r.Block(message.Block1)
		if r.Code == codes.RequestEntityTooLarge && sized && asked.SZX < b.SZX && off == 0 {
			b.SZX = asked.SZX
			continue
		}
		if r.Code>>5 != 2 {
			return r, nil
		}
		off += n
		if u.Sent != nil {
			u.Sent(off)
		}
		if !b.More {
			return r, nil
		}
		if sized && asked.SZX < b.SZX { // from here on in smaller blocks (RFC 7959, section 2.3)
			b.SZX = asked.SZX
		}
	}
}

// insist asks again and again where the peer is silent, until patience is over.
func (c *Conn) insist(ctx context.Context, m *Message, patience func() time.Duration) (*Message, error) {
	began := time.Now()
	for {
		left := patience() - time.Since(began)
		limited, cancel := context.WithTimeout(ctx, max(left, time.Millisecond))
		r, err := c.exchange(limited, m, newToken())
		cancel()
		late := errors.Is(err, ErrSilent) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
		if !late {
			return r, err
		}
		if time.Since(began) >= patience() {
			return nil, ErrSilent
		}
	}
}
