package cuda

import (
	"fmt"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// sizesConfig is one block of a width.
func sizesConfig(weights tcn.Weights, d, f int) tcn.Config {
	return tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: d, DFF: f, Layers: 2, KernelSize: 3,
		Dilations: []int{1, 4}, RMSEps: 1e-6, State: tcn.BF16, Boundary: tcn.BF16, Weights: weights,
	}.WithDefaults()
}

// TestSizesOnFake is some sizes on the device of plain Go.
func TestSizesOnFake(t *testing.T) {
	b, _ := openFake(t, Options{StateBytes: 64 << 20})
	newSizes(t, b, sizesConfig(tcn.WeightsQ2, 48, 80)).check(1, 2, 9, 33, 64, 256, 300)
}

// sizes steps batches and chunks of given sizes on a device and on the processor.
type sizes struct {
	t        *testing.T
	config   tcn.Config
	stages   [2]tcn.Stage // device, CPU
	variants []*tcn.Variant
	states   [2][]tcn.State // of batches
	rows     int            // drawn so far
}

func newSizes(t *testing.T, b tcn.Backend, c tcn.Config) *sizes {
	t.Helper()
	s := &sizes{t: t, config: c}
	block, err := tcn.SeededBlock(c, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	pool := kernel.NewPool(0)
	t.Cleanup(pool.Close)
	for i, backend := range []tcn.Backend{b, tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best(), Pool: pool})} {
		if s.stages[i], err = backend.Load(c, c.All(), []*tcn.Block{block}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.stages[i].Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	s.wear()
	return s
}

// wear makes what sequences wear: nothing, Souls of either form and rank, several.
func (s *sizes) wear() {
	small := []*tcn.Small{tcn.SeededSmall(s.config, 1, 0)}
	term := func(weight float32, slice *tcn.SoulSlice, err error) tcn.SoulTerm {
		if err != nil {
			s.t.Fatal(err)
		}
		return tcn.SoulTerm{Weight: weight, Slices: []*tcn.SoulSlice{slice}}
	}
	float := func(seed uint64, rank int) tcn.SoulTerm {
		slice, err := tcn.SeededSoulSlice(s.config, seed, 0, rank)
		return term(0.5, slice, err)
	}
	eight, err := soulOf8(s.config, 16)
	whole := term(-0.25, eight, err)
	for _, souls := range [][]tcn.SoulTerm{nil, {whole}, {float(2, 5)}, {whole, float(3, 16)}, {float(4, 1), whole, float(2, 5)}} {
		s.variants = append(s.variants, &tcn.Variant{Range: s.config.All(), Small: small, Souls: souls})
	}
}

// soulOf8 is a Soul of 8-bit rows.
func soulOf8(c tcn.Config, rank int) (*tcn.SoulSlice, error) {
	matrix := func(rows, cols int) (*quant.Q8, error) {
		m, err := quant.MakeQ8(rows, cols)
		if err != nil {
			return nil, err
		}
		row := make([]int8, cols)
		for r := range rows {
			for i := range row {
				row[i] = int8(tcn.Hash64(uint64(r), uint64(i))%255) - 127
			}
			if err := m.SetRow(r, row, float32(1/(127*math.Sqrt(float64(cols))))); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	layers := make([]tcn.SoulLayerQ8, c.Layers)
	for i := range layers {
		l := &layers[i]
		for _, part := range []struct {
			to         **quant.Q8
			rows, cols int
		}{{&l.InA, rank, c.DModel}, {&l.InB, 2 * c.DFF, rank}, {&l.OutA, rank, c.DFF}, {&l.OutB, c.DModel, rank}} {
			var err error
			if *part.to, err = matrix(part.rows, part.cols); err != nil {
				return nil, err
			}
		}
	}
	return tcn.NewSoulSliceQ8(c, 0, rank, layers)
}

// check steps a batch of every size, of sequences with one row each, and a chunk of
// every size, of one sequence.
func (s *sizes) check(list ...int) {
	s.t.Helper()
	for _, n := range list {
		for len(s.states[0]) < n {
			for i := range s.stages {
				s.states[i] = append(s.states[i], s.state(i))
			}
		}
		var batch [2][]*tcn.Work
		for j := range n {
			data := s.draw(1)
			for i := range batch {
				batch[i] = append(batch[i], s.work(s.states[i][j], j, data))
			}
		}
		s.step(fmt.Sprintf("batch of %d", n), batch)

		data := s.draw(n)
		var chunk [2][]*tcn.Work
		for i := range chunk {
			chunk[i] = []*tcn.Work{s.work(s.state(i), n, data)}
		}
		s.step(fmt.Sprintf("chunk of %d", n), chunk)
		for i := range chunk {
			if err := chunk[i][0].State.Close(); err != nil {
				s.t.Error(err)
			}
		}
	}
	for i := range s.states {
		for _, state := range s.states[i] {
			if err := state.Close(); err != nil {
				s.t.Error(err)
			}
		}
		s.states[i] = nil
	}
}

func (s *sizes) state(i int) tcn.State {
	state, err := s.stages[i].NewState(s.config.All(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

// work is rows of a sequence, with what the number n wears.
func (s *sizes) work(state tcn.State, n int, rows []float32) *tcn.Work {
	return &tcn.Work{State: state, Variant: s.variants[n%len(s.variants)], Rows: tcn.Rows{
		Position: state.Position(), Count: len(rows) / s.config.DModel, Data: append([]float32(nil), rows...)}}
}

// draw is rows as a block boundary leaves them, of sizes from tiny to huge.
func (s *sizes) draw(n int) []float32 {
	rows := make([]float32, n*s.config.DModel)
	for i := range rows {
		s.rows++
		rows[i] = (2*tcn.Uniform(9, s.rows) - 1) * float32(math.Pow(10, float64(tcn.Hash64(8, uint64(s.rows/s.config.DModel))%9)-4))
	}
	kernel.Portable().RoundBF16(rows)
	return rows
}

func (s *sizes) step(what string, works [2][]*tcn.Work) {
	s.t.Helper()
	for i := range works {
		if err := s.stages[i].Step(works[i]); err != nil {
			s.t.Fatalf("%s: %v", what, err)
		}
	}
	compare(s.t, what, works[0], works[1])
}
