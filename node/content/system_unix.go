//go:build linux || darwin

package content

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// inode is the file's number on its device.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}

// diskFree is how many bytes this user may still write below dir.
func diskFree(dir string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), nil
}
