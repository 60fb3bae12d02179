//go:build cuda && linux

package driver

import "time"

// waits is how long calls of the driver may take that nobody handed a limit.
type waits struct {
	open   time.Duration // to start the driver, describe its devices, make a context
	memory time.Duration // to take or give back memory, streams, graphs
	load   time.Duration // to make machine code of a PTX text
	copy   time.Duration // for the work before a copy of memory that is not pinned
	close  time.Duration // to destroy a context
}

// limits are far above what a sound device needs.
var limits = waits{open: 2 * time.Minute, memory: time.Minute, load: 5 * time.Minute, copy: time.Minute, close: 10 * time.Second}

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
