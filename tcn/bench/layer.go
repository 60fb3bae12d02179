package bench

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// layerSize is the widths of a layer, and how many of it memory holds.
type layerSize struct{ d, f, layers int }

// soulRank is the rank of the Soul that layers are measured with.
const soulRank = 16

// soulForm is what the numbers of that Soul are.
type soulForm string

const (
	soulF32 soulForm = "f32"
	soulQ8  soulForm = "q8"
)

// layer is one row through whole layers, a Soul of soulRank included, beside the
// frozen products of the same layers alone: the ratio is the part of the time
// that these take.
func (l *Lab) layer(set *kernel.Set, size layerSize, soul soulForm, goal Goal) Measurement {
	name := fmt.Sprintf("d=%d,f=%d,soul=%s", size.d, size.f, soul)
	return Measurement{"layer", set.Name, name, func(ctx context.Context, rounds int) (Figure, error) {
		s, err := l.newStage(set, size, soul)
		if err != nil {
			return Figure{}, err
		}
		layers := float64(size.layers)
		f, err := pair{
			work: s.step, ceiling: s.products,
			workAmount: layers, ceilingAmount: layers,
		}.beside(ctx, rounds)
		f.Processors, f.Unit, f.Beside, f.Goal = l.pool.Width(), "layers/s", "products alone", goal
		return f, errors.Join(err, s.err)
	}}
}

// stage is layers and a sequence in them.
type stage struct {
	lab     *Lab
	compute *tcn.Compute
	stage   tcn.Stage
	block   *tcn.Block
	works   []*tcn.Work
	input   []float32 // [d]
	u, h    []float32 // [f], [2·f]
	err     error     // the first of a step
}

// newStage loads layers with weights in memory.
func (l *Lab) newStage(set *kernel.Set, size layerSize, form soulForm) (*stage, error) {
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: size.d, DFF: size.f,
		Layers: size.layers, LayersPerBlock: size.layers, KernelSize: 3,
		Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, RMSEps: 1e-6, Weights: tcn.WeightsQ2,
	}.WithDefaults()
	conv := numbers(c.KernelSize * c.DFF)
	layers, o := make([]tcn.LayerQ2, c.Layers), layout{lab: l}
	for i := range layers {
		var in, out *quant.Q2
		var err error
		if in, err = o.matrix(2*c.DFF, c.DModel); err == nil {
			out, err = o.matrix(c.DModel, c.DFF)
		}
		if err != nil {
			return nil, err
		}
		layers[i] = tcn.LayerQ2{In: in, Conv: conv, Out: out}
	}
	block, err := tcn.NewBlockQ2(c, 0, layers)
	if err != nil {
		return nil, err
	}
	variant := &tcn.Variant{Range: c.All(), Small: []*tcn.Small{tcn.SeededSmall(c, 1, 0)}}
	for i := range layers { // random codes would grow without end
		variant.Small[0].Layers[i].Scale = 0
	}
	soul, err := newSoul(c, form)
	if err != nil {
		return nil, err
	}
	variant.Souls = []tcn.SoulTerm{{Weight: 1, Slices: []*tcn.SoulSlice{soul}}}
	s := &stage{lab: l, compute: &tcn.Compute{Kernels: set, Pool: l.pool}, block: block, input: numbers(c.DModel),
		u: make([]float32, c.DFF), h: make([]float32, 2*c.DFF)}
	if s.stage, err = tcn.NewCPU(s.compute).Load(c, c.All(), []*tcn.Block{block}); err != nil {
		return nil, err
	}
	state, err := s.stage.NewState(c.All(), 0)
	if err != nil {
		return nil, err
	}
	s.works = []*tcn.Work{{State: state, Variant: variant, Rows: tcn.Rows{Count: 1, Data: make([]float32, c.DModel)}}}
	return s, nil
}

// step takes the next row through the layers.
func (s *stage) step() {
	w := s.works[0]
	w.Rows.Position = w.State.Position()
	copy(w.Rows.Data, s.input)
	s.err = errors.Join(s.err, s.stage.Step(s.works), w.Err)
}

// products computes the layers' frozen products and nothing else.
func (s *stage) products() {
	s.lab.pool.Begin()
	defer s.lab.pool.End()
	for _, l := range s.block.Layers {
		l.In.Multiply(s.compute, s.h, s.u[:l.In.Cols()], 1)
		l.Out.Multiply(s.compute, s.h[:l.Out.Rows()], s.u, 1)
	}
}

// newSoul makes the slice of a Soul for the one block of c.
func newSoul(c tcn.Config, form soulForm) (*tcn.SoulSlice, error) {
	if form == soulF32 {
		return tcn.SeededSoulSlice(c, 1, 0, soulRank)
	}
	slice := &tcn.SoulSlice{Layers: make([]tcn.SoulLayer, c.Layers)}
	for i := range slice.Layers {
		l := &slice.Layers[i]
		for _, part := range []struct {
			matrix     *tcn.Matrix
			rows, cols int
		}{
			{&l.InA, soulRank, c.DModel}, {&l.InB, 2 * c.DFF, soulRank},
			{&l.OutA, soulRank, c.DFF}, {&l.OutB, c.DModel, soulRank},
		} {
			m, err := eighths(part.rows, part.cols)
			if err != nil {
				return nil, err
			}
			*part.matrix = tcn.NewMatrixQ8(m)
		}
	}
	return slice, nil
}

// eighths makes an 8-bit matrix of any numbers.
func eighths(rows, cols int) (*quant.Q8, error) {
	m, err := quant.MakeQ8(rows, cols)
	if err != nil {
		return nil, err
	}
	row := make([]int8, cols)
	for r := range rows {
		for c := range row {
			row[c] = int8(tcn.Hash64(uint64(r), uint64(c))%255) - 127
		}
		if err := m.SetRow(r, row, float32(1/(127*math.Sqrt(float64(cols))))); err != nil {
			return nil, err
		}
	}
	return m, nil
}
