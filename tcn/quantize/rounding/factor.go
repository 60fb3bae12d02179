package rounding

import (
	"context"
	"fmt"
	"math"
)

// factorCols is the columns of the factor that are found together.
const factorCols = 64

// factor finds the Cholesky factor H = L·Lᵀ block column by block column, the
// bulk of it as products of rows, and keeps M = L with each column divided by
// its diagonal, transposed. Errors: ErrHessian when H is not positive definite to
// working precision; the context's.
func (h *Hessian) factor(ctx context.Context, c Compute) error {
	n := h.Cols
	l := make([]float32, n*n)
	for a := 0; a < n; a += factorCols {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := min(a+factorCols, n)
		width := b - a
		above := make([]float32, width*a) // rows a…b, columns before a
		for i := range width {
			copy(above[i*a:(i+1)*a], l[(a+i)*n:])
		}
		diagonal := make([]float64, width*width)
		h.column(c, l, above, a, a, b)
		if !cholesky(diagonal, l[a*n+a:], n, width) {
			return fmt.Errorf("%w: not positive definite at column %d of %d with damping %v", ErrHessian, a, n, h.Damping)
		}
		tiles := (n - b + tileRows - 1) / tileRows
		c.Pool.Run(tiles, func(i int) {
			lo, hi := b+i*tileRows, min(b+(i+1)*tileRows, n)
			h.column(c, l, above, a, lo, hi)
			for r := lo; r < hi; r++ {
				solveRow(l[r*n+a:][:width], diagonal)
			}
		})
	}
	h.unit(c, l)
	return nil
}

// column makes rows [lo, hi) of block column a what is left of H there after
// the columns before a.
func (h *Hessian) column(c Compute, l, above []float32, a, lo, hi int) {
	n := h.Cols
	width := min(a+factorCols, n) - a
	var product []float32
	if a > 0 {
		before := make([]float32, (hi-lo)*a)
		for r := lo; r < hi; r++ {
			copy(before[(r-lo)*a:][:a], l[r*n:])
		}
		product = make([]float32, (hi-lo)*width)
		c.Kernels.MatMul(product, before, above, hi-lo, width, a, 0, width)
	}
	for r := lo; r < hi; r++ {
		out := l[r*n+a:][:width]
		copy(out, h.h[r*n+a:])
		if a > 0 {
			for k, v := range product[(r-lo)*width:][:width] {
				out[k] -= v
			}
		}
	}
}

// cholesky factors the block at the start of l, whose rows are stride apart, in
// place and in float64 into out. It is false if that does not exist.
//
//	out [width, width], lower triangle
func cholesky(out []float64, l []float32, stride, width int) bool {
	for i := range width {
		for j := range i + 1 {
			v := float64(l[i*stride+j])
			for k := range j {
				v -= out[i*width+k] * out[j*width+k]
			}
			if i == j {
				if !(v > 0) {
					return false
				}
				out[i*width+i] = math.Sqrt(v)
			} else {
				out[i*width+j] = v / out[j*width+j]
			}
		}
	}
	for i := range width {
		for j := range width {
			l[i*stride+j] = 0
			if j <= i {
				l[i*stride+j] = float32(out[i*width+j])
			}
		}
	}
	return true
}

// solveRow divides a row by the transposed factor of the diagonal block.
func solveRow(row []float32, diagonal []float64) {
	width := len(row)
	var solved [factorCols]float64
	for k := range width {
		v := float64(row[k])
		d := diagonal[k*width:]
		for j := range k {
			v -= solved[j] * d[j]
		}
		solved[k] = v / d[k]
		row[k] = float32(solved[k])
	}
}

// unit keeps L, transposed, with each of its columns divided by its diagonal.
func (h *Hessian) unit(c Compute, l []float32) {
	n := h.Cols
	h.m, h.pivot = make([]float32, n*n), make([]float32, n)
	for k := range n {
		h.pivot[k] = l[k*n+k]
	}
	c.Pool.Run((n+factorCols-1)/factorCols, func(i int) {
		lo, hi := i*factorCols, min((i+1)*factorCols, n)
		for j := lo; j < n; j++ {
			row := l[j*n:][:n]
			for k := lo; k < min(hi, j); k++ {
				h.m[k*n+j] = row[k] / l[k*n+k]
			}
		}
	})
}
