package coapx

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// Do sends a request and returns the response, whatever its code; a response in
// blocks is put together, up to the largest body. It waits for its turn: one
// exchange is under way at a time.
func (c *Conn) Do(ctx context.Context, m *Message) (*Message, error) {
	r, err := c.exchange(ctx, m, newToken())
	if err != nil {
		return nil, err
	}
	return c.rest(ctx, m, r)
}

// Once is Do without putting blocks together: the response is the one block that
// has come.
func (c *Conn) Once(ctx context.Context, m *Message) (*Message, error) {
	return c.exchange(ctx, m, newToken())
}

// exchange is one request and its response.
func (c *Conn) exchange(ctx context.Context, m *Message, token string) (*Message, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.ctx.Done():
		return nil, ErrClosed
	}
	w, err := c.begin(token, true)
	if err != nil {
		return nil, err
	}
	defer c.finish(w)
	p := packet{Message: *m, typ: message.Confirmable, mid: w.mid, token: token}
	r, err := c.transmit(ctx, w, &p)
	if err != nil || r != nil {
		return r, err
	}
	late := time.NewTimer(c.c.Answer)
	defer late.Stop()
	select {
	case r := <-w.answer:
		return &r.Message, nil
	case <-late.C:
		return nil, fmt.Errorf("%w: acknowledged, and then no response", ErrSilent)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.ctx.Done():
		return nil, ErrClosed
	}
}

// transmit sends a confirmable message until it is acknowledged. The response is
// nil where only an acknowledgement has come.
func (c *Conn) transmit(ctx context.Context, w *waiting, p *packet) (*Message, error) {
	b, err := p.encode()
	if err != nil {
		return nil, fmt.Errorf("coap: encode: %w", err)
	}
	c.mu.Lock()
	interval := c.rtt.timeout(c.c.AckTimeout)
	c.mu.Unlock()
	interval += time.Duration(rand.Int64N(int64(interval)/2 + 1)) // ACK_RANDOM_FACTOR 1.5
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for try := 0; ; {
		select {
		case r := <-w.answer:
			c.measured(began, try)
			return &r.Message, nil
		case <-w.acked:
			c.measured(began, try)
			select {
			case r := <-w.answer: // it came with the acknowledgement
				return &r.Message, nil
			default:
				return nil, nil
			}
		case <-w.reset:
			return nil, ErrReset
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ctx.Done():
			return nil, ErrClosed
		case <-timer.C:
			if time.Since(began) >= c.c.GiveUp {
				return nil, ErrSilent
			}
			if err := c.write(b); err != nil {
				return nil, fmt.Errorf("coap: send: %w", err)
			}
			if try++; try > 1 {
				interval *= 2
			}
			timer.Reset(min(interval, c.c.GiveUp))
		}
	}
}

// measured notes how long an acknowledgement took, unless a retransmission makes
// it doubtful what was acknowledged.
func (c *Conn) measured(began time.Time, tries int) {
	if tries == 1 {
		c.mu.Lock()
		c.rtt.add(time.Since(began))
		c.mu.Unlock()
	}
}

// roundTrips knows how soon the peer acknowledges (RFC 6298, section 2).
type roundTrips struct {
	n            int
	smooth, vary time.Duration
}

func (r *roundTrips) add(d time.Duration) {
	if r.n++; r.n == 1 {
		r.smooth, r.vary = d, d/2
		return
	}
	r.vary += (max(r.smooth-d, d-r.smooth) - r.vary) / 4
	r.smooth += (d - r.smooth) / 8
}

// timeout is when to retransmit first: the standard time until some round trips
// were measured, then by these, a twentieth of the standard time at least.
func (r *roundTrips) timeout(standard time.Duration) time.Duration {
	if r.n < 4 {
		return standard
	}
	return min(max(r.smooth+4*r.vary, standard/20), standard)
}

// rest puts a response in blocks together: m asked, and r is its first block.
func (c *Conn) rest(ctx context.Context, m, r *Message) (*Message, error) {
	b, ok := r.Block(message.Block2)
	if !ok || b.Num == 0 && !b.More {
		return r, nil
	}
	if b.Num != 0 {
		return r, nil // a piece that was asked for by number
	}
	whole := r.clone()
	whole.Payload = append([]byte(nil), r.Payload...)
	tag, _ := r.Options.GetBytes(message.ETag)
	for b.More {
		if int64(len(whole.Payload)) != b.Off()+b.Size() {
			return nil, ErrBody
		}
		next := m.clone()
		next.Options, next.Payload = next.Options.Remove(message.Observe).Remove(message.Block1), nil
		next.SetBlock(message.Block2, Block{Num: b.Num + 1, SZX: b.SZX})
		if m.Code != codes.GET {
			next.Payload = m.Payload
		}
		p, err := c.exchange(ctx, next, newToken())
		if err != nil {
			return nil, err
		}
		got, ok := p.Block(message.Block2)
		if p.Code != r.Code {
			return p, nil
		}
		etag, _ := p.Options.GetBytes(message.ETag)
		if !ok || got.Off() != int64(len(whole.Payload)) || string(etag) != string(tag) {
			return nil, ErrBody
		}
		if len(whole.Payload)+len(p.Payload) > c.c.MaxBody {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrBody, c.c.MaxBody)
		}
		whole.Payload, b = append(whole.Payload, p.Payload...), got
	}
	return whole, nil
}

// Ping asks whether the peer is there.
func (c *Conn) Ping(ctx context.Context) error {
	w, err := c.begin("", false)
	if err != nil {
		return err
	}
	defer c.finish(w)
	p := packet{typ: message.Confirmable, mid: w.mid}
	if _, err = c.transmit(ctx, w, &p); err == ErrReset { //nolint:errorlint // it is what transmit returns
		return nil
	}
	return err
}
