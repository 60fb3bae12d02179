package tcn

import (
	"fmt"
	"math"
)

// VocabSize is the number of tokens: a token is a byte.
const VocabSize = 256

// WithDefaults returns c with what an input config may leave out filled in:
// LayersPerBlock becomes one dilation cycle, State and Boundary become f32; and
// Weights of f32 are left out.
func (c Config) WithDefaults() Config {
	if c.LayersPerBlock == 0 {
		c.LayersPerBlock = len(c.Dilations)
	}
	if c.State == "" {
		c.State = F32
	}
	if c.Boundary == "" {
		c.Boundary = F32
	}
	if c.Weights == WeightsF32 {
		c.Weights = ""
	}
	return c
}

// Validate reports the first field outside its limits as an [ErrConfig]. A zero
// value is not valid anywhere but in MaxPositions and Weights; see
// [Config.WithDefaults].
// The other methods of Config expect a valid one.
func (c Config) Validate() error {
	if c.Cell != CellRelease && c.Cell != CellPaper {
		return fmt.Errorf("%w: cell %q, want %q or %q", ErrConfig, c.Cell, CellRelease, CellPaper)
	}
	fields := []struct {
		name       string
		value      int
		least, max int
	}{
		{"vocab_size", c.VocabSize, VocabSize, VocabSize},
		{"d_model", c.DModel, 1, MaxFanIn},
		{"d_ff", c.DFF, 1, MaxFanIn},
		{"n_layers", c.Layers, 1, MaxLayers},
		{"layers_per_block", c.LayersPerBlock, 1, MaxLayers},
		{"kernel_size", c.KernelSize, 1, MaxKernel},
		{"number of dilations", len(c.Dilations), 1, MaxDilations},
		{"max_positions", c.MaxPositions, 0, MaxPositions},
	}
	for _, f := range fields {
		if f.value < f.least || f.value > f.max {
			return fmt.Errorf("%w: %s %d outside [%d, %d]", ErrConfig, f.name, f.value, f.least, f.max)
		}
	}
	for i, dilation := range c.Dilations {
		if dilation < 1 || dilation > MaxDilation {
			return fmt.Errorf("%w: dilations[%d] %d outside [1, %d]", ErrConfig, i, dilation, MaxDilation)
		}
	}
	if !(c.RMSEps > 0 && c.RMSEps <= 1) {
		return fmt.Errorf("%w: rms_eps %v outside (0, 1]", ErrConfig, c.RMSEps)
	}
	if !c.State.valid() {
		return fmt.Errorf("%w: state %q, want %q or %q", ErrConfig, c.State, F32, BF16)
	}
	if !c.Boundary.valid() {
		return fmt.Errorf("%w: boundary %q, want %q or %q", ErrConfig, c.Boundary, F32, BF16)
	}
	if c.Weights != "" && c.Weights != WeightsQ2 {
		return fmt.Errorf("%w: weights %q, want none, for float32, or %q", ErrConfig, c.Weights, WeightsQ2)
	}
	return c.validateSizes()
}

// validateSizes checks the sizes that are products of fields.
func (c Config) validateSizes() error {
	// The factors are within their limits: at most 2^14 layers of 63·2^16 rows.
	history := int64(0)
	for layer := range c.Layers {
		history += int64(c.KernelSize-1) * int64(c.Dilation(layer))
	}
	if history > MaxHistoryRows {
		return fmt.Errorf("%w: kernel_size, dilations and n_layers make %d rows of history, more than %d",
			ErrConfig, history, MaxHistoryRows)
	}
	for _, size := range []struct {
		name  string
		sizes []int
	}{
		{"W_in of 2·d_ff·d_model", []int{2, c.DFF, c.DModel}},
		{"positions of max_positions·d_model", []int{c.MaxPositions, c.DModel}},
		{"state of history·width", []int{int(history) + c.Layers*DraftRows, c.ConvWidth()}},
	} {
		if _, ok := length(size.sizes...); !ok {
			return fmt.Errorf("%w: %s is larger than this machine's memory can be", ErrConfig, size.name)
		}
	}
	return nil
}

// valid reports whether n is a Number the model can round to.
func (n Number) valid() bool { return n == F32 || n == BF16 }

// size is the bytes of one stored number.
func (n Number) size() int {
	if n == BF16 {
		return 2
	}
	return 4
}

// Blocks is the number of Fractal Blocks; the last may be shorter.
func (c Config) Blocks() int {
	return (c.Layers + c.LayersPerBlock - 1) / c.LayersPerBlock
}

// All is the range of every block.
func (c Config) All() Range { return Range{0, c.Blocks()} }

// BlockLayers is the half-open range [lo, hi) of layers, counted from the start
// of the model, that block b holds.
func (c Config) BlockLayers(b int) (lo, hi int) {
	return b * c.LayersPerBlock, min((b+1)*c.LayersPerBlock, c.Layers)
}

// Dilation is the distance in rows between the taps of a layer, counted from
// the start of the model: dilations cycle through all layers, whatever the
// blocks.
func (c Config) Dilation(layer int) int {
	return c.Dilations[layer%len(c.Dilations)]
}

// ConvWidth is the number of channels of the convolution: d_ff in the release
// cell, where it follows W_in; d_model in the paper cell, where it precedes W.
func (c Config) ConvWidth() int {
	if c.Cell == CellPaper {
		return c.DModel
	}
	return c.DFF
}

// HistoryRows is how many input rows of r determine its state exactly: the sum
// of (kernel_size-1)·dilation over its layers. It adds up over adjacent ranges.
func (c Config) HistoryRows(r Range) int {
	rows := 0
	for b := r.Lo; b < r.Hi; b++ {
		lo, hi := c.BlockLayers(b)
		for layer := lo; layer < hi; layer++ {
			rows += (c.KernelSize - 1) * c.Dilation(layer)
		}
	}
	return rows
}

// ReceptiveField is how many bytes a prediction can depend on.
func (c Config) ReceptiveField() int { return c.HistoryRows(c.All()) + 1 }

// StateBytes is the memory of one sequence's state over r. It does not grow
// with the text: each layer keeps (kernel_size-1)·dilation + [DraftRows] rows.
func (c Config) StateBytes(r Range) int64 {
	lo, _ := c.BlockLayers(r.Lo)
	_, hi := c.BlockLayers(r.Hi - 1)
	rows := int64(c.HistoryRows(r)) + int64(hi-lo)*DraftRows
	return rows * int64(c.ConvWidth()) * int64(c.State.size())
}

// checkRange reports an [ErrRange] unless r is a range of at least one block
// within outer.
func checkRange(r, outer Range) error {
	if r.Lo >= r.Hi || !outer.Contains(r) {
		return fmt.Errorf("%w: [%d, %d) in [%d, %d)", ErrRange, r.Lo, r.Hi, outer.Lo, outer.Hi)
	}
	return nil
}

// Parameters counts the numbers a model is made of.
type Parameters struct {
	Matrices int64 // W_in and W_out of every layer
	Conv     int64 // taps of the convolutions
	Small    int64 // norm gains and a residual scale per layer, a routing scalar per block
	Ends     int64 // emb, which is also the head, positions and the final norm
	Total    int64
}

// Parameters counts what the config makes, whatever the model is called.
func (c Config) Parameters() Parameters {
	layers, d, f := int64(c.Layers), int64(c.DModel), int64(c.DFF)
	p := Parameters{
		Matrices: layers * 3 * d * f,
		Conv:     layers * int64(c.KernelSize) * int64(c.ConvWidth()),
		Small:    layers*(d+1) + int64(c.Blocks()),
		Ends:     (VocabSize + int64(c.MaxPositions) + 1) * d,
	}
	p.Total = p.Matrices + p.Conv + p.Small + p.Ends
	return p
}

// finite reports whether x holds no infinity and no not-a-number.
func finite(x []float32) bool {
	const exponent = 0x7f800000
	for _, v := range x {
		if math.Float32bits(v)&exponent == exponent {
			return false
		}
	}
	return true
}
