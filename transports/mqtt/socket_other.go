//go:build !linux

package mqtt

import (
	"net"
	"os"
	"syscall"
)

// splicer would let the kernel copy from a file to a socket.
type splicer struct{}

func (*splicer) splice(*conn, []byte, *os.File, int64, int64) (tried bool, err error) {
	return false, nil
}

func rawConn(net.Conn) syscall.RawConn { return nil }

// unread would be how many bytes the peer has not acknowledged.
func unread(syscall.RawConn) (n int, ok bool) { return 0, false }

// quickAck would have the kernel acknowledge at once what was read.
func quickAck(syscall.RawConn) {}
