package kernels

import (
	"fmt"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

func TestGate(t *testing.T) {
	l := newLab(t)
	for i, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			r := l.with(t)
			b := mixed(r, width, 4, 1, 2, 1, 1, 0, 1)
			if i%2 == 0 {
				b.wear(2*width, ofIn)
			}
			in := b.matrix(2*width, ordinary, tiny, empty, huge, broken)
			spread, signs := b.spreading(width)
			if i%3 == 2 {
				spread.Signs, spread.MaxRotated = 0, 0
			}
			const none = math.MaxInt32
			bad := make([]int32, len(b.sequences))
			for i := range bad {
				bad[i] = none
			}
			args := GateArgs{
				Batch: b.describe(), At: b.place(), In: put(r.rig, in), Out: r.room(4 * b.rows * width), Bad: put(r.rig, bad),
				Low: b.low, Spread: spread, Width: int32(width),
			}
			r.runAll(Gate(args))
			want := make([]float32, b.rows*width)
			for i, s := range b.sequences {
				for row := s.first; row < s.first+s.count && s.active(); row++ {
					both := in[row*2*width:][:2*width]
					b.addTerms(row, both, s.in)
					if !kernel.Portable().Finite(both) {
						bad[i] = testLayer
					}
					kernel.Portable().Gate(want[row*width:][:width], both[width:], both[:width])
				}
			}
			out := got[float32](r.rig, args.Out, len(want))
			r.same("out", out, want)
			for i, v := range got[int32](r.rig, args.Bad, len(bad)) {
				if v != bad[i] {
					t.Fatalf("bad[%d] = %d, want %d", i, v, bad[i])
				}
			}
			b.checkSpread(spread, signs, out, width)
		})
	}
}

// TestExp takes a number of every exponent and both signs, and those where the
// exponential changes its course, through both sigmoids of the gate.
func TestExp(t *testing.T) {
	r := newLab(t)
	var values []float32
	for high := range uint32(1 << 16) {
		if bits := high<<16 | high*0x9e37&0xffff; bits&0x7f800000 != 0x7f800000 {
			values = append(values, math.Float32frombits(bits))
		}
	}
	for _, edge := range []float32{0, 0x1p-149, 0x1p-126, 88.72283, 88.722839, 89, 87.33654, 103.27893, 103.97208, 104, 105, math.MaxFloat32} {
		for step := range 8 {
			bits := math.Float32bits(edge) + uint32(step) - min(4, math.Float32bits(edge))
			values = append(values, math.Float32frombits(bits), math.Float32frombits(bits|1<<31))
		}
	}
	for n := range 300 { // halfway between multiples of ln 2
		values = append(values, (float32(n)+0.5)*0.6931472, -(float32(n)+0.5)*0.6931472)
	}
	width := len(values)
	s := &sequence{count: 2, hi: 4, routing: 1}
	b := newBatch(r, []*sequence{s})
	in := make([]float32, b.rows*2*width)
	for i, v := range values {
		in[i], in[width+i] = 0.75, v           // row 0: the gate, then the value
		in[2*width+i], in[3*width+i] = v, 0.75 // row 1
	}
	args := GateArgs{
		Batch: b.describe(), At: b.place(), In: put(r.rig, in), Out: r.room(4 * b.rows * width),
		Bad: put(r.rig, []int32{0}), Width: int32(width),
	}
	r.runAll(Gate(args))
	out := got[float32](r.rig, args.Out, 2*width)
	for i, v := range values {
		for row, want := range []float32{v * kernel.Sigmoid(v) * kernel.Sigmoid(0.75), float32(0.75) * kernel.Sigmoid(0.75) * kernel.Sigmoid(v)} {
			if got := out[row*width+i]; !equal(got, want) {
				t.Fatalf("row %d of %x: %x, want %x", row, v, got, want)
			}
		}
	}
}
