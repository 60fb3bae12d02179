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

// TestProductQ2 holds every kernel of 2-bit weights against the portable product.
func TestProductQ2(t *testing.T) {
	r, c := newRig(t), rand.New(rand.NewPCG(1, 2))
	rows := map[string][]int{
		"product_q2_rows1":    {1},
		"product_q2_rows2":    {2},
		"product_q2_tiles8":   {3, 8, 9},
		"product_q2_tiles16":  {5, 16, 17},
		"product_q2_tiles32":  {1, 31, 32},
		"product_q2_tiles64":  {33, 64, 70},
		"product_q2_tiles128": {60, 70, 131},
	}
	for _, cut := range tilingsQ2 {
		for _, shape := range [][2]int{{1, 1}, {15, 16}, {17, 15}, {100, 60}, {16, 130}, {130, 17}, {256, 128}, {33, 1000}, {257, 300}, {16, 2048}} {
			outputs, cols := shape[0], shape[1]
			n := rows[cut.kernel][c.IntN(len(rows[cut.kernel]))]
			what := fmt.Sprintf("%s, %d rows, [%d, %d]", cut.kernel, n, outputs, cols)
			w := codes(c, (outputs+15)/16*kernel.Groups(cols)*kernel.GroupBytesQ2)
			scale := numbers(c, outputs, true)
			stride := stride(c, n)
			q, x := r.int8Rows(c, rowsOfAll(c, n, cols), n, cols, stride)
			a := ProductArgs{
				Y: r.room(4 * n * outputs), Q: q, Weights: put(r, w), Scale: put(r, scale),
				Rows: int32(n), Outputs: int32(outputs), Cols: int32(cols), Stride: int32(stride),
			}
			r.run(cut.call(a))
			want := make([]float32, n*outputs)
			kernel.Portable().MatMulQ2(want, x, w, scale, outputs, 0, outputs)
			wantSame(t, what, got[float32](r, a.Y, len(want)), want)
		}
	}
}

// TestProductF32 holds every kernel of float32 weights against the portable product.
func TestProductF32(t *testing.T) {
	r, c := newRig(t), rand.New(rand.NewPCG(3, 4))
	rows := map[string][]int{"product_f32_rows1": {1, 3}, "product_f32_rows4": {2, 4, 5}, "product_f32_rows8": {1, 7, 8, 20}}
	for _, cut := range tilingsF32 {
		for _, shape := range [][2]int{{1, 1}, {15, 31}, {17, 32}, {33, 33}, {100, 60}, {16, 130}, {9, 1000}, {65, 257}} {
			outputs, cols := shape[0], shape[1]
			for _, n := range rows[cut.kernel] {
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
