package http

import (
	"io"
	"runtime"
	"syscall"
	"time"
)

const canSend = true

// sendFile has the kernel copy the piece. It names the place in the file with
// each call, so that the file's own position, which others share, stays. A
// header that was held goes before it, in the same packet.
func (c *conn) sendFile(p *piece) (sent int64, err error) {
	c.move(time.Now())
	src := int(p.file.Fd())
	defer runtime.KeepAlive(p.file)
	var failed error
	head := c.held
	c.held = c.held[:0]
	err = c.raw.Write(func(fd uintptr) (done bool) {
		for len(head) > 0 { // it waits in the kernel for what follows
			n, e := syscall.SendmsgN(int(fd), head, nil, nil, syscall.MSG_MORE|syscall.MSG_NOSIGNAL)
			switch {
			case e == syscall.EINTR:
			case e == syscall.EAGAIN:
				c.move(time.Now())
				return false
			case e != nil:
				failed = e
				return true
			default:
				head = head[n:]
			}
		}
		for p.left > 0 {
			n, e := syscall.Sendfile(int(fd), src, &p.off, int(min(p.left, 1<<30)))
			if n > 0 {
				p.left -= int64(n)
				sent += int64(n)
			}
			switch {
			case e == syscall.EINTR:
			case e == syscall.EAGAIN:
				c.move(time.Now())
				return false
			case e != nil:
				failed = e
				return true
			case n == 0: // the file is shorter than it was
				failed = io.ErrUnexpectedEOF
				return true
			}
		}
		return true
	})
	if failed != nil {
		err = failed
	}
	return sent, err
}
