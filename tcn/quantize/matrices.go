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
	wanted     *original         // the rows that would come from the float32 model; nil: unknown
}

func (m *recorder) Rows() int    { return m.rows }
func (m *recorder) Cols() int    { return m.cols }
func (m *recorder) Bytes() int64 { return 0 }

// Multiply implements tcn.Matrix.
func (m *recorder) Multiply(c *tcn.Compute, y, x []float32, n int) {
	if m.moments != nil {
		q := m.rounded.round(c, x[:n*m.cols], n)
		if m.wanted == nil {
			m.moments.Add(compute(c), q)
		} else {
			m.moments.AddDrifted(compute(c), q, m.wanted.take(n*m.cols))
		}
	}
	if m.inner == nil {
		clear(y[:n*m.rows])
		return
	}
	m.inner.Multiply(c, y, x, n)
}

// original is a tcn.Matrix of the float32 model that holds on to the rows it
// meets, rotated, until a recorder takes them.
type original struct {
	tcn.Matrix
	signs []byte
	held  []float32
}

// Multiply implements tcn.Matrix.
func (m *original) Multiply(c *tcn.Compute, y, x []float32, n int) {
	cols, at := m.Cols(), len(m.held)
	m.held = append(m.held, x[:n*cols]...)
	c.Pool.Run(n, func(i int) {
		row := m.held[at+i*cols:][:cols]
		c.Kernels.Hadamard(row, row, m.signs)
	})
	m.Matrix.Multiply(c, y, x, n)
}

// take gives the n numbers held longest, until the next product.
func (m *original) take(n int) []float32 {
	rows := m.held[:n]
	m.held = m.held[n:]
	return rows
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
