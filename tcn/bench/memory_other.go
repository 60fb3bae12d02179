//go:build !unix

package bench

// mapMemory takes the heap where memory cannot be mapped.
func mapMemory(size int) (memory []byte, unmap func() error, err error) {
	return make([]byte, size), func() error { return nil }, nil
}

// processorSeconds is not known here.
func processorSeconds() (float64, bool) { return 0, false }
