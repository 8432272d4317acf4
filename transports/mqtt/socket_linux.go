package mqtt

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// splicer lets the kernel copy from a file to a socket: the bytes never come
// through our memory, and a device that reads slowly holds no buffer of ours.
// It belongs to a scratch and is set up anew for each use.
type splicer struct {
	head []byte
	file *os.File
	off  int64
	left int64
	err  error
	step func(fd uintptr) bool // the method below, bound once
}

// splice writes head and then n bytes of file from off. tried is false where
// that is not possible here, and then nothing was written.
func (s *splicer) splice(c *conn, head []byte, file *os.File, off, n int64) (tried bool, err error) {
	if c.raw == nil {
		return false, nil
	}
	if s.step == nil {
		s.step = s.advance
	}
	s.head, s.file, s.off, s.left, s.err = head, file, off, n, nil
	for c.allow(); ; {
		left := s.left + int64(len(s.head))
		err = errors.Join(c.raw.Write(s.step), s.err)
		if err == nil || !c.tookSome(left-s.left-int64(len(s.head)), err) {
			break
		}
	}
	s.head, s.file = nil, nil
	if err != nil {
		return true, fmt.Errorf("mqtt: write: %w", err)
	}
	return true, nil
}

// advance writes as much as the socket takes and says whether it is done; false
// has it called again when the socket takes more.
func (s *splicer) advance(fd uintptr) bool {
	for {
		var n int
		var err error
		if len(s.head) > 0 {
			// More follows at once: let it share a segment.
			n, err = syscall.SendmsgN(int(fd), s.head, nil, nil, syscall.MSG_MORE|syscall.MSG_NOSIGNAL)
			s.head = s.head[max(n, 0):]
		} else {
			n, err = syscall.Sendfile(int(fd), int(s.file.Fd()), &s.off, int(min(s.left, 1<<20)))
			s.left -= int64(max(n, 0))
			if err == nil && n == 0 && s.left > 0 {
				err = io.ErrUnexpectedEOF // the file is shorter than it was
			}
		}
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err != nil:
			s.err = err
			return true
		case len(s.head) == 0 && s.left == 0:
			return true
		}
	}
}

// rawConn returns what the functions below need, nil where nc is no TCP socket.
func rawConn(nc net.Conn) syscall.RawConn {
	tcp, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// unread is how many bytes of what was written the peer has not acknowledged.
// ok is false where that cannot be known.
func unread(raw syscall.RawConn) (n int, ok bool) {
	if raw == nil {
		return 0, false
	}
	var queryErr error
	err := raw.Control(func(fd uintptr) { n, queryErr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n, err == nil && queryErr == nil
}

// quickAck has the kernel acknowledge at once what was read. It does so by
// itself when something is written; else it waits up to 40 ms, and so long waits
// a client whose next small packet is held back (RFC 896) until then. Clients
// that acknowledge a chunk and then ask for the next would get 25 of them a
// second.
func quickAck(raw syscall.RawConn) {
	if raw == nil {
		return
	}
	// For speed only; a socket that has failed says so at the next read.
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}
