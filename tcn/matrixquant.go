package tcn

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// NewMatrixQ2 makes a Matrix of 2-bit weights, which it uses in place. Input rows
// are rotated and turned into int8 numbers once a product, for all helpers.
func NewMatrixQ2(m *quant.Q2) Matrix {
	bytes := len(m.Codes()) + 4*len(m.Scale()) + len(m.Signs())
	return &matrixQuant{integers: m, codes: len(m.Codes()), bytes: int64(bytes), rotates: true}
}

// NewMatrixQ8 makes a Matrix of 8-bit weights, which it uses in place. Input rows
// are turned into int8 numbers once a product, for all helpers.
func NewMatrixQ8(m *quant.Q8) Matrix {
	return &matrixQuant{integers: m, codes: len(m.Codes()), bytes: int64(len(m.Codes()) + 4*len(m.Scale()))}
}

// integers is what the quantized forms do; see [quant.Q2].
type integers interface {
	Rows() int
	Cols() int
	Quantize(k *kernel.Set, q *kernel.Int8Rows, i int, x, room []float32) error
	MultiplyRows(k *kernel.Set, y []float32, q *kernel.Int8Rows, lo, hi int)
}

// matrixQuant is a [Matrix] of integers.
type matrixQuant struct {
	integers
	codes   int   // bytes
	bytes   int64 // of everything
	rotates bool  // Quantize needs room for a row
}

func (m *matrixQuant) Bytes() int64 { return m.bytes }

// Sizes of the pieces a quantized product is shared out in. They change who
// computes a row, never its bits.
const (
	// pieceBytes is the cost of one piece, in bytes of codes times the input
	// rows: at the rate of memory some ten microseconds, long against handing
	// it over.
	pieceBytes = 256 << 10

	// blockBytes is what a row block costs besides its codes: the time of its
	// results, in bytes of codes.
	blockBytes = 256

	// cachedBytes is the int8 numbers of input rows that stay in a core's cache
	// while matrix rows pass over them. More input rows are taken in batches of
	// half as many, and of whole tiles of the kernels.
	cachedBytes = 1 << 20
	tileRows    = 24
)

// Multiply implements [Matrix] by the rule for quantized products. Of a row that
// is not finite all results are not a number, as with other matrices; Step finds
// them.
func (m *matrixQuant) Multiply(c *Compute, y, x []float32, n int) {
	rows, cols := m.Rows(), m.Cols()
	batch := n
	if n*cols > cachedBytes {
		batch = max(2, cachedBytes/2/cols/tileRows) * tileRows
	}
	for i := 0; i < n; i += batch {
		count := min(batch, n-i)
		multiplyAlone(c, m, y[i*rows:], x[i*cols:], count)
	}
}

// plan implements piecewise.
func (m *matrixQuant) plan(n int) cut {
	blocks := (m.Rows() + kernel.LineRows - 1) / kernel.LineRows
	cost := (m.codes/blocks + blockBytes) * n // of a block
	made := cut{rows: max(1, pieceBytes/cost) * kernel.LineRows, cost: blocks * cost, ready: true}
	if m.rotates {
		made.room = m.Cols()
	}
	return made
}

// ready implements piecewise: it makes row i of p.x row i of the int8 rows.
func (m *matrixQuant) ready(k *kernel.Set, p *matrixProduct, i int, room []float32) {
	cols := m.Cols()
	_ = m.Quantize(k, &p.q, i, p.x[i*cols:(i+1)*cols], room[:min(len(room), cols)]) // the results say it too
}

// multiplyRows implements piecewise.
func (m *matrixQuant) multiplyRows(k *kernel.Set, p *matrixProduct, lo, hi int) {
	m.MultiplyRows(k, p.y, &p.q, lo, hi)
}

// LayerQ2 is the frozen weights of one layer with 2-bit matrices, in the order
// of [Layer].
type LayerQ2 struct {
	In   *quant.Q2 // W_in [2·d_ff, d_model]
	Conv []float32 // [kernel_size, conv width]
	Out  *quant.Q2 // W_out [d_model, d_ff]
}

// NewBlockQ2 makes block number b of a model of config c, whose Weights must be
// WeightsQ2. Everything is used in place. Errors: [ErrConfig], [ErrRange],
// [ErrShape], [ErrNotFinite] for a conv.
func NewBlockQ2(c Config, b int, layers []LayerQ2) (*Block, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Weights != WeightsQ2 {
		return nil, fmt.Errorf("%w: weights %q, want %q", ErrConfig, c.Weights, WeightsQ2)
	}
	if err := checkRange(Range{b, b + 1}, c.All()); err != nil {
		return nil, err
	}
	block := &Block{Layers: make([]Layer, len(layers))}
	for i, layer := range layers {
		if layer.In == nil || layer.Out == nil {
			return nil, fmt.Errorf("block %d layer %d: %w: a matrix is missing", b, i, ErrShape)
		}
		block.Layers[i] = Layer{In: NewMatrixQ2(layer.In), Conv: layer.Conv, Out: NewMatrixQ2(layer.Out)}
	}
	if err := block.Validate(c, b); err != nil {
		return nil, err
	}
	return block, nil
}
