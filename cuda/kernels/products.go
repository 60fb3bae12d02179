package kernels

import "github.com/zetagrid/zetagrid/cuda/device"

// warp is the threads that run in step.
const warp = 32

// over is how many pieces of size n items take.
func over(n, size int32) int { return (int(n) + int(size) - 1) / int(size) }

// tiling is how one of the product kernels cuts its work.
type tiling struct {
	kernel       string
	rows         int32 // rows of a block of threads
	matrixRows   int32 // matrix rows of a block of threads
	threads      int
	rowsTogether bool // blocks of the same matrix rows are launched one after the other
}

func (t tiling) call(a ProductArgs) Call {
	rows, matrix := over(a.Rows, t.rows), over(a.Outputs, t.matrixRows)
	grid := [3]int{matrix, rows, 1}
	if t.rowsTogether {
		grid = [3]int{rows, matrix, 1}
	}
	return Call{t.kernel, device.Launch{Grid: grid, Block: [3]int{t.threads, 1, 1}, Args: bytesOf(a)}}
}

// The cuts of products with float32 weights, by the rows they are for.
var tilingsF32 = []tiling{
	{"product_f32_rows1", 1, 8, 8 * warp, false},
	{"product_f32_rows4", 4, 16, 8 * warp, false},
	{"product_f32_rows8", 8, 32, 8 * warp, true},
}

// The cuts of products with 2-bit weights: the first two on the processor's own
// units, the others on the matrix units.
var tilingsQ2 = []tiling{
	{"product_q2_rows1", 1, 16, 8 * warp, false},
	{"product_q2_rows2", 2, 16, 8 * warp, false},
	{"product_q2_tiles8", 8, 128, 16 * warp, true},
	{"product_q2_tiles16", 16, 128, 16 * warp, true},
	{"product_q2_tiles32", 32, 128, 16 * warp, true},
	{"product_q2_tiles64", 64, 128, 8 * warp, true},
	{"product_q2_tiles128", 128, 256, 8 * warp, true},
}

// fewBlocks is how many blocks of threads a device should have at least, so that
// none of its multiprocessors is idle.
const fewBlocks = 128

// ProductF32 launches a product with float32 weights, by the kernel that suits the
// rows.
func ProductF32(a ProductArgs) Call {
	return chosen(tilingsF32, a)
}

// ProductQ2 launches a product with 2-bit weights, by the kernel that suits the
// rows. Every one of them writes the same bits.
func ProductQ2(a ProductArgs) Call {
	last := len(tilingsQ2) - 1
	if wide := tilingsQ2[last]; over(a.Rows, wide.rows)*over(a.Outputs, wide.matrixRows) < fewBlocks {
		return chosen(tilingsQ2[:last], a)
	}
	return chosen(tilingsQ2, a)
}

// chosen is the first cut that takes all rows at once, or the last.
func chosen(from []tiling, a ProductArgs) Call {
	for _, t := range from {
		if a.Rows <= t.rows {
			return t.call(a)
		}
	}
	return from[len(from)-1].call(a)
}

// shrinkRanks is the numbers of low that a block of threads computes of a float32
// term. Of an 8-bit term one block computes all.
const shrinkRanks = 4

// Shrink launches the first product of every Soul's term.
func Shrink(a ShrinkArgs) Call {
	grid := [3]int{max(1, int(a.Low.Terms)), int(a.Batch.Rows), max(1, over(a.Low.Rank, shrinkRanks))}
	return Call{"shrink", device.Launch{Grid: grid, Block: [3]int{1024, 1, 1}, Args: bytesOf(a)}}
}
