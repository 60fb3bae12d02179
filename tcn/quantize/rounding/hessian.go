package rounding

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// ErrHessian: no rows were gathered, they were not finite, or the matrix cannot
// be factored even with much damping.
var ErrHessian = errors.New("rounding: no usable Hessian")

// momentRows is how many rows are summed in float32 before they are added to the
// sums in float64.
const momentRows = 1024

// Moments gathers Σ xᵀx over rows of activations. Make it with [NewMoments].
type Moments struct {
	cols   int
	rows   int64
	sum    []float64 // [cols, cols]; only [i, j] with j in i's tile or before it
	held   int       // rows in columns
	column []float32 // [cols, momentRows], transposed

	// What AddDrifted gathers besides; nil until then.
	drift       []float64 // [cols, cols], Σ (wanted - x)ᵀx
	driftColumn []float32 // [cols, momentRows]: wanted - x
}

// NewMoments starts sums over rows of cols numbers.
func NewMoments(cols int) *Moments {
	return &Moments{cols: cols, sum: make([]float64, cols*cols), column: make([]float32, cols*momentRows)}
}

// Rows is how many rows were added.
func (m *Moments) Rows() int64 { return m.rows }

// Add adds rows of activations as products meet them: int8 numbers times their
// scale.
//
//	q [n, cols]
func (m *Moments) Add(c Compute, q *kernel.Int8Rows) { m.add(c, q, nil) }

// AddDrifted is Add of rows that would be others, but for what was rounded before
// them: those of the float32 model, rotated. Either all rows are added so, or
// none.
//
//	q, wanted [n, cols]
func (m *Moments) AddDrifted(c Compute, q *kernel.Int8Rows, wanted []float32) {
	if m.drift == nil {
		m.drift, m.driftColumn = make([]float64, m.cols*m.cols), make([]float32, m.cols*momentRows)
	}
	m.add(c, q, wanted)
}

func (m *Moments) add(c Compute, q *kernel.Int8Rows, wanted []float32) {
	for first := 0; first < q.N; {
		n := min(q.N-first, momentRows-m.held)
		c.Pool.Run(kernel.Groups(m.cols), func(g int) {
			for col := g * kernel.LineCols; col < min((g+1)*kernel.LineCols, m.cols); col++ {
				out := m.column[col*momentRows+m.held:][:n]
				for i := range out {
					out[i] = q.Scale[first+i] * float32(q.At(first+i, col))
				}
				if wanted == nil {
					continue
				}
				apart := m.driftColumn[col*momentRows+m.held:][:n]
				for i := range apart {
					apart[i] = wanted[(first+i)*m.cols+col] - out[i]
				}
			}
		})
		m.held, first = m.held+n, first+n
		if m.held == momentRows {
			m.flush(c)
		}
	}
	m.rows += int64(q.N)
}

// flush adds the rows held to the sums: a product of the columns with
// themselves, of which the lower triangle is enough.
func (m *Moments) flush(c Compute) {
	if m.held == 0 {
		return
	}
	inner := m.held
	columns, apart := m.packed(m.column), m.packed(m.driftColumn)
	tiles := (m.cols + tileRows - 1) / tileRows
	c.Pool.Run(tiles, func(i int) {
		lo := (tiles - 1 - i) * tileRows // the longest first
		hi := min(lo+tileRows, m.cols)
		room := make([]float32, (hi-lo)*m.cols)
		c.Kernels.MatMul(room, columns[lo*inner:hi*inner], columns[:hi*inner], hi-lo, hi, inner, 0, hi)
		for r := lo; r < hi; r++ {
			addTo(m.sum[r*m.cols:], room[(r-lo)*hi:][:hi])
		}
		if apart == nil {
			return
		}
		c.Kernels.MatMul(room, apart[lo*inner:hi*inner], columns, hi-lo, m.cols, inner, 0, m.cols)
		for r := lo; r < hi; r++ {
			addTo(m.drift[r*m.cols:], room[(r-lo)*m.cols:][:m.cols])
		}
	})
	m.held = 0
}

// packed is columns with nothing between them: lengths of rows must be what
// products read.
func (m *Moments) packed(columns []float32) []float32 {
	if columns == nil || m.held == momentRows {
		return columns
	}
	out := make([]float32, m.cols*m.held)
	for col := range m.cols {
		copy(out[col*m.held:(col+1)*m.held], columns[col*momentRows:])
	}
	return out
}

func addTo(sum []float64, values []float32) {
	for k, v := range values {
		sum[k] += float64(v)
	}
}

// Hessian is H = E[xᵀx] with damping, and its factors.
type Hessian struct {
	Cols    int
	Damping float64   // fraction of the mean of the diagonal that was added to it
	h       []float32 // [Cols, Cols], symmetric
	m       []float32 // [Cols, Cols]: row k holds M[j, k] for j > k
	diag    []float32 // [Cols], of h
	pivot   []float32 // [Cols], √D: what M's columns are times in L
	drift   []float32 // [Cols, Cols], E[xᵀ(wanted - x)]; nil without
}

// NewHessian prepares what was gathered; m is of no use afterwards. Where the
// factors do not exist with this damping, ten times as much is tried, up to all
// of the mean. Errors: ErrHessian, the context's.
func NewHessian(ctx context.Context, c Compute, m *Moments, damping float64) (*Hessian, error) {
	m.flush(c)
	mean := 0.0
	for k := range m.cols {
		mean += m.sum[k*m.cols+k] / float64(m.cols)
	}
	if m.rows == 0 || math.IsNaN(mean) || math.IsInf(mean, 0) || damping < 0 {
		return nil, fmt.Errorf("%w: %d rows, mean square %v, damping %v", ErrHessian, m.rows, mean, damping)
	}
	h := &Hessian{Cols: m.cols, h: make([]float32, m.cols*m.cols), diag: make([]float32, m.cols)}
	factor := 1.0 // so that the mean of the diagonal is 1: only ratios count
	if mean > 0 {
		factor = 1 / mean
	}
	for i := range m.cols {
		for j := range i + 1 {
			v := float32(m.sum[i*m.cols+j] * factor)
			h.h[i*m.cols+j], h.h[j*m.cols+i] = v, v
		}
	}
	if m.drift != nil {
		h.drift = make([]float32, m.cols*m.cols)
		for i := range m.cols {
			for j := range m.cols {
				h.drift[j*m.cols+i] = float32(m.drift[i*m.cols+j] * factor)
			}
		}
	}
	m.sum, m.column, m.drift, m.driftColumn = nil, nil, nil, nil
	if mean == 0 {
		damping = 1 // nothing ever came in: all weights are alike
	}
	for {
		h.damp(damping)
		err := h.factor(ctx, c)
		if err == nil || !errors.Is(err, ErrHessian) || damping >= 1 {
			return h, err
		}
		damping = min(1, max(10*damping, 1e-4))
	}
}

// damp makes the damping of h what is said.
func (h *Hessian) damp(damping float64) {
	more := float32(damping - h.Damping)
	for k := range h.Cols {
		h.h[k*h.Cols+k] += more
		h.diag[k] = h.h[k*h.Cols+k]
	}
	h.Damping = damping
}

// Row is row k of H. Do not change it.
//
//	[Cols]
func (h *Hessian) Row(k int) []float32 { return h.h[k*h.Cols : (k+1)*h.Cols] }
