package train

import (
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// Model is the numbers of a model in training, as [Load] or [NewModel] makes them.
type Model struct {
	Config tcn.Config
	Emb    []float32 // [256, d_model]
	Pos    []float32 // [max_positions, d_model]; empty without positions
	NormF  []float32 // [d_model]
	Layers []Layer

	// Routing is r of every Fractal Block: 1 is the block itself, 0 skips it.
	Routing []float32 // [blocks]
}

// Layer is the numbers of one layer.
type Layer struct {
	// In and Out are the matrices: as they are, or, if the model's weights are
	// 2-bit, rotated, W·D·H/√block: what is rounded to levels for every step. They
	// are nil when Frozen is set.
	In   []float32 // [2·d_ff, d_model]
	Conv []float32 // [kernel_size, conv width], tap-major
	Out  []float32 // [d_model, d_ff]

	Gain  []float32 // [d_model]
	Scale []float32 // [1]

	Frozen *tcn.LayerQ2 // 2-bit matrices that are not trained
}

// What a stream of random numbers is for; part of its seed.
const (
	drawEmb = iota + 1
	drawPos
	drawIn
	drawConv
	drawOut
	drawWindow
	drawDropout
)

// NewModel makes the numbers that training begins with: those that c and seed
// determine. Its matrices are rotated if c's weights are 2-bit. Errors: tcn.ErrConfig.
func NewModel(c tcn.Config, seed uint64) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d, f := float64(c.DModel), float64(c.DFF)
	m := &Model{
		Config: c,
		Emb:    spread(seed, drawEmb, 0, tcn.VocabSize*c.DModel, 1/math.Sqrt(d)),
		NormF:  ones(c.DModel),
	}
	if c.MaxPositions > 0 {
		m.Pos = spread(seed, drawPos, 0, c.MaxPositions*c.DModel, 0.25/math.Sqrt(d))
	}
	for layer := range c.Layers {
		l := Layer{
			In:    spread(seed, drawIn, layer, 2*c.DFF*c.DModel, 1/math.Sqrt(d)),
			Conv:  spread(seed, drawConv, layer, c.KernelSize*c.ConvWidth(), 0.5/math.Sqrt(float64(c.KernelSize))),
			Out:   spread(seed, drawOut, layer, c.DModel*c.DFF, 1/math.Sqrt(f)),
			Gain:  ones(c.DModel),
			Scale: []float32{float32(1 / math.Sqrt(float64(c.Layers)))},
		}
		present := l.Conv[(c.KernelSize-1)*c.ConvWidth():]
		for i := range present { // the present input comes through from the beginning
			present[i]++
		}
		m.Layers = append(m.Layers, l)
	}
	m.Routing = ones(c.Blocks())
	if c.Weights == tcn.WeightsQ2 {
		m.rotate()
	}
	return m, nil
}

// spread draws n numbers of a deviation, evenly on both sides of 0.
func spread(seed uint64, purpose, layer, n int, deviation float64) []float32 {
	start := tcn.Hash64(tcn.Hash64(seed, uint64(purpose)), uint64(layer))
	values := make([]float32, n)
	for i := range values {
		signed := float64(int32(tcn.Hash64(start, uint64(i))>>40)-1<<23) / (1 << 23) // [-1, 1)
		values[i] = float32(signed * deviation * math.Sqrt(3))
	}
	return values
}

func ones(n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = 1
	}
	return values
}

// SetWeights changes how the matrices are to be stored: from float32 numbers to
// the 2-bit form, for quantization-aware training. Errors: [ErrConfig] for the
// way back.
func (m *Model) SetWeights(w tcn.Weights) error {
	if w == tcn.WeightsF32 {
		w = ""
	}
	if m.Config.Weights == w {
		return nil
	}
	if w != tcn.WeightsQ2 {
		return fmt.Errorf("%w: 2-bit weights do not become %s", ErrConfig, tcn.WeightsF32)
	}
	m.Config.Weights = w
	m.rotate()
	return nil
}

// rotate turns every matrix W into W·D·H/√block.
func (m *Model) rotate() {
	set, c := kernel.Best(), m.Config
	for layer := range m.Layers {
		l := &m.Layers[layer]
		rotateRows(set, l.In, quant.Signs(quant.DefaultSeed, layer, quant.MatrixIn, c.DModel), c.DModel)
		rotateRows(set, l.Out, quant.Signs(quant.DefaultSeed, layer, quant.MatrixOut, c.DFF), c.DFF)
	}
}

// rotateRows rotates rows of cols numbers so that they keep their length.
func rotateRows(set *kernel.Set, values []float32, signs []byte, cols int) {
	shrink := float32(1 / math.Sqrt(float64(kernel.HadamardBlock(cols))))
	for lo := 0; lo < len(values); lo += cols {
		row := values[lo : lo+cols]
		set.Hadamard(row, row, signs)
		for c := range row {
			row[c] *= shrink
		}
	}
}

// tensor is one trained array of numbers.
type tensor struct {
	name   string
	values []float32
	decays bool
}

// Part says which numbers of a model are trained.
type Part int

const (
	// All is everything but routing scalars of 1, which stay.
	All Part = iota
	// Small is norm gains, scales and routing scalars: what a Model has beside
	// the Genome, apart from the ends.
	Small
)

// tensors lists the trained numbers of a part in a fixed order.
func (m *Model) tensors(part Part) []tensor {
	var list []tensor
	add := func(name string, values []float32, decays bool) {
		if len(values) > 0 {
			list = append(list, tensor{name, values, decays})
		}
	}
	if part == All {
		add("emb", m.Emb, false)
		add("pos", m.Pos, false)
		add("norm_f", m.NormF, false)
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		if part == All {
			add(fmt.Sprintf("%d.w_in", i), l.In, true)
			add(fmt.Sprintf("%d.w_dw", i), l.Conv, false)
			add(fmt.Sprintf("%d.w_out", i), l.Out, true)
		}
		add(fmt.Sprintf("%d.norm", i), l.Gain, false)
		add(fmt.Sprintf("%d.scale", i), l.Scale, false)
	}
	add("routing", m.Routing, false)
	return list
}

// gradients returns zeros in the shape of the trained numbers.
func (m *Model) gradients(part Part) *Model {
	like := func(values []float32) []float32 { return make([]float32, len(values)) }
	g := &Model{Config: m.Config, Routing: like(m.Routing)}
	if part == All {
		g.Emb, g.Pos, g.NormF = like(m.Emb), like(m.Pos), like(m.NormF)
	}
	for _, l := range m.Layers {
		made := Layer{Gain: like(l.Gain), Scale: like(l.Scale)}
		if part == All {
			made.In, made.Conv, made.Out = like(l.In), like(l.Conv), like(l.Out)
		}
		g.Layers = append(g.Layers, made)
	}
	return g
}
