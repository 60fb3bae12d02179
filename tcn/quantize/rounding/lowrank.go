package rounding

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Parameters of the search for the largest singular directions: as many more are
// carried along as are wanted, up to extraRank, and iterated a few times.
const (
	extraRank       = 8
	powerIterations = 3
)

// LowRank finds the product B·A of a rank that makes up for as much of the error
// of codes as it can: with H = C·Cᵀ it is the best of its rank for the squared
// error of (U - s·w - B·A)·C, by its singular vectors. left is that error, a
// sum like [Errors].Output. Rank may be more than the matrix has; then the rest
// is zeros. Errors: ErrHessian, the context's.
//
//	a [rank, cols], of rotated rows   b [rows, rank]
func LowRank(ctx context.Context, c Compute, m Matrix, q *Codes, h *Hessian, rank int) (a, b []float32, left float64, err error) {
	e, total, err := weightedErrors(ctx, c, m, q, h)
	if err != nil {
		return nil, nil, 0, err
	}
	a, b = make([]float32, rank*m.Cols), make([]float32, m.Rows*rank)
	most := min(rank, m.Rows, m.Cols)
	width := min(rank+extraRank, m.Rows, m.Cols)
	left2, right, err := singular(ctx, c, e, m.Rows, m.Cols, width)
	if err != nil {
		return nil, nil, 0, err
	}
	for k := range most {
		row := right[k*m.Cols : (k+1)*m.Cols]
		for _, v := range row {
			total -= float64(v) * float64(v)
		}
		copy(a[k*m.Cols:], row)
		h.divide(a[k*m.Cols : (k+1)*m.Cols])
		for r := range m.Rows {
			b[r*rank+k] = left2[r*width+k]
		}
	}
	return a, b, max(total, 0), ctx.Err()
}

// weightedErrors is (U - s·w)·C, and the sum of its squares.
func weightedErrors(ctx context.Context, c Compute, m Matrix, q *Codes, h *Hessian) (e []float32, total float64, err error) {
	e = make([]float32, m.Rows*m.Cols)
	sums := make([]float64, (m.Rows+tileRows-1)/tileRows)
	err = forTiles(ctx, c, m.Rows, nil, func(lo, hi int) {
		t := newTile(c, h, m, lo, hi)
		t.take(q)
		out := e[lo*m.Cols : hi*m.Cols]
		c.Kernels.MatMul(out, t.e, h.m, t.rows, m.Cols, m.Cols, 0, m.Cols) // all but the diagonal of M
		sum := 0.0
		for i := range out {
			out[i] = (out[i] + t.e[i]) * h.pivot[i%m.Cols]
			sum += float64(out[i]) * float64(out[i])
		}
		sums[lo/tileRows] = sum
	})
	for _, sum := range sums {
		total += sum
	}
	return e, total, err
}

// divide makes row x into x·C⁻¹.
func (h *Hessian) divide(x []float32) {
	solved := make([]float64, len(x))
	for k := len(x) - 1; k >= 0; k-- {
		v := float64(x[k]) / float64(h.pivot[k])
		m := h.m[k*h.Cols : (k+1)*h.Cols]
		for j := k + 1; j < len(x); j++ {
			v -= solved[j] * float64(m[j])
		}
		solved[k] = v
		x[k] = float32(v)
	}
}

// singular finds the largest singular directions of e, [rows, cols]: e is nearly
// left·right, the columns of left orthonormal, the rows of right orthogonal and
// in falling order of size. Subspace iteration from a fixed start.
//
//	left [rows, width]   right [width, cols]
func singular(ctx context.Context, c Compute, e []float32, rows, cols, width int) (left, right []float32, err error) {
	turned := make([]float32, rows*cols)
	for r := range rows {
		for k := range cols {
			turned[k*rows+r] = e[r*cols+k]
		}
	}
	right = make([]float32, width*cols)
	state := uint64(1)
	for i := range right {
		state = state*6364136223846793005 + 1442695040888963407
		right[i] = float32(int32(state>>33)) / (1 << 30)
	}
	for range powerIterations {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		left = times(c, e, right, rows, width, cols) // [rows, width]
		if err := orthonormal(left, rows, width); err != nil {
			return nil, nil, err
		}
		leftTurned := transposed(left, rows, width)
		back := times(c, turned, leftTurned, cols, width, rows) // [cols, width]
		right = transposed(back, cols, width)
	}
	return order(left, right, rows, cols, width)
}

// times is x·wᵀ, shared among the workers.
//
//	x [n, inner]   w [rows, inner]
func times(c Compute, x, w []float32, n, rows, inner int) []float32 {
	y := make([]float32, n*rows)
	c.Pool.Run((n+tileRows-1)/tileRows, func(i int) {
		lo, hi := i*tileRows, min((i+1)*tileRows, n)
		c.Kernels.MatMul(y[lo*rows:hi*rows], x[lo*inner:hi*inner], w, hi-lo, rows, inner, 0, rows)
	})
	return y
}

func transposed(x []float32, rows, cols int) []float32 {
	out := make([]float32, len(x))
	for r := range rows {
		for k := range cols {
			out[k*rows+r] = x[r*cols+k]
		}
	}
	return out
}

// orthonormal makes the columns of x orthonormal.
func orthonormal(x []float32, rows, width int) error {
	for _, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%w: the errors are not finite", ErrHessian)
		}
	}
	columns := transposed(x, rows, width)
	for k := range width {
		column := columns[k*rows : (k+1)*rows]
		for range 2 { // Gram and Schmidt, twice: once leaves what rounding left
			for i := range k {
				before := columns[i*rows : (i+1)*rows]
				along := float32(dot(column, before))
				for r, v := range before {
					column[r] -= along * v
				}
			}
		}
		size := math.Sqrt(dot(column, column))
		for r := range column {
			if size > 0 { // else the matrix has no more directions
				column[r] = float32(float64(column[r]) / size)
			}
		}
	}
	copy(x, transposed(columns, width, rows))
	return nil
}

func dot(x, y []float32) float64 {
	sum := 0.0
	for i, v := range x {
		sum += float64(v) * float64(y[i])
	}
	return sum
}

// order turns left and right, whose product stays, so that the rows of right are
// orthogonal, the largest first.
func order(left, right []float32, rows, cols, width int) ([]float32, []float32, error) {
	gram := mat.NewSymDense(width, nil)
	for i := range width {
		for k := range i + 1 {
			gram.SetSym(i, k, dot(right[i*cols:(i+1)*cols], right[k*cols:(k+1)*cols]))
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(gram, true) {
		return nil, nil, fmt.Errorf("%w: its largest errors cannot be told apart", ErrHessian)
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors) // columns, in rising order
	newLeft, newRight := make([]float32, rows*width), make([]float32, width*cols)
	for k := range width {
		from := width - 1 - k
		for i := range width {
			v := float32(vectors.At(i, from))
			for n := range cols {
				newRight[k*cols+n] += v * right[i*cols+n]
			}
			for r := range rows {
				newLeft[r*width+k] += v * left[r*width+i]
			}
		}
	}
	return newLeft, newRight, nil
}
