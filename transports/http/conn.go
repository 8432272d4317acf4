package http

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Listener wraps a listener so that the connections of a server let the kernel
// copy files to them, from any place of a file that many read at once, and so
// that a peer who takes nothing of a reply for stall is cut off. A connection
// that is not TCP stays as it is.
//
// Connections that were taken out of the server come back through it.
func Listener(l net.Listener, stall time.Duration) net.Listener {
	return &listener{Listener: l, stall: stall, fresh: make(chan accepted), back: make(chan *conn), done: make(chan struct{})}
}

type listener struct {
	net.Listener
	stall time.Duration
	begin sync.Once
	fresh chan accepted
	back  chan *conn
	end   sync.Once
	done  chan struct{} // closed with the listener
}

type accepted struct {
	c   net.Conn
	err error
}

func (l *listener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.accepts() })
	select {
	case a, open := <-l.fresh:
		if !open {
			return nil, net.ErrClosed
		}
		return a.c, a.err
	case c := <-l.back:
		return c, nil
	}
}

// accepts runs until the listener is closed.
func (l *listener) accepts() {
	defer close(l.fresh)
	for {
		c, err := l.accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case l.fresh <- accepted{c, err}:
		case <-l.done: // nobody may ask any more
			if err == nil {
				c.Close()
			}
		}
	}
}

// Close closes the listener. Twice is once.
func (l *listener) Close() error {
	l.end.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// giveBack lets the server have a connection again.
func (l *listener) giveBack(c *conn) {
	select {
	case l.back <- c:
	case <-l.done:
		c.Close() //nolint:errcheck // nobody could act on it
	}
}

func (l *listener) accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	return &conn{TCPConn: tcp, raw: raw, stall: l.stall, from: l}, nil
}

// connKey is where a request's context holds its connection.
type connKey struct{}

// ConnContext goes into http.Server.ConnContext of a server whose listener came
// through [Listener], so that headers and the bytes of a file leave together.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// conn is a TCP connection that knows pieces of files. As HTTP/1 has it, one
// goroutine at a time writes to it.
type conn struct {
	*net.TCPConn
	raw   syscall.RawConn
	stall time.Duration
	set   time.Time // when the deadline for writing was moved last
	hold  bool      // the next write is a header, and a piece follows
	held  []byte    // such a header
	from  *listener
	early []byte // read by others than the server, which reads it first
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.TCPConn.Read(b)
}

// Write moves the deadline and writes.
func (c *conn) Write(b []byte) (int, error) {
	if c.hold {
		c.hold = false
		c.held = append(c.held[:0], b...)
		return len(b), nil
	}
	if err := c.letGo(); err != nil {
		return 0, err
	}
	if len(b) > 64<<10 { // a long write goes on as long as it gets on
		return c.writeLong(b)
	}
	c.move(time.Now())
	return c.TCPConn.Write(b)
}

// letGo writes a header that was held for a piece which did not come.
func (c *conn) letGo() error {
	if len(c.held) == 0 {
		return nil
	}
	b := c.held
	c.held = nil
	_, err := c.writeLong(b)
	return err
}

func (c *conn) writeLong(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		c.move(time.Now())
		var k int
		k, err = c.TCPConn.Write(b[n:min(n+64<<10, len(b))])
		n += k
	}
	return n, err
}

// move sets the deadline for writing anew, when half of the last one is gone.
func (c *conn) move(now time.Time) {
	if now.Sub(c.set) < c.stall/2 {
		return
	}
	c.set = now
	c.SetWriteDeadline(now.Add(c.stall)) //nolint:errcheck // a closed connection says so when it is written to
}

// ReadFrom copies from r; a piece of a local file goes by the kernel alone, and
// so does a file of others from where it stands.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	if p, ok := r.(*piece); ok && p.file != nil && canSend {
		return c.sendFile(p)
	}
	if err := c.letGo(); err != nil {
		return 0, err
	}
	left, limited := r.(*io.LimitedReader)
	for {
		c.move(time.Now())
		part := &io.LimitedReader{R: r, N: 1 << 20} // and then the deadline is moved
		if limited {
			part.R, part.N = left.R, min(part.N, left.N)
		}
		want := part.N
		k, err := c.TCPConn.ReadFrom(part)
		n += k
		if limited {
			left.N -= k
		}
		if err != nil || k < want || want == 0 {
			return n, err
		}
	}
}
