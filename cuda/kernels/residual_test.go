package kernels

import (
	"fmt"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

func TestResidual(t *testing.T) {
	l := newLab(t)
	for i, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			r := l.with(t)
			b := mixed(r, width, 3, 1, 2, 1, 1, 0, 1)
			if i%2 == 0 {
				b.wear(width, ofOut)
			}
			x, sum := b.matrix(width, ordinary, tiny, empty, huge), b.matrix(width, ordinary, ordinary, empty, broken, tiny)
			at, from := put(r.rig, x), put(r.rig, sum)
			r.runAll(Residual(ResidualArgs{
				Batch: b.describe(), At: b.place(), X: at, T: from, Low: b.low, Width: int32(width),
			}))
			b.each(func(row int, s *sequence) {
				b.addTerms(row, sum[row*width:][:width], s.out)
				kernel.Portable().AddScaled(x[row*width:][:width], sum[row*width:][:width], s.scale)
			})
			r.same("x", got[float32](r.rig, at, len(x)), x)
		})
	}
}

func TestBlock(t *testing.T) {
	l := newLab(t)
	for i, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			r := l.with(t)
			b := mixed(r, width, 3, 4, 2, 1, 1, 0, 1)
			x := b.matrix(width, ordinary, tiny, ordinary, huge)
			f := b.matrix(width, ordinary, ordinary, broken, tiny, huge)
			const none = math.MaxInt32
			bad := make([]int32, len(b.sequences))
			for i := range bad {
				bad[i] = none
			}
			args := BlockArgs{
				Batch: b.describe(), At: b.place(), X: put(r.rig, x), Saved: r.room(4 * len(x)), Bad: put(r.rig, bad),
				Width: int32(width), BF16: int32(i % 2),
			}
			r.runAll(BeginBlock(args))
			r.must(r.stream.CopyIn(args.X, bytesIn(f)))
			r.runAll(EndBlock(args))
			want := append([]float32(nil), f...)
			for i, s := range b.sequences {
				for row := s.first; row < s.first+s.count && s.active(); row++ {
					y, saved := want[row*width:][:width], x[row*width:][:width]
					b.endBlock(y, saved, s.routing, args.BF16 == 1)
					if !kernel.Portable().Finite(y) {
						bad[i] = testLayer
					}
				}
			}
			r.same("x", got[float32](r.rig, args.X, len(x)), want)
			for i, v := range got[int32](r.rig, args.Bad, len(bad)) {
				if v != bad[i] {
					t.Fatalf("bad[%d] = %d, want %d", i, v, bad[i])
				}
			}
		})
	}
}

// endBlock turns F(x) into what the next block reads.
func (b *batch) endBlock(f, x []float32, routing float32, bf16 bool) {
	if routing != 1 {
		for c := range f {
			f[c] -= x[c]
		}
		y := append([]float32(nil), x...)
		kernel.Portable().AddScaled(y, f, routing)
		copy(f, y)
	}
	if bf16 {
		kernel.Portable().RoundBF16(f)
	}
}
