package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// timer keeps how long each round of a benchmark took.
type timer struct{ rounds []time.Duration }

func (t *timer) run(f func()) {
	start := time.Now()
	f()
	t.rounds = append(t.rounds, time.Since(start))
}

// best is the shortest round in nanoseconds: neighbours on the machine only ever
// add time.
func (t *timer) best() float64 { return float64(slices.Min(t.rounds).Nanoseconds()) }

// BenchmarkMatMul multiplies n rows with a matrix on all processors, and in
// the same rounds measures the yardsticks (the best round of each): multiplications and additions in
// registers alone (peak), and, for one row, a plain read of the same weights.
func BenchmarkMatMul(b *testing.B) {
	for _, s := range Available() {
		for _, shape := range []struct{ n, rows, cols, copies int }{
			{1, 8192, 2048, 8}, // decode: the copies push the weights out to memory
			{1, 2048, 8192, 8},
			{1, 512, 256, 1}, // in cache
			{4, 8192, 2048, 8},
			{64, 2048, 2048, 1}, // prefill
			{64, 2048, 8192, 1},
			{64, 8192, 128, 1},
		} {
			b.Run(fmt.Sprintf("%s/n=%d/%dx%d", s.Name, shape.n, shape.rows, shape.cols), func(b *testing.B) {
				benchmarkMatMul(b, s, shape.n, shape.rows, shape.cols, shape.copies)
			})
		}
	}
}

func benchmarkMatMul(b *testing.B, s *Set, n, rows, cols, copies int) {
	p := NewPool(0)
	defer p.Close()
	x, y := ones(n*cols), ones(n*rows)
	w := ones(copies * rows * cols)
	chunk := max(16, rows/64)
	chunks := (rows + chunk - 1) / chunk
	measure, haveYardstick := yardstickOf(s.Name)
	const rounds = 16000
	pieces := 4 * runtime.GOMAXPROCS(0)
	var product, peak, read timer
	for turn := 0; b.Loop(); turn++ {
		matrix := w[turn%copies*rows*cols:][:rows*cols]
		product.run(func() {
			p.Run(chunks, func(i int) {
				s.MatMul(y, x, matrix, n, rows, cols, i*chunk, min((i+1)*chunk, rows))
			})
		})
		if !haveYardstick {
			continue
		}
		peak.run(func() { p.Run(pieces, func(int) { measure.multiplyAddPeak(rounds) }) })
		if n == 1 {
			other := w[(turn+copies/2)%copies*rows*cols:][:rows*cols]
			blocks := chunk * cols / (8 * measure.lanes)
			read.run(func() {
				p.Run(rows/chunk, func(i int) { measure.readMemory(&other[i*chunk*cols], blocks) })
			})
		}
	}
	multiplications := float64(n) * float64(rows) * float64(cols)
	b.ReportMetric(2*multiplications/product.best(), "GFLOP/s")
	b.ReportMetric(product.best()/1e3, "µs/product")
	if haveYardstick {
		work := 2 * 12 * rounds * float64(measure.lanes*pieces)
		b.ReportMetric(work/peak.best(), "peak-GFLOP/s")
	}
	if n == 1 {
		bytes := float64(floatSize * rows * cols)
		b.ReportMetric(bytes/product.best(), "GB/s")
		if haveYardstick {
			b.ReportMetric(bytes/read.best(), "read-GB/s")
		}
	}
	b.ReportMetric(0, "ns/op") // it counts the yardsticks
}

// BenchmarkRows times the operations on one row, on one processor.
func BenchmarkRows(b *testing.B) {
	const width = 4096
	a, g, out, w := ones(width), ones(width), ones(width), ones(3*width)
	taps := [][]float32{ones(width), ones(width), ones(width)}
	for _, s := range Available() {
		for _, op := range []struct {
			name string
			run  func()
		}{
			{"Gate", func() { s.Gate(out, a, g) }},
			{"RMSNorm", func() { s.RMSNorm(out, a, g, 1e-6) }},
			{"Conv3", func() { s.Conv(out, taps, w) }},
			{"AddScaled", func() { s.AddScaled(out, a, 1e-9) }},
			{"RoundBF16", func() { s.RoundBF16(a) }},
		} {
			b.Run(s.Name+"/"+op.name, func(b *testing.B) {
				for b.Loop() {
					op.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/width, "ns/element")
			})
		}
	}
}

// floatSize is the size of a float32 in bytes.
const floatSize = 4

func ones(n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		all[i] = float32(i%7) - 3
	}
	return all
}
