//go:build unix

package bench

import "golang.org/x/sys/unix"

// mapMemory maps size bytes off the Go heap.
func mapMemory(size int) (memory []byte, unmap func() error, err error) {
	memory, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, err
	}
	askHugePages(memory)
	return memory, func() error { return unix.Munmap(memory) }, nil
}

// processorSeconds is the processor time that this process has used.
func processorSeconds() (float64, bool) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9, true
}
