package rounding

import "context"

// Follow gives the matrix whose products with the rows that come are nearest to
// those of m with the rows that were wanted: with E[(wanted - x)ᵀx] the drift,
//
//	m + m·E[(wanted - x)ᵀx]·H⁻¹
//
// It is m itself if nothing was gathered with [Moments.AddDrifted], and so are
// rows that are representable. Errors: the context's.
func (h *Hessian) Follow(ctx context.Context, c Compute, m Matrix) (Matrix, error) {
	if h.drift == nil {
		return m, nil
	}
	out := Matrix{Rows: m.Rows, Cols: m.Cols, Values: make([]float32, len(m.Values))}
	err := forTiles(ctx, c, m.Rows, nil, func(lo, hi int) {
		x := out.Values[lo*m.Cols : hi*m.Cols]
		c.Kernels.MatMul(x, m.Values[lo*m.Cols:hi*m.Cols], h.drift, hi-lo, m.Cols, m.Cols, 0, m.Cols)
		h.solve(c, x)
		codes := make([]byte, m.Cols)
		for r := lo; r < hi; r++ {
			follows := x[(r-lo)*m.Cols:][:m.Cols]
			if _, exact := Exact(m.row(r), codes); exact {
				clear(follows)
			}
			c.Kernels.AddScaled(follows, m.row(r), 1)
		}
	})
	return out, err
}

// solve makes rows x into x·H⁻¹, by the factors H = L·Lᵀ.
//
//	x [rows, Cols]
func (h *Hessian) solve(c Compute, x []float32) {
	n := h.Cols
	for k := range n { // x·L⁻ᵀ: what is found is taken out of what follows
		m, pivot := h.m[k*n:(k+1)*n], h.pivot[k]
		for row := range len(x) / n {
			r := x[row*n : (row+1)*n]
			r[k] /= pivot
			c.Kernels.AddScaled(r[k+1:], m[k+1:], -r[k]*pivot)
		}
	}
	var sum [1]float32
	for k := n - 1; k >= 0; k-- { // x·L⁻¹
		m, pivot := h.m[k*n:(k+1)*n], h.pivot[k]
		for row := range len(x) / n {
			r := x[row*n : (row+1)*n]
			if rest := n - 1 - k; rest > 0 {
				c.Kernels.MatMul(sum[:], r[k+1:], m[k+1:], 1, 1, rest, 0, 1)
			}
			r[k] = r[k]/pivot - sum[0]
		}
	}
}
