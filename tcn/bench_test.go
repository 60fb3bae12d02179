package tcn

import (
	"fmt"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// BenchmarkStep is the rate of one layer of 3·1024·4096 weights, 48 MiB, for a
// decode of one row, a decode of 16 sequences and a prefill of 64 rows.
func BenchmarkStep(b *testing.B) {
	c := smallConfig(CellRelease)
	c.DModel, c.DFF, c.Layers, c.LayersPerBlock = 1024, 4096, 1, 1
	pool := kernel.NewPool(0)
	defer pool.Close()
	for _, set := range kernel.Available() {
		for _, shape := range []struct {
			name            string
			sequences, rows int
		}{{"decode", 1, 1}, {"decode16", 16, 1}, {"prefill64", 1, 64}} {
			b.Run(fmt.Sprintf("%s/%s", shape.name, set.Name), func(b *testing.B) {
				g := newGenerator(b, NewCPU(&Compute{Kernels: set, Pool: pool}), c, 1)
				var works []*Work
				for range shape.sequences {
					state, err := g.stage.NewState(c.All(), 0)
					if err != nil {
						b.Fatal(err)
					}
					works = append(works, &Work{State: state, Variant: g.variant})
				}
				row := seeded(1, 0, 0, shape.rows*c.DModel, 0, 1)
				for _, w := range works {
					w.Rows.Count, w.Rows.Data = shape.rows, make([]float32, len(row))
				}
				b.ReportAllocs()
				for b.Loop() {
					for _, w := range works {
						copy(w.Rows.Data, row)
						w.Rows.Position = w.State.Position()
					}
					if err := g.stage.Step(works); err != nil {
						b.Fatal(err)
					}
					for _, w := range works {
						if w.Err != nil {
							b.Fatal(w.Err)
						}
					}
				}
				rows := float64(shape.sequences * shape.rows * b.N)
				b.ReportMetric(rows*2*float64(c.Parameters().Matrices)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkNext is one draw with every option set.
func BenchmarkNext(b *testing.B) {
	s := Sampling{Temperature: 0.8, TopK: 40, TopP: 0.9, Seed: 1}
	logits := testLogits(1)
	position := 0
	for b.Loop() {
		s.Next(position, logits)
		position++
	}
}
