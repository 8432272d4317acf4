package http

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// A poll that waits in net/http keeps two goroutines and their buffers, some
// twenty kilobytes, for up to five minutes. So its connection is taken out of the
// server while it waits, to a goroutine that does nothing but read a byte, and
// goes back into it when the device has been answered and asks for something
// else. What is over TLS, or HTTP/2, waits where it is.

// lot is where connections are parked.
type lot struct {
	mu     sync.Mutex // before that of a poll
	closed bool
	in     map[*poll]struct{}
	wg     sync.WaitGroup
}

// enter lets a poll in; false where the lot is closed.
func (l *lot) enter(p *poll) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if l.in == nil {
		l.in = map[*poll]struct{}{}
	}
	l.in[p] = struct{}{}
	l.wg.Add(1)
	return true
}

func (l *lot) leave(p *poll) {
	l.mu.Lock()
	delete(l.in, p)
	l.mu.Unlock()
	l.wg.Done()
}

// close wakes all who are parked, and lets nobody in any more.
func (l *lot) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for p := range l.in {
		p.mu.Lock()
		p.wake()
		p.mu.Unlock()
	}
}

func (l *lot) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// park takes the connection of a poll out of the server; false where that cannot
// be, and then nothing has happened.
func (t *Transport) park(x *exchange, p *poll, until time.Time) bool {
	c, ok := x.r.Context().Value(connKey{}).(*conn)
	if !ok || x.r.ProtoMajor != 1 || x.r.ProtoMinor != 1 || x.r.Close || x.r.ContentLength != 0 || !t.parked.enter(p) {
		return false
	}
	_, rw, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		t.parked.leave(p)
		return false
	}
	if n := rw.Reader.Buffered(); n > 0 { // the next request is here already
		c.early = make([]byte, n)
		_, _ = io.ReadFull(rw.Reader, c.early) // from the buffer
	}
	c.SetReadDeadline(until) //nolint:errcheck // a closed connection says so when it is read
	p.mu.Lock()
	if p.sock = c; p.over {
		p.wake()
	}
	if len(c.early) == 0 {
		p.rings = nil
	}
	rings := p.rings
	p.mu.Unlock()
	if t.parked.isClosed() { // whoever closed it may not have seen us; never under p's lock
		c.SetReadDeadline(longAgo) //nolint:errcheck // see above
	}
	go t.waits(p, c, rings, until)
	return true
}

// waits answers a parked poll and gives its connection back.
func (t *Transport) waits(p *poll, c *conn, rings <-chan struct{}, until time.Time) {
	defer t.parked.leave(p)
	gone := t.heard(p, c, rings, until)
	t.d.Router.Close(p)
	words := p.end()
	if gone || !t.tell(p, c, words) || !t.idles(c) {
		c.Close() //nolint:errcheck // nobody could act on it
		return
	}
	p.mu.Lock()
	p.sock = nil // nobody wakes it any more: it is the server's
	p.mu.Unlock()
	c.SetReadDeadline(time.Time{}) //nolint:errcheck // see above
	c.from.giveBack(c)
}

// heard waits for a word, the end of the time, or of the connection. Where the
// device has sent its next request already, its end cannot be seen.
func (t *Transport) heard(p *poll, c *conn, rings <-chan struct{}, until time.Time) (gone bool) {
	if len(c.early) > 0 {
		if rings == nil { // it was heard before it was parked
			return false
		}
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case <-rings:
		case <-t.stop:
		case <-timer.C:
		}
		return false
	}
	var one [1]byte
	n, err := c.TCPConn.Read(one[:])
	if n == 0 {
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	c.early = []byte{one[0]}
	p.mu.Lock()
	if !p.over {
		p.rings = make(chan struct{})
	}
	again := p.rings
	p.mu.Unlock()
	return t.heard(p, c, again, until)
}

// tell writes the answer as net/http would.
func (t *Transport) tell(p *poll, c *conn, words []ota.Reply) bool {
	head, body := "HTTP/1.1 408 Request Timeout\r\n", []byte(nil)
	if words != nil {
		head, body = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", t.body(p, words)
	}
	out := append(make([]byte, 0, 128+len(body)), head...)
	out = append(out, "Date: "...)
	out = time.Now().UTC().AppendFormat(out, http.TimeFormat)
	out = strconv.AppendInt(append(out, "\r\nContent-Length: "...), int64(len(body)), 10)
	out = append(append(out, "\r\n\r\n"...), body...)
	_, err := c.Write(out)
	return err == nil
}

// idles waits for the next request, of which the first byte is kept; false where
// none comes in time. The server gives one that it takes for new less time.
func (t *Transport) idles(c *conn) bool {
	if len(c.early) > 0 {
		return !t.parked.isClosed()
	}
	c.SetReadDeadline(time.Now().Add(t.c.Idle)) //nolint:errcheck // see above
	if t.parked.isClosed() {                    // in this order: who closes wakes us then
		return false
	}
	var one [1]byte
	n, err := c.TCPConn.Read(one[:])
	if n == 0 || err != nil {
		return false
	}
	c.early = []byte{one[0]}
	return true
}
