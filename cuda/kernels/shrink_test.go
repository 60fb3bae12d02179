package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// soulA is A of a term and the term.
type soulA struct {
	f32   []float32 // [rank, cols]
	codes []byte    // 8-bit
	scale []float32
	term  Term
}

// randomA makes an A [rank, cols] in the device's memory.
func randomA(r *rig, c *rand.Rand, rank, cols int, eightBit bool) soulA {
	made := soulA{term: Term{Rank: int32(rank), Weight: 0.5}}
	if !eightBit {
		made.f32 = numbers(c, rank*cols, true)
		made.term.A = put(r, made.f32)
		return made
	}
	made.codes = codes(c, (rank+15)/16*kernel.Groups(cols)*kernel.GroupBytesQ8)
	made.scale = numbers(c, rank, false)
	made.term.A, made.term.AScale, made.term.EightBit = put(r, made.codes), put(r, made.scale), 1
	return made
}

// low is A u by the portable operations, and as int8 if A is.
func (s soulA) low(u []float32, plain *kernel.Int8Rows, row, cols int) (value []float32, q *kernel.Int8Rows) {
	rank := int(s.term.Rank)
	value = make([]float32, rank)
	if s.f32 != nil {
		kernel.Portable().MatMul(value, u, s.f32, 1, rank, cols, 0, rank)
		return value, nil
	}
	one := &kernel.Int8Rows{N: 1, Cols: cols, Scale: plain.Scale[row : row+1], Sum: plain.Sum[row : row+1]}
	for g := range kernel.Groups(cols) {
		one.Q = append(one.Q, plain.Q[(g*plain.N+row)*16:][:16]...)
	}
	kernel.Portable().MatMulQ8(value, one, s.codes, s.scale, rank, 0, rank)
	q = &kernel.Int8Rows{}
	q.Reset(1, rank)
	kernel.Portable().QuantizeRow(q, 0, value)
	return value, q
}

// TestShrink: A u of every term of every active row, and nothing else is written.
func TestShrink(t *testing.T) {
	r, c := newRig(t), rand.New(rand.NewPCG(5, 6))
	widths := []int{1, 15, 130, 1500, 4096, 9000}
	if testing.Short() {
		widths = []int{130}
	}
	for n, cols := range widths {
		t.Run(fmt.Sprintf("%d columns", cols), func(t *testing.T) {
			r.t = t
			of := int32(n % 2)
			testShrink(r, c, cols, of, []int32{2, 1, -1, 0, 1, 4, 2, 3, 2, 1, 2})
			testShrink(r, c, cols, of, []int32{2}) // many blocks of threads for each term
		})
	}
}

func testShrink(r *rig, c *rand.Rand, cols int, of int32, rowShare []int32) {
	const terms, room = 3, 64
	// Shares: one of no terms, one of two, one of all; one outside its blocks, one skipped.
	all := []soulA{randomA(r, c, 16, cols, true), randomA(r, c, 5, cols, false), randomA(r, c, 33, cols, true), randomA(r, c, 64, cols, false), randomA(r, c, 1, cols, true)}
	of2, of3 := all[:2], all[2:]
	layer := func(souls []soulA, routing float32) VariantLayer {
		var list []Term
		for _, s := range souls {
			list = append(list, s.term)
		}
		v := VariantLayer{Routing: routing}
		if of == 0 {
			v.In, v.InCount = put(r, list), int32(len(list))
		} else {
			v.Out, v.OutCount = put(r, list), int32(len(list))
		}
		return v
	}
	layers := put(r, []VariantLayer{{}, layer(nil, 1), {}, layer(of2, 1), {}, layer(of3, 0.5), {}, layer(of3, 0)})
	size := device.Pointer(unsafe.Sizeof(VariantLayer{}))
	share := func(variant, lo, hi int) Share {
		return Share{Variant: layers + device.Pointer(2*variant)*size, Lo: int32(lo), Hi: int32(hi)}
	}
	shares := []Share{share(0, 0, 9), share(1, 2, 3), share(2, 0, 3), share(1, 0, 2), share(3, 0, 9)}
	souls := [][]soulA{nil, of2, of3, nil, nil}
	n, width := len(rowShare), stride(c, len(rowShare))
	u := rowsOfAll(c, n, cols)
	plain, want := r.int8Rows(u, n, cols, width)

	value, q, scale := numbers(c, n*terms*room, false), make([]int8, n*terms*room), numbers(c, n*terms, false)
	for i := range q {
		q[i] = int8(c.Uint32())
	}
	a := ShrinkArgs{
		Batch: Batch{Shares: put(r, shares), RowShare: put(r, rowShare), Rows: int32(n), ShareCount: int32(len(shares))},
		At:    Place{Layer: 1, Block: 2}, X: put(r, u), Plain: plain,
		Low:  Low{Value: put(r, value), Q: put(r, q), Scale: put(r, scale), Terms: terms, Rank: room},
		Cols: int32(cols), Stride: int32(width), Of: of,
	}
	r.run(Shrink(a))
	for row, s := range rowShare {
		if s < 0 {
			continue
		}
		for i, soul := range souls[s] {
			at := row*terms + i
			low, as := soul.low(u[row*cols:(row+1)*cols], want, row, cols)
			copy(value[at*room:], low)
			if as != nil {
				scale[at] = as.Scale[0]
				copy(q[at*room:], as.Q)
			}
		}
	}
	wantSame(r.t, "low", got[float32](r, a.Low.Value, len(value)), value)
	wantSame(r.t, "scale of low", got[float32](r, a.Low.Scale, len(scale)), scale)
	if have := got[int8](r, a.Low.Q, len(q)); !slices.Equal(have, q) {
		r.t.Fatalf("low as int8 is\n%v, want\n%v", have, q)
	}
}
