//go:build !linux

package mqtt

import "os"

// splicer would let the kernel copy from a file to a socket.
type splicer struct{}

func (*splicer) splice(*conn, []byte, *os.File, int64, int64) (tried bool, err error) {
	return false, nil
}
