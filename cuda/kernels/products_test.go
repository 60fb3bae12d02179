package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// codes is n random bytes: filling, too, may be anything.
func codes(c *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(c.Uint32())
	}
	return out
}

// stride is room for n rows as the stage has it, and sometimes more.
func stride(c *rand.Rand, n int) int { return (n+7)/8*8 + 8*c.IntN(3) }

// q2Rows is how many rows each kernel of 2-bit weights is tried with.
var q2Rows = map[cut][]int{
	q2Rows1:    {1},
	q2Rows2:    {2},
	q2Tiles8:   {3, 8, 9},
	q2Tiles16:  {5, 16, 17},
	q2Tiles32:  {1, 31, 33},
	q2Tiles64:  {33, 64, 70},
	q2Tiles128: {60, 70, 131},
	q2Narrow8:  {1, 4, 8, 15},
	q2Narrow16: {9, 16},
	q2Narrow32: {32, 40},
}

// TestProductQ2 holds every kernel of 2-bit weights against the portable product.
func TestProductQ2(t *testing.T) {
	for cut, rows := range q2Rows {
		t.Run(cut.kernel, func(t *testing.T) {
			r, c := newRig(t), rand.New(rand.NewPCG(1, 2))
			if testing.Short() {
				testProductQ2(r, c, cut, rows[0], 17, 300)
				testProductQ2(r, c, cut, rows[len(rows)-1], 36, 100)
				return
			}
			for _, shape := range [][2]int{{1, 1}, {15, 16}, {17, 15}, {100, 60}, {16, 130}, {130, 17}, {256, 128}, {33, 1000}, {257, 300}, {32, 2048}} {
				for _, n := range rows {
					testProductQ2(r, c, cut, n, shape[0], shape[1])
				}
			}
			testProductQ2(r, c, cut, rows[0], 16, 20000) // steps of every warp
		})
	}
}

func testProductQ2(r *rig, c *rand.Rand, cut cut, n, outputs, cols int) {
	w := codes(c, (outputs+15)/16*kernel.Groups(cols)*kernel.GroupBytesQ2)
	scale := numbers(c, outputs, true)
	stride := stride(c, n)
	q, x := r.int8Rows(rowsOfAll(c, n, cols), n, cols, stride)
	a := ProductArgs{
		Y: r.room(4 * n * outputs), Q: q, Weights: put(r, w), Scale: put(r, scale),
		Rows: int32(n), Outputs: int32(outputs), Cols: int32(cols), Stride: int32(stride),
	}
	r.run(cut.call(a))
	want := make([]float32, n*outputs)
	kernel.Portable().MatMulQ2(want, x, w, scale, outputs, 0, outputs)
	wantSame(r.t, fmt.Sprintf("%d rows, [%d, %d]", n, outputs, cols), got[float32](r, a.Y, len(want)), want)
}

// TestProductF32 holds every kernel of float32 weights against the portable product.
func TestProductF32(t *testing.T) {
	r, c := newRig(t), rand.New(rand.NewPCG(3, 4))
	shapes := [][2]int{{1, 1}, {15, 31}, {17, 32}, {33, 33}, {100, 60}, {16, 130}, {9, 1000}, {65, 257}}
	if testing.Short() {
		shapes = [][2]int{{17, 60}}
	}
	for cut, rows := range map[cut][]int{f32Rows1: {1, 3}, f32Rows4: {2, 4, 5}, f32Rows8: {1, 7, 8, 20}} {
		for _, shape := range shapes {
			outputs, cols := shape[0], shape[1]
			for _, n := range rows {
				what := fmt.Sprintf("%s, %d rows, [%d, %d]", cut.kernel, n, outputs, cols)
				x, w := numbers(c, n*cols, n%2 == 0), numbers(c, outputs*cols, n%2 == 0)
				a := ProductArgs{Y: r.room(4 * n * outputs), X: put(r, x), Weights: put(r, w), Rows: int32(n), Outputs: int32(outputs), Cols: int32(cols)}
				r.run(cut.call(a))
				want := make([]float32, n*outputs)
				kernel.Portable().MatMul(want, x, w, n, outputs, cols, 0, outputs)
				wantSame(t, what, got[float32](r, a.Y, len(want)), want)
			}
		}
	}
}

// TestChoices: the kernel for every number of rows, and that what is launched covers
// all of the largest matrices and can be launched.
func TestChoices(t *testing.T) {
	for _, c := range []struct {
		rows, outputs int32
		want          string
	}{
		{1, 131072, "product_q2_rows1"},
		{2, 16, "product_q2_rows2"},
		{3, 131072, "product_q2_tiles8"},
		{8, 16384, "product_q2_tiles8"},
		{8, 4096, "product_q2_narrow8"},
		{9, 32768, "product_q2_tiles16"},
		{16, 4096, "product_q2_narrow16"},
		{32, 32768, "product_q2_tiles32"},
		{32, 4096, "product_q2_narrow32"},
		{64, 16384, "product_q2_tiles64"},
		{64, 8192, "product_q2_tiles32"},
		{512, 16384, "product_q2_tiles128"},
		{128, 16384, "product_q2_tiles64"},
		{256, 4096, "product_q2_tiles64"},
		{70, 100, "product_q2_narrow32"},
	} {
		if got := ProductQ2(ProductArgs{Rows: c.rows, Outputs: c.outputs}).Kernel; got != c.want {
			t.Errorf("%d rows, %d matrix rows: %s, want %s", c.rows, c.outputs, got, c.want)
		}
	}
	for _, from := range [][]choice{choicesF32, choicesQ2} {
		for rows := int32(1); rows < 3000; rows += 1 + rows/5 {
			for _, outputs := range []int32{1, 16, 4096, 16384, 131072, 1 << 20} {
				a := ProductArgs{Rows: rows, Outputs: outputs}
				c := chosen(from, a)
				grid := c.call(a).Launch.Grid
				if grid[0]*grid[1] != c.blocks(a) || grid[1] > 65535 {
					t.Errorf("%s, %d rows, %d matrix rows: grid %v", c.kernel, rows, outputs, grid)
				}
			}
		}
	}
}
