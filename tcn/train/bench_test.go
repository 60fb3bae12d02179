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

// peakOf is the multiplications a second of all processors, in registers: each
// takes the best of many short bursts.
func peakOf(set *vector.Set) float64 {
	const rounds, bursts = 1 << 14, 200
	var group sync.WaitGroup
	best := make([]float64, runtime.GOMAXPROCS(0))
	for i := range best {
		group.Go(func() {
			for range bursts {
				began := time.Now()
				n, _ := set.FusedPeak(rounds)
				best[i] = max(best[i], float64(n)/time.Since(began).Seconds())
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
// bytes a second, and what matrix products reach of the processors' peak.
func BenchmarkStep(b *testing.B) {
	for _, weights := range []tcn.Weights{"", tcn.WeightsQ2} {
		name := "f32"
		if weights != "" {
			name = string(weights)
		}
		b.Run(name, func(b *testing.B) {
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
			pool := kernel.NewPool(0)
			defer pool.Close()
			vectors, began := vector.Best(), time.Now()
			o := DefaultOptions()
			trainer, err := New(m, nil, corpus, o, Compute{
				Kernels: kernel.Best(), Vectors: vectors, Pool: pool,
				Clock: func() int64 { return int64(time.Since(began)) },
			})
			if err != nil {
				b.Fatal(err)
			}
			pool.Begin()
			defer pool.End()
			steps(b, trainer, 1)
			peak := peakOf(vectors)
			products, nanoseconds := trainer.Work()
			b.ResetTimer()
			steps(b, trainer, b.N)
			b.StopTimer()
			done, took := trainer.Work()
			products, nanoseconds = done-products, took-nanoseconds
			width := float64(pool.Width())
			rate := float64(products) / float64(nanoseconds) * 1e9 * width
			b.ReportMetric(float64(b.N*o.Batch*o.Sequence)/b.Elapsed().Seconds(), "bytes/s")
			b.ReportMetric(2*rate/1e9, "GFLOP/s")
			b.ReportMetric(2*peak/1e9, "peak-GFLOP/s")
			b.ReportMetric(100*rate/peak, "%peak")
			b.ReportMetric(100*float64(nanoseconds)/1e9/b.Elapsed().Seconds()/width, "%products")
		})
	}
}
