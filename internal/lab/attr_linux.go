package lab

import "syscall"

// childAttr starts a child in a session of its own: a Ctrl-C at the terminal
// reaches only us, who end the children in order, and no child can ask on the
// terminal. If we are killed, the kernel kills it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
