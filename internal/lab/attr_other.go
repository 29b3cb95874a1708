//go:build unix && !linux

package lab

import "syscall"

// childAttr starts a child in a session of its own; see attr_linux.go. This
// system cannot end it when we are killed.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}
