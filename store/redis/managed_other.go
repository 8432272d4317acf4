//go:build !linux

package redis

import "syscall"

// childAttributes keep a Ctrl-C at the terminal from reaching the server. When
// this process is killed the server stays; the next start ends it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
