package coapx

import (
	"context"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// watch is an observation of ours.
type watch struct {
	request *Message
	notify  func(*Message)
	seq     uint32
	at      time.Time
}

// fresh says whether a notification is newer than all before (RFC 7641, section
// 3.4), and then remembers it.
func (w *watch) fresh(p *packet) bool {
	now := time.Now()
	seq, ok := p.Uint(message.Observe)
	newer := !ok || w.at.IsZero() || w.seq < seq && seq-w.seq < 1<<23 || w.seq > seq && w.seq-seq > 1<<23 || now.Sub(w.at) > 128*time.Second
	if newer {
		w.seq, w.at = seq, now
	}
	return newer
}

// Observe asks for a resource and for notifications of its changes, which come
// one after the other with whatever else the peer asks. The response is the
// first state; observed is false where the peer does not notify. stop forgets
// the observation: the next notification is told so.
func (c *Conn) Observe(ctx context.Context, m *Message, notify func(*Message)) (r *Message, stop func(), observed bool, err error) {
	token := newToken()
	m = m.clone().Set(message.Observe, 0)
	w := &watch{request: m, notify: notify}
	stop = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watched, token)
	}
	c.mu.Lock()
	c.watched[token] = w // a notification may overtake the response
	c.mu.Unlock()
	first, err := c.exchange(ctx, m, token)
	if err != nil {
		stop()
		return nil, func() {}, false, err
	}
	seq, observed := first.Uint(message.Observe)
	if observed = observed && first.Code == codes.Content; !observed {
		stop()
	} else {
		c.mu.Lock()
		if w.at.IsZero() {
			w.seq, w.at = seq, time.Now()
		}
		c.mu.Unlock()
	}
	r, err = c.rest(ctx, m, first)
	return r, stop, observed, err
}

// Notify tells the peer of a change that it observes with a token, and returns
// when that is acknowledged. [ErrReset]: it does not observe any more.
func (c *Conn) Notify(ctx context.Context, token string, m *Message) error {
	w, err := c.begin("", false)
	if err != nil {
		return err
	}
	defer c.finish(w)
	p := packet{Message: *m, typ: message.Confirmable, mid: w.mid, token: token}
	_, err = c.transmit(ctx, w, &p)
	return err
}
