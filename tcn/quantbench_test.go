package tcn

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// duration is how long f takes, in seconds.
func duration(f func()) float64 {
	start := time.Now()
	f()
	return time.Since(start).Seconds()
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// beside measures work in rounds of yardstick, work, yardstick, at least 15, and
// reports the median of the work's rate over the mean of the yardstick's beside
// it, and the medians of both. The machine's speed moves from second to second;
// the ratio does so far less.
func beside(b *testing.B, unit string, workUnits, yardstickUnits float64, work, yardstick func()) {
	const leastRounds = 15
	var ratios, rates, best []float64
	for b.Loop() || len(ratios) < leastRounds {
		before := duration(yardstick)
		worked := duration(work)
		after := duration(yardstick)
		rates = append(rates, workUnits/worked)
		best = append(best, 2*yardstickUnits/(before+after))
		ratios = append(ratios, rates[len(rates)-1]/best[len(best)-1])
	}
	b.ReportMetric(median(ratios), "of-ceiling")
	b.ReportMetric(median(rates)/1e9, unit)
	b.ReportMetric(median(best)/1e9, "ceiling-"+unit)
	b.ReportMetric(0, "ns/op") // it counts the yardsticks
}

// benchMatrices makes copies of a 2-bit matrix, of any codes.
func benchMatrices(b *testing.B, rows, cols, copies int) []*quant.Q2 {
	b.Helper()
	size, err := quant.SizeQ2(rows, cols)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]byte, int(size.Codes)*copies+64)
	for i := 0; i < len(all); i += 8 {
		all[i] = byte(i >> 9)
	}
	scale, signs := make([]float32, rows), make([]byte, size.Signs)
	for r := range scale { // results of unit size: denormal numbers would take long
		scale[r] = float32(1 / math.Sqrt(5*float64(kernel.HadamardBlock(cols))*float64(cols)))
	}
	matrices := make([]*quant.Q2, copies)
	for i := range matrices {
		matrices[i], err = quant.NewQ2(rows, cols, all[i*int(size.Codes):][:size.Codes], scale, signs)
		if err != nil {
			b.Fatal(err)
		}
	}
	return matrices
}

// BenchmarkDecodeQ2 is one row times a matrix in memory, on all processors: the
// rotation, the int8 numbers and the handing out included. The ceiling is a read
// of as many codes, in the same pieces.
func BenchmarkDecodeQ2(b *testing.B) {
	pool := kernel.NewPool(0)
	defer pool.Close()
	for _, shape := range []struct{ cols, rows int }{{4096, 32768}, {16384, 4096}} {
		const total = 1 << 30 // bytes of all copies, more than caches hold
		copies := total / (shape.rows * shape.cols / 4)
		matrices := benchMatrices(b, shape.rows, shape.cols, copies)
		x, y := seeded(1, 0, 0, shape.cols, 0, 1), make([]float32, shape.rows)
		for _, set := range kernel.Available() {
			b.Run(fmt.Sprintf("%s/k=%d,n=%d", set.Name, shape.cols, shape.rows), func(b *testing.B) {
				compute, turn := &Compute{Kernels: set, Pool: pool}, 0
				next := func() *quant.Q2 {
					turn++
					return matrices[turn*7%copies]
				}
				pool.Begin()
				defer pool.End()
				bytes := float64(len(matrices[0].Codes()))
				beside(b, "GB/s", bytes, bytes,
					func() { NewMatrixQ2(next()).Multiply(compute, y, x, 1) },
					func() {
						codes := next().Codes()
						pool.Run(len(codes)/pieceBytes, func(i int) { kernel.ReadMemory(codes[i*pieceBytes:][:pieceBytes]) })
					})
			})
		}
	}
}

// BenchmarkCachedQ2 is one row times a matrix that stays in the second-level
// cache, on one processor, the row quantized before. The ceiling is a loop of
// VPDPBUSD; without one it is not reported.
func BenchmarkCachedQ2(b *testing.B) {
	const rows, cols = 1024, 4096
	m := benchMatrices(b, rows, cols, 1)[0]
	x, room, y := seeded(1, 0, 0, cols, 0, 1), make([]float32, cols), make([]float32, rows)
	for _, set := range kernel.Available() {
		b.Run(set.Name, func(b *testing.B) {
			var q kernel.Int8Rows
			q.Reset(1, cols)
			if err := m.Quantize(set, &q, 0, x, room); err != nil {
				b.Fatal(err)
			}
			besideDots(b, rows*cols, nil, func() { m.MultiplyRows(set, y, &q, 0, rows) })
		})
	}
}

// BenchmarkPrefillQ2 is many rows times a matrix, on all processors, everything
// included. The ceiling is a loop of VPDPBUSD on as many.
func BenchmarkPrefillQ2(b *testing.B) {
	pool := kernel.NewPool(0)
	defer pool.Close()
	for _, shape := range []struct{ cols, rows int }{{4096, 4096}, {16384, 4096}} {
		m := NewMatrixQ2(benchMatrices(b, shape.rows, shape.cols, 1)[0])
		for _, n := range []int{64, 512} {
			x, y := seeded(1, 0, 0, n*shape.cols, 0, 1), make([]float32, n*shape.rows)
			for _, set := range kernel.Available() {
				b.Run(fmt.Sprintf("%s/rows=%d,k=%d,n=%d", set.Name, n, shape.cols, shape.rows), func(b *testing.B) {
					pool.Begin()
					defer pool.End()
					compute := &Compute{Kernels: set, Pool: pool}
					besideDots(b, n*shape.rows*shape.cols, pool, func() { m.Multiply(compute, y, x, n) })
				})
			}
		}
	}
}

// besideDots measures work of so many multiplications beside dot products in
// registers, on the processors of pool.
func besideDots(b *testing.B, multiplications int, pool *kernel.Pool, work func()) {
	pieces, rounds := 1, 1<<14
	if pool != nil {
		pieces = 8 * runtime.GOMAXPROCS(0)
	}
	perPiece, ok := kernel.DotPeak(rounds)
	if !ok {
		perPiece = 1
	}
	beside(b, "Gmul/s", float64(multiplications), float64(perPiece)*float64(pieces), work,
		func() { pool.Run(pieces, func(int) { kernel.DotPeak(rounds) }) })
}

// BenchmarkLayerQ2 is one row through whole layers, a Soul of rank 16 in 8 bits
// included, beside the layers' frozen products alone: of-ceiling is the part of
// the time that these take.
func BenchmarkLayerQ2(b *testing.B) {
	pool := kernel.NewPool(0)
	defer pool.Close()
	for _, size := range []struct{ d, f, layers int }{{4096, 16384, 8}, {2048, 8192, 20}} {
		c := smallConfig(CellRelease)
		c.DModel, c.DFF, c.Layers, c.LayersPerBlock, c.Weights = size.d, size.f, size.layers, size.layers, WeightsQ2
		in, out := benchMatrices(b, 2*c.DFF, c.DModel, c.Layers), benchMatrices(b, c.DModel, c.DFF, c.Layers)
		conv := seeded(1, 0, 0, c.KernelSize*c.DFF, 0, 1)
		variant := &Variant{Range: c.All(), Small: []*Small{SeededSmall(c, 1, 0)}}
		soul, layers := &SoulSlice{}, make([]LayerQ2, c.Layers)
		for l := range layers {
			layers[l] = LayerQ2{In: in[l], Conv: conv, Out: out[l]}
			variant.Small[0].Layers[l].Scale = 0 // random codes would grow without end
			soul.Layers = append(soul.Layers, SoulLayer{
				InA: NewMatrixQ8(eighths(b, 16, c.DModel)), InB: NewMatrixQ8(eighths(b, 2*c.DFF, 16)),
				OutA: NewMatrixQ8(eighths(b, 16, c.DFF)), OutB: NewMatrixQ8(eighths(b, c.DModel, 16)),
			})
		}
		variant.Souls = []SoulTerm{{Weight: 1e-9, Slices: []*SoulSlice{soul}}}
		block, err := NewBlockQ2(c, 0, layers)
		if err != nil {
			b.Fatal(err)
		}
		for _, set := range kernel.Available() {
			b.Run(fmt.Sprintf("%s/d=%d,f=%d", set.Name, c.DModel, c.DFF), func(b *testing.B) {
				compute := &Compute{Kernels: set, Pool: pool}
				stage, err := NewCPU(compute).Load(c, c.All(), []*Block{block})
				if err != nil {
					b.Fatal(err)
				}
				state, err := stage.NewState(c.All(), 0)
				if err != nil {
					b.Fatal(err)
				}
				row := seeded(1, 0, 0, c.DModel, 0, 1)
				works := []*Work{{State: state, Variant: variant, Rows: Rows{Count: 1, Data: row}}}
				u, h := make([]float32, c.DFF), make([]float32, 2*c.DFF)
				beside(b, "layers/s", 1e9*float64(c.Layers), 1e9*float64(c.Layers), func() {
					works[0].Rows.Position = state.Position()
					if err := errors.Join(stage.Step(works), works[0].Err); err != nil {
						b.Fatal(err)
					}
				}, func() {
					pool.Begin()
					defer pool.End()
					for _, l := range block.Layers {
						l.In.Multiply(compute, h, u[:c.DModel], 1)
						l.Out.Multiply(compute, h[:c.DModel], u, 1)
					}
				})
			})
		}
	}
}

// BenchmarkQuantizeRow is the rotation of one row and its int8 numbers, on one
// processor.
func BenchmarkQuantizeRow(b *testing.B) {
	for _, cols := range []int{4096, 16384} {
		m := benchMatrices(b, 16, cols, 1)[0]
		x, room := seeded(1, 0, 0, cols, 0, 1), make([]float32, cols)
		for _, set := range kernel.Available() {
			b.Run(fmt.Sprintf("%s/%d", set.Name, cols), func(b *testing.B) {
				var q kernel.Int8Rows
				q.Reset(1, cols)
				for b.Loop() {
					_ = m.Quantize(set, &q, 0, x, room)
				}
			})
		}
	}
}
