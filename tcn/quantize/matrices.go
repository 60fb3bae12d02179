package quantize

import (
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// roundedRows turns rows into int8 numbers as a 2-bit matrix does.
type roundedRows struct {
	signs []byte
	q     kernel.Int8Rows
	room  []float32
}

// round makes q of x.
//
//	x [n, cols]
func (r *roundedRows) round(c *tcn.Compute, x []float32, n int) *kernel.Int8Rows {
	cols := len(x) / n
	r.q.Reset(n, cols)
	r.room = grown(r.room, n*cols)
	c.Pool.Run(n, func(i int) {
		row := r.room[i*cols : (i+1)*cols]
		c.Kernels.Hadamard(row, x[i*cols:(i+1)*cols], r.signs)
		c.Kernels.QuantizeRow(&r.q, i, row) // a row that is not finite gets a scale that is no number
	})
	return &r.q
}

// recorder is a tcn.Matrix that gathers the rows it meets. Its products are those
// of inner, or zeros without one.
type recorder struct {
	rows, cols int
	inner      tcn.Matrix
	rounded    roundedRows
	moments    *rounding.Moments // nil: gather nothing
}

func (m *recorder) Rows() int    { return m.rows }
func (m *recorder) Cols() int    { return m.cols }
func (m *recorder) Bytes() int64 { return 0 }

// Multiply implements tcn.Matrix.
func (m *recorder) Multiply(c *tcn.Compute, y, x []float32, n int) {
	if m.moments != nil {
		m.moments.Add(compute(c), m.rounded.round(c, x[:n*m.cols], n))
	}
	if m.inner == nil {
		clear(y[:n*m.rows])
		return
	}
	m.inner.Multiply(c, y, x, n)
}

// int8Matrix is a tcn.Matrix of float32 weights, rotated, whose rows are turned
// into int8 numbers: what the rows alone cost.
type int8Matrix struct {
	tcn.Matrix // of the rotated weights
	rounded    roundedRows
	wide       []float32
}

// Multiply implements tcn.Matrix.
func (m *int8Matrix) Multiply(c *tcn.Compute, y, x []float32, n int) {
	cols := m.Cols()
	q := m.rounded.round(c, x[:n*cols], n)
	m.wide = grown(m.wide, n*cols)
	for i := range n {
		for k := range cols {
			m.wide[i*cols+k] = q.Scale[i] * float32(q.At(i, k))
		}
	}
	m.Matrix.Multiply(c, y, m.wide, n)
}

func compute(c *tcn.Compute) rounding.Compute {
	return rounding.Compute{Kernels: c.Kernels, Pool: c.Pool}
}
