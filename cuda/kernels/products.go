package kernels

import (
	"math"
	"slices"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// warp is the threads that run in step.
const warp = 32

// over is how many pieces of size n items take.
func over(n, size int32) int { return (int(n) + int(size) - 1) / int(size) }

// cut is how one of the product kernels cuts its work into blocks of threads.
type cut struct {
	kernel       string
	rows         int32 // rows of a block
	matrixRows   int32 // matrix rows of a block
	threads      int
	rowsTogether bool // blocks of the same matrix rows are launched one after the other
}

// blocks is how many blocks of threads a product takes.
func (c cut) blocks(a ProductArgs) int { return over(a.Rows, c.rows) * over(a.Outputs, c.matrixRows) }

func (c cut) call(a ProductArgs) Call {
	rows, matrix := over(a.Rows, c.rows), over(a.Outputs, c.matrixRows)
	grid := [3]int{matrix, rows, 1}
	if c.rowsTogether {
		grid = [3]int{rows, matrix, 1}
	}
	return Call{c.kernel, device.Launch{Grid: grid, Block: [3]int{c.threads, 1, 1}, Args: bytesOf(a)}}
}

var (
	f32Rows1 = cut{"product_f32_rows1", 1, 8, 8 * warp, false}
	f32Rows4 = cut{"product_f32_rows4", 4, 16, 8 * warp, false}
	f32Rows8 = cut{"product_f32_rows8", 8, 32, 8 * warp, true}

	// These two take neither more rows nor fewer.
	q2Rows1 = cut{"product_q2_rows1", 1, 16, 8 * warp, false}
	q2Rows2 = cut{"product_q2_rows2", 2, 16, 8 * warp, false}

	// These are for the tensor cores.
	q2Tiles8   = cut{"product_q2_tiles8", 8, 128, 16 * warp, true}
	q2Tiles16  = cut{"product_q2_tiles16", 16, 128, 16 * warp, true}
	q2Tiles32  = cut{"product_q2_tiles32", 32, 128, 16 * warp, true}
	q2Tiles64  = cut{"product_q2_tiles64", 64, 128, 8 * warp, true}
	q2Tiles128 = cut{"product_q2_tiles128", 128, 256, 8 * warp, true}
	q2Narrow8  = cut{"product_q2_narrow8", 8, 32, 16 * warp, true}
	q2Narrow16 = cut{"product_q2_narrow16", 16, 64, 16 * warp, true}
	q2Narrow32 = cut{"product_q2_narrow32", 32, 64, 16 * warp, true}
)

// choice is the cuts for products of up to so many rows, those that go furthest with
// what they read first.
type choice struct {
	rows int32
	cuts []cut
}

var choicesF32 = []choice{
	{1, []cut{f32Rows1}},
	{4, []cut{f32Rows4}},
	{math.MaxInt32, []cut{f32Rows8, f32Rows4}},
}

var choicesQ2 = []choice{
	{1, []cut{q2Rows1}},
	{2, []cut{q2Rows2}},
	{8, []cut{q2Tiles8, q2Narrow8}},
	{16, []cut{q2Tiles16, q2Narrow16}},
	{32, []cut{q2Tiles32, q2Narrow32}},
	{64, []cut{q2Tiles64, q2Tiles32, q2Narrow32}},
	{math.MaxInt32, []cut{q2Tiles128, q2Tiles64, q2Tiles32, q2Narrow32}},
}

// fewBlocks is how many blocks of threads a device should have at least: about one
// for each multiprocessor of the largest.
const fewBlocks = 128

// chosen is the first cut for the rows that makes use of a whole device, or the last.
func chosen(from []choice, a ProductArgs) cut {
	i := slices.IndexFunc(from, func(c choice) bool { return a.Rows <= c.rows })
	cuts := from[i].cuts
	for _, c := range cuts {
		if c.blocks(a) >= fewBlocks {
			return c
		}
	}
	return cuts[len(cuts)-1]
}

// ProductF32 launches a product with float32 weights, by the kernel that suits the
// sizes.
func ProductF32(a ProductArgs) Call { return chosen(choicesF32, a).call(a) }

// ProductQ2 launches a product with 2-bit weights, by the kernel that suits the
// sizes. Every one of them writes the same bits.
func ProductQ2(a ProductArgs) Call { return chosen(choicesQ2, a).call(a) }

// wideCols is how many columns A has at least for blocks of 32 warps; below them
// blocks have 4.
const wideCols = 4096

// Shrink launches the first product of every Soul's term, several blocks of threads for
// each term of a row while there are few. These add to sums in memory of the module:
// launches of one [Set] must be in one stream.
func Shrink(a ShrinkArgs) Call {
	name, threads, ranks := "shrink_wide", 32*warp, 1 // ranks that one block computes at once
	if a.Cols < wideCols {
		name, threads, ranks = "shrink_narrow", 4*warp, 4
	}
	terms, rows := max(1, int(a.Low.Terms)), int(a.Batch.Rows)
	several := max(1, min(int(a.Low.Rank)/ranks, fewBlocks/max(1, terms*rows)))
	return Call{name, device.Launch{Grid: [3]int{terms, rows, several}, Block: [3]int{threads, 1, 1}, Args: bytesOf(a)}}
}
