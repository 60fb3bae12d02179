//go:build unix && !linux

package bench

// askHugePages: the system decides by itself.
func askHugePages([]byte) {}
