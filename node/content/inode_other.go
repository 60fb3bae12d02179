//go:build !unix

package content

import "io/fs"

// inode is 0 where files have none: size and time of change must do.
func inode(fs.FileInfo) uint64 { return 0 }
