package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// BenchmarkForkJoin times an empty Run with one chunk per goroutine, straight
// after the last and after pauses in which the workers may fall asleep; the
// median.
func BenchmarkForkJoin(b *testing.B) {
	for _, pause := range []time.Duration{0, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond} {
		b.Run(fmt.Sprintf("pause=%v", pause), func(b *testing.B) {
			p := NewPool(0)
			defer p.Close()
			p.Begin()
			defer p.End()
			n := runtime.GOMAXPROCS(0)
			var spent timer
			for b.Loop() {
				start := time.Now()
				for time.Since(start) < pause {
				}
				spent.run(func() { p.Run(n, func(int) {}) })
			}
			slices.Sort(spent.rounds)
			b.ReportMetric(float64(spent.rounds[len(spent.rounds)/2].Nanoseconds())/1e3, "µs/run")
			b.ReportMetric(0, "ns/op") // it counts the pauses
		})
	}
}
