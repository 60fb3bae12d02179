package tcn

import "github.com/zetagrid/zetagrid/tcn/kernel"

// Matrix is one weight matrix [rows, cols] in whatever form it is stored. A
// quantized one converts its input rows itself, so the model never sees the
// difference.
type Matrix interface {
	Rows() int
	Cols() int
	// Bytes is the memory the weights take.
	Bytes() int64
	// Multiply computes y[i, r] = Σ x[i, c]·w[r, c] under EXACT's rules for the
	// stored form.
	//
	//	y [n, rows]   x [n, cols]
	Multiply(c *Compute, y, x []float32, n int)
}

// Compute is what a Matrix computes with: the instruction level and the workers
// it shares the rows among. Kernels must be set; a nil Pool means no helpers.
type Compute struct {
	Kernels *kernel.Set
	Pool    *kernel.Pool
}
