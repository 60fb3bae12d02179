package kernel

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// timer adds up time and work over the rounds of a benchmark.
type timer struct{ spent time.Duration }

func (t *timer) run(f func()) {
	start := time.Now()
	f()
	t.spent += time.Since(start)
}

// perSecond is work per second in units of 1e9.
func (t *timer) perSecond(work float64) float64 { return work / float64(t.spent.Nanoseconds()) }

// BenchmarkMatMul multiplies n rows with a matrix on all processors, and in
// the same rounds measures the yardsticks: multiplications and additions in
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
	processors := runtime.GOMAXPROCS(0)
	const rounds = 20000
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
		peak.run(func() { p.Run(processors, func(int) { measure.multiplyAddPeak(rounds) }) })
		if n == 1 {
			other := w[(turn+copies/2)%copies*rows*cols:][:rows*cols]
			blocks := chunk * cols / (8 * measure.lanes)
			read.run(func() {
				p.Run(rows/chunk, func(i int) { measure.readMemory(&other[i*chunk*cols], blocks) })
			})
		}
	}
	turns := float64(b.N)
	flops := 2 * float64(n) * float64(rows) * float64(cols) * turns
	b.ReportMetric(product.perSecond(flops), "GFLOP/s")
	b.ReportMetric(float64(product.spent.Microseconds())/turns, "µs/product")
	if haveYardstick {
		work := 2 * 12 * rounds * float64(measure.lanes*processors) * turns
		b.ReportMetric(peak.perSecond(work), "peak-GFLOP/s")
	}
	if n == 1 {
		bytes := float64(4*rows*cols) * turns
		b.ReportMetric(product.perSecond(bytes), "GB/s")
		if haveYardstick {
			b.ReportMetric(read.perSecond(bytes), "read-GB/s")
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

func ones(n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		all[i] = float32(i%7) - 3
	}
	return all
}
