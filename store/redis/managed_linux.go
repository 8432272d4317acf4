package redis

import "syscall"

// childAttributes let the kernel end the server, in good order, when this
// process is killed. A group of its own keeps a Ctrl-C at the terminal from
// reaching it while we still write.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
