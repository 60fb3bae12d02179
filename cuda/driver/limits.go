package driver

import "time"

// How long calls of the driver may take that nobody handed a limit. Each is far
// above what a sound device needs.
const (
	memoryLimit = time.Minute      // to take or give back memory, streams, graphs
	loadLimit   = 5 * time.Minute  // to make machine code of a PTX text
	copyLimit   = time.Minute      // for the work before a copy of memory that is not pinned
	closeLimit  = 10 * time.Second // to destroy a context
)

// How a stream is looked at until it is done: without a pause at first, for that is
// how long a Step's last kernels take; then with pauses that grow with the wait, so
// that they add little to it and waiting for long costs no processor.
const (
	spin       = 100 * time.Microsecond
	shortPause = 20 * time.Microsecond
	longPause  = time.Millisecond
)

// pause is how long to wait before looking again after waited.
func pause(waited time.Duration) time.Duration {
	if waited < spin {
		return 0
	}
	return min(max(waited/16, shortPause), longPause)
}

// What Open asks of driver and device.
const (
	oldestDriver = 11040 // CUDA 11.4: graphs as they are made here
	oldestMajor  = 8     // what the kernels are compiled for
)

// bounceBytes is the size of one of a stream's two pinned buffers through which
// memory that is not pinned goes. They are taken when first used.
const bounceBytes = 4 << 20

// logBytes is how much of the compiler's complaints about a PTX text is kept.
const logBytes = 4096

// sharedBytes is how much shared memory a kernel may have without asking for it.
const sharedBytes = 48 << 10
