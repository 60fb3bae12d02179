package rounding_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// shapes are columns with whole and broken tiles of everything.
var shapes = []int{1, 2, 20, 63, 64, 65, 130, 200}

// TestMoments: the Hessian is the mean of the rows' squares over its own mean,
// and damping.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, cols := range shapes {
		const rows, damping = 2500, 0.25 // two flushes and a bit
		m, want := rounding.NewMoments(cols), make([]float64, cols*cols)
		var q kernel.Int8Rows
		x := make([]float32, cols)
		for done := 0; done < rows; {
			n := min(700, rows-done)
			q.Reset(n, cols)
			for i := range n {
				for c := range x {
					x[c] = float32(r.NormFloat64() * float64(1+c%3))
				}
				alone.Kernels.QuantizeRow(&q, i, x)
				for a := range cols {
					for b := range cols {
						s := float64(q.Scale[i])
						want[a*cols+b] += s * s * float64(q.At(i, a)) * float64(q.At(i, b))
					}
				}
			}
			m.Add(alone, &q)
			done += n
		}
		mean := 0.0
		for k := range cols {
			mean += want[k*cols+k] / float64(cols)
		}
		h, err := rounding.NewHessian(t.Context(), alone, m, damping)
		if err != nil || h.Damping != damping || m.Rows() != rows {
			t.Fatalf("%d columns: damping %v, %d rows, %v", cols, h.Damping, m.Rows(), err)
		}
		for a := range cols {
			for b, got := range h.Row(a) {
				v := want[a*cols+b] / mean
				if a == b {
					v += damping
				}
				if math.Abs(float64(got)-v) > 1e-5 {
					t.Fatalf("%d columns: H[%d, %d] is %v, want %v", cols, a, b, got, v)
				}
			}
		}
	}
}

// TestHessianRefuses: without rows there is nothing to go by; a matrix that
// cannot be factored gets more damping.
func TestHessianRefuses(t *testing.T) {
	var q kernel.Int8Rows
	one := func(x ...float32) *rounding.Moments {
		m := rounding.NewMoments(len(x))
		q.Reset(1, len(x))
		alone.Kernels.QuantizeRow(&q, 0, x)
		m.Add(alone, &q)
		return m
	}
	for name, c := range map[string]struct {
		m       *rounding.Moments
		damping float64
	}{
		"no rows":          {rounding.NewMoments(3), 0.01},
		"not finite":       {one(1, float32(math.Inf(1)), 0), 0.01},
		"negative damping": {one(1, 2, 3), -0.01},
	} {
		if _, err := rounding.NewHessian(t.Context(), alone, c.m, c.damping); !errors.Is(err, rounding.ErrHessian) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h, err := rounding.NewHessian(t.Context(), alone, one(1, 2, 3), 0)
	if err != nil || h.Damping <= 0 {
		t.Errorf("rank 1 without damping: damping %v, %v", h.Damping, err)
	}
	h, err = rounding.NewHessian(t.Context(), alone, one(0, 0, 0), 0.01)
	if err != nil || h.Row(1)[1] != 1 || h.Row(1)[0] != 0 {
		t.Errorf("rows of zeros: %v, %v", h.Row(1), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rounding.NewHessian(ctx, alone, one(1, 2, 3), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// errorUnder is e·H·eᵀ in float64, with e = u - scale·w.
func errorUnder(h *rounding.Hessian, u []float32, codes []byte, scale float64) float64 {
	e := make([]float64, len(u))
	for k, v := range u {
		e[k] = float64(v) - scale*float64(2*int(codes[k])-3)
	}
	sum := 0.0
	for k := range e {
		for j, v := range h.Row(k) {
			sum += e[k] * float64(v) * e[j]
		}
	}
	return sum
}

// naiveCompensated rounds u from the last column to the first under a scale: each
// column to the level nearest to what makes the error least, the columns before it
// being free. That is what error compensation is; it needs no factor.
func naiveCompensated(t *testing.T, h *rounding.Hessian, u []float32, scale float64) []byte {
	t.Helper()
	n := len(u)
	full := mat.NewSymDense(n, nil)
	for i := range n {
		for j, v := range h.Row(i) {
			full.SetSym(i, j, float64(v))
		}
	}
	codes, e := make([]byte, n), make([]float64, n)
	for k := n - 1; k >= 0; k-- {
		// e[:k] = -(e[k:]·H[k:, :k])·H[:k, :k]⁻¹ is best; then d/d e[k] of the rest is zero at
		// e[k] = -Σ_{j>k} e[j]·S[j, k]/S[k, k], S the Schur complement.
		s := func(a, b int) float64 { return full.At(a, b) }
		if k > 0 {
			var chol mat.Cholesky
			if !chol.Factorize(full.SliceSym(0, k)) {
				t.Fatal("not positive definite")
			}
			column := mat.NewVecDense(k, nil)
			for i := range k {
				column.SetVec(i, full.At(i, k))
			}
			var solved mat.VecDense
			if err := chol.SolveVecTo(&solved, column); err != nil {
				t.Fatal(err)
			}
			s = func(a, b int) float64 {
				v := full.At(a, b)
				for i := range k {
					v -= full.At(a, i) * solved.AtVec(i)
				}
				return v
			}
		}
		want := 0.0
		for j := k + 1; j < n; j++ {
			want -= e[j] * s(j, k) / s(k, k)
		}
		target := float64(u[k]) - want
		code := byte(0)
		for c := range byte(4) {
			if math.Abs(target-scale*float64(2*int(c)-3)) < math.Abs(target-scale*float64(2*int(code)-3)) {
				code = c
			}
		}
		codes[k], e[k] = code, float64(u[k])-scale*float64(2*int(code)-3)
	}
	return codes
}

// TestCompensatedAgainstNaive: with the scale of its own outcome, nearly all
// codes are those of the definition; ties of float32 aside, the error is.
func TestCompensatedAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, cols := range []int{5, 40, 70} {
		h := hessian(t, correlated(t, r, cols, 2000))
		m := gaussian(r, 5, cols)
		q, err := rounding.Compensated(t.Context(), alone, m, h, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		for row := range m.Rows {
			u := m.Values[row*cols : (row+1)*cols]
			first := rounding.FirstScale(h, u)
			want := naiveCompensated(t, h, u, float64(first))
			got := errorUnder(h, u, q.Row(row), float64(first))
			if naive := errorUnder(h, u, want, float64(first)); math.Abs(got-naive) > 1e-3*naive {
				t.Errorf("%d columns row %d: error %v, by definition %v", cols, row, got, naive)
			}
		}
	}
}

// TestSettled: when it has settled, no change of one code and no other scale
// makes the error of a row smaller.
func TestSettled(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, cols := range shapes {
		h := hessian(t, correlated(t, r, cols, 2000))
		m := gaussian(r, 3, cols)
		q, err := rounding.Compensated(t.Context(), alone, m, h, 100, nil)
		if err != nil {
			t.Fatal(err)
		}
		for row := range m.Rows {
			u, codes := m.Values[row*cols:(row+1)*cols], q.Row(row)
			is := errorUnder(h, u, codes, float64(q.Scale[row]))
			const less = 1 - 1e-2 // rounds end when they gain a thousandth of a tile's error
			for k, was := range codes {
				for c := range byte(4) {
					codes[k] = c
					if e := errorUnder(h, u, codes, float64(q.Scale[row])); e < is*less {
						t.Errorf("%d columns row %d: error %v, but %v with code %d in column %d", cols, row, is, e, c, k)
					}
				}
				codes[k] = was
			}
			for _, by := range []float64{0.99, 1.01} {
				if e := errorUnder(h, u, codes, by*float64(q.Scale[row])); e < is*(1-1e-5) {
					t.Errorf("%d columns row %d: error %v, but %v with the scale times %v", cols, row, is, e, by)
				}
			}
		}
	}
}

// TestNearestIsOptimal: no scale of a fine grid makes a smaller squared error.
func TestNearestIsOptimal(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	squared := func(u []float32, s float64) float64 {
		sum := 0.0
		for _, v := range u {
			best := math.Inf(1)
			for _, w := range []float64{-3, -1, 1, 3} {
				best = min(best, math.Abs(float64(v)-s*w))
			}
			sum += best * best
		}
		return sum
	}
	for _, cols := range shapes {
		m := gaussian(r, 4, cols)
		q, err := rounding.Nearest(t.Context(), alone, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		for row := range m.Rows {
			u := m.Values[row*cols : (row+1)*cols]
			is := squared(u, float64(q.Scale[row]))
			for s := 0.01; s < 4; s += 0.01 {
				if e := squared(u, s); e < is-1e-5 {
					t.Fatalf("%d columns row %d: error %v under scale %v, but %v under %v", cols, row, is, q.Scale[row], e, s)
				}
			}
		}
	}
}

// TestZeroRows: a row of zeros has scale 0 and does no harm.
func TestZeroRows(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	m := gaussian(r, 3, 33)
	clear(m.Values[33:66])
	h := hessian(t, correlated(t, r, 33, 300))
	q, err := rounding.Compensated(t.Context(), alone, m, h, rounding.Sweeps, nil)
	if err != nil || q.Scale[1] != 0 || q.Scale[0] == 0 || q.Exact != 1 {
		t.Errorf("scales %v, %d exact, %v", q.Scale, q.Exact, err)
	}
}

// TestLowRank: the repair is as good as the truncated singular value
// decomposition, and complete at full rank.
func TestLowRank(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, shape := range [][2]int{{30, 20}, {12, 70}, {70, 64}} {
		rows, cols := shape[0], shape[1]
		m, h := gaussian(r, rows, cols), hessian(t, correlated(t, r, cols, 1000))
		q, err := rounding.Nearest(t.Context(), alone, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		total := measure(t, m, q, h).Output
		for _, rank := range []int{1, 4, min(rows, cols), min(rows, cols) + 3} {
			a, b, left, err := rounding.LowRank(t.Context(), alone, m, q, h, rank)
			if err != nil {
				t.Fatal(err)
			}
			best := truncated(t, m, q, h, rank)
			if left > best*1.02+1e-4*total || left < best*0.98-1e-4*total {
				t.Errorf("[%d, %d] rank %d: %v is left, %v by decomposition, of %v", rows, cols, rank, left, best, total)
			}
			repaired := m // U - B·A is what is then rounded as q
			repaired.Values = append([]float32(nil), m.Values...)
			for row := range rows {
				for k := range rank {
					for c := range cols {
						repaired.Values[row*cols+c] -= b[row*rank+k] * a[k*cols+c]
					}
				}
			}
			if got := measure(t, repaired, q, h).Output; math.Abs(got-left) > 1e-3*total {
				t.Errorf("[%d, %d] rank %d: error %v, said to be %v", rows, cols, rank, got, left)
			}
		}
	}
}

// truncated is the squares of the singular values of (U - s·w)·C past rank.
func truncated(t *testing.T, m rounding.Matrix, q *rounding.Codes, h *rounding.Hessian, rank int) float64 {
	t.Helper()
	full, e := mat.NewSymDense(m.Cols, nil), mat.NewDense(m.Rows, m.Cols, nil)
	for i := range m.Cols {
		for j, v := range h.Row(i) {
			full.SetSym(i, j, float64(v))
		}
	}
	for i, u := range m.Values {
		e.Set(i/m.Cols, i%m.Cols, float64(u)-float64(q.Scale[i/m.Cols])*float64(2*int(q.Codes[i])-3))
	}
	var chol mat.Cholesky
	var lower mat.TriDense
	var svd mat.SVD
	if !chol.Factorize(full) {
		t.Fatal("not positive definite")
	}
	chol.LTo(&lower)
	e.Mul(e, &lower)
	if !svd.Factorize(e, mat.SVDNone) {
		t.Fatal("no decomposition")
	}
	left := 0.0
	for k, v := range svd.Values(nil) {
		if k >= rank {
			left += v * v
		}
	}
	return left
}

// TestCanceled: a stop is passed on.
func TestCanceled(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	m, h := gaussian(r, 3, 9), hessian(t, correlated(t, r, 9, 100))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err1 := rounding.Nearest(ctx, alone, m, nil)
	_, err2 := rounding.Compensated(ctx, alone, m, h, 1, nil)
	for _, err := range []error{err1, err2} {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
