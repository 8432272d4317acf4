//go:build !linux

package mqtt

import (
	"net"
	"os"
)

// splicer would let the kernel copy from a file to a socket.
type splicer struct{}

func (*splicer) splice(*conn, []byte, *os.File, int64, int64) (tried bool, err error) {
	return false, nil
}

// unread would be how many bytes the peer has not acknowledged.
func unread(net.Conn) (n int, ok bool) { return 0, false }
