package tcn

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// chunkWeights is the weights of one piece, 128 KiB: small enough to stay in a
// core's cache for all rows of a batch, large enough to outweigh handing it over.
const chunkWeights = 32 << 10

// matrixF32 is a [Matrix] of float32 numbers.
type matrixF32 struct {
	rows, cols int
	w          []float32 // [rows, cols] row-major
}

// NewMatrixF32 makes a Matrix [rows, cols] of the row-major weights w, which it
// uses in place: w may be a mapped file and must stay valid and unchanged.
// Errors: [ErrShape] when a size is zero, cols is larger than [MaxFanIn] or w
// does not have rows·cols numbers.
func NewMatrixF32(rows, cols int, w []float32) (Matrix, error) {
	n, ok := length(rows, cols)
	if !ok || rows < 1 || cols < 1 || cols > MaxFanIn || len(w) != n {
		return nil, fmt.Errorf("%w: matrix [%d, %d] of %d numbers", ErrShape, rows, cols, len(w))
	}
	return &matrixF32{rows: rows, cols: cols, w: w}, nil
}

func (m *matrixF32) Rows() int    { return m.rows }
func (m *matrixF32) Cols() int    { return m.cols }
func (m *matrixF32) Bytes() int64 { return 4 * int64(len(m.w)) }

// Multiply implements [Matrix] by the rule for products in f32.
func (m *matrixF32) Multiply(c *Compute, y, x []float32, n int) {
	if l := m.plan(n); l.cost <= aloneCost {
		c.Kernels.MatMul(y, x, m.w, n, m.rows, m.cols, 0, m.rows)
		return
	}
	multiplyAlone(c, m, y, x, n)
}

// plan implements piecewise. Matrices of few rows are cut finer, so that each
// processor has some.
func (m *matrixF32) plan(n int) cut {
	const fewest, tile = 4, 4 // pieces; rows that are computed together
	rows := max(1, chunkWeights/m.cols)
	if rows*fewest > m.rows {
		rows = max(tile, m.rows/fewest)
	}
	return cut{rows: rows, cost: 4 * len(m.w) * n}
}

// ready implements piecewise; there is nothing to do.
func (m *matrixF32) ready(*kernel.Set, *matrixProduct, int, []float32) {}

// multiplyRows implements piecewise.
func (m *matrixF32) multiplyRows(k *kernel.Set, p *matrixProduct, lo, hi int) {
	k.MatMul(p.y, p.x, m.w, p.n, m.rows, m.cols, lo, hi)
}
