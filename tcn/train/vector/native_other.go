//go:build !amd64

package vector

// native returns the sets in assembly: none on this architecture.
func native() []*Set { return nil }
