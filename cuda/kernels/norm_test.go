package kernels

import (
	"fmt"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// widths are rows of less than a warp, of odd blocks, of several chunks.
var widths = []int{1, 4, 15, 33, 36, 64, 192, 1000, 1024, 1060, 1088, 1536, 2048, 3072}

// int8Rows is room for the rows of a batch as int8, of which nothing is defined, with
// a row more than the batch has.
func (b *batch) int8Rows(width int) Int8Rows {
	stride := b.rows + 1
	return Int8Rows{
		Q: b.r.room(kernel.Groups(width) * stride * kernel.LineCols), Scale: b.r.room(4 * stride), Sum: b.r.room(4 * stride),
	}
}

// sameInt8 compares row i of int8 rows with the int8 numbers of x.
func (b *batch) sameInt8(what string, i int, is Int8Rows, x []float32) {
	b.r.t.Helper()
	var want kernel.Int8Rows
	want.Reset(1, len(x))
	kernel.Portable().QuantizeRow(&want, 0, x)
	scale := got[float32](b.r.rig, is.Scale+device.Pointer(4*i), 1)
	b.r.same(what+" scale", scale, want.Scale)
	if sum := got[int32](b.r.rig, is.Sum+device.Pointer(4*i), 1); sum[0] != want.Sum[0] {
		b.r.t.Fatalf("%s: sum %d, want %d", what, sum[0], want.Sum[0])
	}
	for g := range kernel.Groups(len(x)) {
		q := got[int8](b.r.rig, is.Q+device.Pointer((g*(b.rows+1)+i)*kernel.LineCols), kernel.LineCols)
		for c, v := range q {
			if want := want.Q[g*kernel.LineCols+c]; v != want {
				b.r.t.Fatalf("%s: q[%d] = %d, want %d", what, g*kernel.LineCols+c, v, want)
			}
		}
	}
}

// largest is the largest magnitude of x, as bits.
func largest(x []float32) uint32 {
	m := uint32(0)
	for _, v := range x {
		m = max(m, math.Float32bits(v)&^(1<<31))
	}
	return m
}

// Rows that are computed, with every form of what is wanted of them.
func TestNorm(t *testing.T) {
	l := newLab(t)
	for i, width := range append(widths, 16384+36, 2*16384+2048) {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			r := l.with(t)
			counts := []int{7, 1, 2, 1, 1, 0}
			if width > 4096 {
				counts = []int{1, 0, 0, 1}
			}
			b := mixed(r, width, counts...)
			x := b.matrix(width, ordinary, tiny, broken, huge, empty, faint)
			const eps = 1e-6
			spread, signs := b.spreading(width)
			args := NormArgs{
				Batch: b.describe(), At: b.place(), X: put(r.rig, x), Out: r.room(4 * len(x)),
				Rotated: r.room(4 * len(x)), Signs: spread.Signs, RotatedRows: b.int8Rows(width), PlainRows: b.int8Rows(width),
				Width: int32(width), Stride: int32(b.rows + 1), Eps: eps,
			}
			if i%4 == 1 {
				args.PlainRows = Int8Rows{}
			}
			if i%4 == 2 {
				args.RotatedRows, args.Rotated, args.Signs = Int8Rows{}, 0, 0
			}
			r.runAll(Norm(args))
			out := got[float32](r.rig, args.Out, len(x))
			want := make([]float32, len(x))
			b.each(func(row int, s *sequence) {
				kernel.Portable().RMSNorm(want[row*width:][:width], x[row*width:][:width], s.gain, eps)
			})
			r.same("out", out, want)
			turned := make([]float32, width)
			for row := range b.rows {
				one := want[row*width:][:width]
				kernel.Portable().Hadamard(turned, one, signs)
				if args.RotatedRows.Q != 0 {
					b.sameInt8(fmt.Sprintf("row %d rotated", row), row, args.RotatedRows, turned)
				}
				if args.PlainRows.Q != 0 {
					b.sameInt8(fmt.Sprintf("row %d plain", row), row, args.PlainRows, one)
				}
			}
		})
	}
}

// In place, as the paper's cell ends, rows that are not computed stay as they are.
func TestNormInPlace(t *testing.T) {
	l := newLab(t)
	const eps = 1e-5
	for _, width := range []int{1, 1060, 20_000} {
		r := l.with(t)
		b := mixed(r, width, 3, 1, 1, 2, 1)
		x := b.matrix(width, ordinary, huge)
		at := put(r.rig, x)
		r.runAll(Norm(NormArgs{Batch: b.describe(), At: b.place(), X: at, Out: at, Width: int32(width), Eps: eps}))
		b.each(func(row int, s *sequence) {
			kernel.Portable().RMSNorm(x[row*width:][:width], x[row*width:][:width], s.gain, eps)
		})
		r.same("x", got[float32](r.rig, at, len(x)), x)
	}
}
