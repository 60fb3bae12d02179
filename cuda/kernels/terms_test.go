package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// TestTermsOfAnyRank: what add_terms adds, of ranks that fill the 32 lanes of a sum
// partly, exactly and several times. Kernel residual lends it a launch.
func TestTermsOfAnyRank(t *testing.T) {
	r, c := newRig(t), rand.New(rand.NewPCG(11, 12))
	for _, rank := range []int{1, 2, 4, 12, 31, 32, 33, 36, 47, 64, 70, 300} {
		for _, eightBit := range []bool{false, true} {
			t.Run(fmt.Sprintf("rank %d, 8 bits %v", rank, eightBit), func(t *testing.T) {
				r.t = t
				testTerm(r, c, rank, eightBit)
			})
		}
	}
}

func testTerm(r *rig, c *rand.Rand, rank int, eightBit bool) {
	const outputs, weight = 36, 0.3
	b := randomA(r, c, outputs, rank, eightBit) // as a matrix, B is like A
	term := Term{B: b.term.A, BScale: b.term.AScale, Rank: int32(rank), EightBit: b.term.EightBit, Weight: weight}
	low, room := numbers(c, rank, true), (rank+15)/16*16
	lows := make([]float32, room)
	copy(lows, low)
	q, want := r.int8Rows(low, 1, rank, 1) // of one row groups lie together
	layer := VariantLayer{Out: put(r, []Term{term}), OutCount: 1, Scale: 1, Routing: 1}
	base := numbers(c, outputs, false)
	a := ResidualArgs{
		Batch: Batch{
			Shares:   put(r, []Share{{Variant: put(r, []VariantLayer{layer}), Hi: 1}}),
			RowShare: put(r, []int32{0}), Rows: 1, ShareCount: 1,
		},
		X: put(r, make([]float32, outputs)), T: put(r, base),
		Low:   Low{Value: put(r, lows), Q: q.Q, Scale: q.Scale, Terms: 1, Rank: int32(room)},
		Width: outputs,
	}
	r.run(Residual(a))
	sums := make([]float32, outputs)
	if eightBit {
		kernel.Portable().MatMulQ8(sums, want, b.codes, b.scale, outputs, 0, outputs)
	} else {
		kernel.Portable().MatMul(sums, low, b.f32, 1, outputs, rank, 0, outputs)
	}
	kernel.Portable().AddScaled(base, sums, weight)
	x := make([]float32, outputs)
	kernel.Portable().AddScaled(x, base, 1)
	wantSame(r.t, "x", got[float32](r, a.X, outputs), x)
}
