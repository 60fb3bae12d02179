package train

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// peakOf is the multiplications a second of some processors, in registers: each
// takes the best of many short bursts.
func peakOf(set *vector.Set, processors int, clock func() int64) float64 {
	const rounds, bursts = 1 << 14, 200
	var group sync.WaitGroup
	best := make([]float64, processors)
	for i := range best {
		group.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range bursts {
				began := clock()
				n, _ := set.FusedPeak(rounds)
				best[i] = max(best[i], float64(n)*1e9/float64(clock()-began))
			}
		})
	}
	group.Wait()
	sum := 0.0
	for _, rate := range best {
		sum += rate
	}
	return sum
}

// BenchmarkStep measures an optimizer step of the command line's default model:
// bytes a second, and what matrix products reach of the processors' peak. "all" is
// by the wall clock. "one" computes on one thread and counts only the time that it
// had the processor, which other programs on the machine disturb little.
//
//	go test ./tcn/train -run '^$' -bench Step -benchtime 10x
func BenchmarkStep(b *testing.B) {
	began := time.Now()
	wall := func() int64 { return int64(time.Since(began)) }
	for _, weights := range []tcn.Weights{tcn.WeightsF32, tcn.WeightsQ2} {
		b.Run(string(weights)+"/one", func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			benchmarkStep(b, weights, nil, processorClock)
		})
		b.Run(string(weights)+"/all", func(b *testing.B) {
			pool := kernel.NewPool(0)
			defer pool.Close()
			pool.Begin()
			defer pool.End()
			benchmarkStep(b, weights, pool, wall)
		})
	}
}

func benchmarkStep(b *testing.B, weights tcn.Weights, pool *kernel.Pool, clock func() int64) {
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 192, DFF: 576, Layers: 16,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, RMSEps: 1e-6, Weights: weights,
	}.WithDefaults()
	m, err := NewModel(c, 1)
	if err != nil {
		b.Fatal(err)
	}
	text := randomText(rand.New(rand.NewPCG(1, 2)), 1<<20)
	corpus, err := NewCorpus([]Text{{Name: "random", Data: text}}, nil, eval.DefaultSplit)
	if err != nil {
		b.Fatal(err)
	}
	o, vectors := DefaultOptions(), vector.Best()
	trainer, err := New(m, nil, corpus, o, Compute{Kernels: kernel.Best(), Vectors: vectors, Pool: pool, Clock: clock})
	if err != nil {
		b.Fatal(err)
	}
	steps(b, trainer, 1) // takes the memory
	width := pool.Width()
	peak := peakOf(vectors, width, clock)
	products, nanoseconds := trainer.Work()
	began := clock()
	b.ResetTimer()
	steps(b, trainer, b.N)
	b.StopTimer()
	took := float64(clock()-began) / 1e9
	done, until := trainer.Work()
	rate := float64(done-products) / float64(until-nanoseconds) * 1e9 * float64(width)
	b.ReportMetric(float64(b.N*o.Batch*o.Sequence)/took, "bytes/s")
	b.ReportMetric(2*rate/1e9, "GFLOP/s")
	b.ReportMetric(2*peak/1e9, "peak-GFLOP/s")
	b.ReportMetric(100*rate/peak, "%peak")
	b.ReportMetric(100*float64(until-nanoseconds)/1e9/took/float64(width), "%products")
}
