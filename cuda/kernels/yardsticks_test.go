package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// TestReadBytes: every byte is read once.
func TestReadBytes(t *testing.T) {
	r, c := newRig(t), rand.New(rand.NewPCG(7, 8))
	for _, count := range []int{1, 255, 3000, 20000} {
		const blocks = 3
		data := make([]uint32, 4*count)
		want := uint32(0)
		for i := range data {
			data[i] = c.Uint32()
			want ^= data[i]
		}
		a := ReadBytesArgs{Bytes: put(r, data), Out: r.room(4 * blocks), Count: int64(count)}
		r.run(ReadBytes(a, blocks))
		have := uint32(0)
		for _, v := range got[uint32](r, a.Out, blocks) {
			have ^= v
		}
		if have != want {
			t.Errorf("%d times 16 bytes give %08x, want %08x", count, have, want)
		}
	}
}

// TestProductS8 holds the yardstick of products against plain sums.
func TestProductS8(t *testing.T) {
	r, c := newRig(t), rand.New(rand.NewPCG(9, 10))
	for _, shape := range [][3]int{{1, 16, 64}, {70, 272, 128}, {131, 80, 192}} {
		n, outputs, cols := shape[0], shape[1], shape[2]
		stride := stride(c, n)
		q, x := r.int8Rows(rowsOfAll(c, n, cols), n, cols, stride)
		w := make([]int8, outputs*cols)
		packed := make([]int8, outputs*cols)
		for i := range w {
			w[i] = int8(c.Uint32())
			packed[placeS8(i/cols, i%cols, cols)] = w[i]
		}
		a := ProductS8Args{Y: r.room(4 * n * outputs), Q: q.Q, Weights: put(r, packed), Rows: int32(n), Outputs: int32(outputs), Cols: int32(cols), Stride: int32(stride)}
		r.run(ProductS8(a))
		want := make([]int32, n*outputs)
		for i := range want {
			want[i] = plainS8(x, w[i%outputs*cols:][:cols], i/outputs)
		}
		if !slices.Equal(got[int32](r, a.Y, len(want)), want) {
			t.Errorf("%d rows times [%d, %d] is not the product", n, outputs, cols)
		}
	}
}

// plainS8 is Σ q[i, c]·w[c].
func plainS8(x *kernel.Int8Rows, w []int8, i int) int32 {
	sum := int32(0)
	for c, v := range w {
		sum += int32(v) * int32(x.At(i, c))
	}
	return sum
}

// placeS8 is where column c of row r of int8 weights lies; see yardsticks.h.
func placeS8(r, c, cols int) int {
	m, j, g := r/16, r/8%2, r%8
	s, t, h, k, b := c/64, c/16%4, c/8%2, c/4%2, c%4
	return (((m*(cols/64)+s)*2+h)*32+4*g+t)*16 + 8*k + 4*j + b
}
