//go:build unix

package content

import (
	"io/fs"
	"syscall"
)

// inode is the file's number on its device.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}
