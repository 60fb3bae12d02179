package cuda

import "time"

// Limits on what a stage keeps, and what is taken where [Options] say nothing.
const (
	// MaxRows bounds the rows of a pass. Kernels of more rows would gain nothing:
	// weights are read once a pass, and arithmetic bounds it long before.
	MaxRows = 256

	// DefaultWatchdog is how long a pass may take. It is below the 25 seconds
	// after which a gateway gives a lap up, so that the node that hangs says so.
	DefaultWatchdog = 20 * time.Second

	// reserveShare is the part of the device's memory, one over it, that a pool
	// of states of no given size leaves for Souls and graphs.
	reserveShare = 8

	// maxGraphs bounds the recorded shapes of a stage; the one unused for longest
	// makes room. A graph takes some kilobytes a layer.
	maxGraphs = 64

	// maxIdle bounds the Variants a stage keeps that no state wears any more.
	maxIdle = 16

	// stagingBytes is the size of each pinned buffer that weights pass through:
	// some hundred microseconds of the bus.
	stagingBytes = 4 << 20

	// copyHelpers bounds the goroutines that help to move the rows of large passes:
	// as many as the memory of a processor lets gain anything.
	copyHelpers = 3

	// pieceNumbers is how many numbers of rows are moved or checked together, 256
	// KiB: some twenty microseconds, long against handing a piece over.
	pieceNumbers = 64 << 10

	// alignment of everything in device memory, in bytes.
	alignment = 256
)

// rowBuckets are the row counts that graphs are recorded for; a pass is filled up
// to the next one with rows that are no row. Up to 8 rows cost little more than
// one, so each count has its own.
var rowBuckets = [...]int{1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32, 48, 64, 96, 128, 192, MaxRows}
