package tcn

import (
	"fmt"
	"sync"

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

	// aloneBytes is the cost of products that are done sooner than helpers are
	// woken.
	aloneBytes = 64 << 10

	// aloneNumbers is how many numbers are quantized sooner than helpers are
	// woken.
	aloneNumbers = 8 << 10

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
		m.multiply(c, y[i*rows:], x[i*cols:], min(batch, n-i))
	}
}

// multiply is Multiply of one batch of rows.
func (m *matrixQuant) multiply(c *Compute, y, x []float32, n int) {
	rows, cols := m.Rows(), m.Cols()
	job := quantJobs.Get().(*quantJob)
	job.m, job.kernels, job.y, job.x = m, c.Kernels, y, x
	job.q.Reset(n, cols)
	if n*cols <= aloneNumbers {
		for i := range n {
			job.quantize(i)
		}
	} else {
		c.Pool.Run(n, job.runQuantize)
	}
	blocks := (rows + kernel.LineRows - 1) / kernel.LineRows
	cost := (m.codes/blocks + blockBytes) * n // of a block
	if blocks*cost <= aloneBytes {
		m.MultiplyRows(c.Kernels, y, &job.q, 0, rows)
	} else {
		perPiece := max(1, pieceBytes/cost)
		job.perPiece = perPiece * kernel.LineRows
		job.pieces = (blocks + perPiece - 1) / perPiece
		job.lanes = min(c.Pool.Width(), job.pieces)
		c.Pool.Run(job.pieces, job.runMultiply)
	}
	job.m, job.kernels, job.y, job.x = nil, nil, nil, nil
	quantJobs.Put(job)
}

// quantJob is one product while it is shared out. Jobs are reused, each with its
// function values and its int8 rows, so that a product allocates nothing.
type quantJob struct {
	m           *matrixQuant
	kernels     *kernel.Set
	y, x        []float32
	q           kernel.Int8Rows
	perPiece    int // weight rows
	pieces      int
	lanes       int // regions that pieces are taken from in turn
	runQuantize func(i int)
	runMultiply func(i int)
}

var quantJobs = sync.Pool{New: func() any {
	job := new(quantJob)
	job.runQuantize, job.runMultiply = job.quantize, job.multiply
	return job
}}

// rowRoom is room for one rotated row.
type rowRoom struct{ row []float32 }

var rowRooms = sync.Pool{New: func() any { return new(rowRoom) }}

// quantize makes row i of x row i of the int8 rows.
func (j *quantJob) quantize(i int) {
	cols := j.m.Cols()
	room := rowRooms.Get().(*rowRoom)
	if j.m.rotates {
		room.row = grown(room.row, cols)
	}
	_ = j.m.Quantize(j.kernels, &j.q, i, j.x[i*cols:(i+1)*cols], room.row) // the results say it too
	rowRooms.Put(room)
}

// multiply computes piece i in the order in which pieces are taken: in turn from
// as many regions of the matrix as there are processors. While these keep pace,
// each reads one stream, and what it asked for ahead is what it needs next.
func (j *quantJob) multiply(i int) {
	region, at := i%j.lanes, i/j.lanes
	whole, longer := j.pieces/j.lanes, j.pieces%j.lanes // the first longer regions have one piece more
	lo := (region*whole + min(region, longer) + at) * j.perPiece
	j.m.MultiplyRows(j.kernels, j.y, &j.q, lo, min(lo+j.perPiece, j.m.Rows()))
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
