//go:build !amd64 && !arm64

package kernel

// native returns the Sets in assembly: none on this architecture.
func native() []*Set { return nil }
