package http

import (
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
func Listener(l net.Listener, stall time.Duration) net.Listener { return &listener{l, stall} }

type listener struct {
	net.Listener
	stall time.Duration
}

func (l *listener) Accept() (net.Conn, error) {
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
		c.Close() //nolint:errcheck // it never began
		return nil, err
	}
	return &conn{TCPConn: tcp, raw: raw, stall: l.stall}, nil
}

// conn is a TCP connection that knows pieces of files.
type conn struct {
	*net.TCPConn
	raw   syscall.RawConn
	stall time.Duration

	mu  sync.Mutex
	set time.Time // when the deadline for writing was moved last
}

// Write moves the deadline and writes.
func (c *conn) Write(b []byte) (int, error) {
	if len(b) > 64<<10 { // a long write goes on as long as it gets on
		return c.writeLong(b)
	}
	c.move(time.Now())
	return c.TCPConn.Write(b)
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
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.set) < c.stall/2 {
		return
	}
	c.set = now
	c.SetWriteDeadline(now.Add(c.stall)) //nolint:errcheck // a closed connection says so when it is written to
}

// ReadFrom copies from r; a piece of a local file goes by the kernel alone.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if p, ok := r.(*piece); ok && p.file != nil && canSend {
		return c.sendFile(p)
	}
	return io.Copy(writeOnly{c}, r)
}

// writeOnly hides that a connection can read from a reader.
type writeOnly struct{ io.Writer }
