package agent

import (
	"io/fs"
	"syscall"
)

// inode is the number of a file: one that was replaced has another.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
