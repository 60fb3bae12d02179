package tcn

import (
	"fmt"
	"sync"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Sizes of the pieces a product is shared out in. They change who computes a
// row, never its bits.
const (
	// chunkWeights is the weights of one piece, 128 KiB: small enough to stay
	// in a core's cache for all rows of a batch, large enough to outweigh
	// handing it over.
	chunkWeights = 32 << 10

	// aloneProducts is how many multiplications are done sooner than helpers
	// are woken.
	aloneProducts = 64 << 10
)

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
	perChunk := max(1, chunkWeights/m.cols)
	if int64(n)*int64(len(m.w)) <= aloneProducts || m.rows <= perChunk {
		c.Kernels.MatMul(y, x, m.w, n, m.rows, m.cols, 0, m.rows)
		return
	}
	job := productJobs.Get().(*productJob)
	job.m, job.kernels, job.y, job.x, job.n, job.perChunk = m, c.Kernels, y, x, n, perChunk
	c.Pool.Run((m.rows+perChunk-1)/perChunk, job.run)
	job.m, job.kernels, job.y, job.x = nil, nil, nil, nil
	productJobs.Put(job)
}

// productJob is one product while it is shared out. Jobs are reused, each with
// its function value, so that a product allocates nothing.
type productJob struct {
	m        *matrixF32
	kernels  *kernel.Set
	y, x     []float32
	n        int
	perChunk int // weight rows per piece
	run      func(i int)
}

var productJobs = sync.Pool{New: func() any {
	job := new(productJob)
	job.run = job.piece
	return job
}}

// piece computes weight rows [i·perChunk, (i+1)·perChunk).
func (j *productJob) piece(i int) {
	lo := i * j.perChunk
	hi := min(lo+j.perChunk, j.m.rows)
	j.kernels.MatMul(j.y, j.x, j.m.w, j.n, j.m.rows, j.m.cols, lo, hi)
}
