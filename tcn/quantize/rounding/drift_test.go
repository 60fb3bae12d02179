package rounding_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// TestFollow: the matrix that follows the drift is the one of the normal
// equations, and its products are nearer to what was wanted.
func TestFollow(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for _, cols := range []int{3, 64, 100} {
		const rows = 1500
		m, moments := gaussian(r, 5, cols), rounding.NewMoments(cols)
		for c := range cols {
			m.Values[2*cols+c] = float32(1 - 2*(c%2)) // representable
		}
		mix := gaussian(r, cols, cols)
		var q kernel.Int8Rows
		wanted, came := mat.NewDense(rows, cols, nil), mat.NewDense(rows, cols, nil)
		for at := 0; at < rows; at += 300 {
			q.Reset(300, cols)
			w := make([]float32, 300*cols)
			for i := range 300 {
				x := make([]float32, cols)
				for c := range x {
					by := float32(r.NormFloat64())
					for k := range w[i*cols : (i+1)*cols] {
						w[i*cols+k] += by * mix.Values[c*cols+k]
					}
				}
				for c := range x { // what came is the next number, partly
					x[c] = w[i*cols+c] + 0.3*w[i*cols+(c+1)%cols]
				}
				alone.Kernels.QuantizeRow(&q, i, x)
				for c := range x {
					wanted.Set(at+i, c, float64(w[i*cols+c]))
					came.Set(at+i, c, float64(q.Scale[i])*float64(q.At(i, c)))
				}
			}
			moments.AddDrifted(alone, &q, w)
		}
		h := hessian(t, moments)
		got, err := h.Follow(t.Context(), alone, m)
		if err != nil {
			t.Fatal(err)
		}
		var apart, cross, solved, want mat.Dense
		apart.Sub(wanted, came)
		cross.Mul(apart.T(), came)
		mean := 0.0
		for c := range cols {
			mean += mat.Dot(came.ColView(c), came.ColView(c)) / float64(cols)
		}
		cross.Scale(1/mean, &cross)
		full := mat.NewDense(cols, cols, nil)
		for i := range cols {
			for j, v := range h.Row(i) {
				full.Set(i, j, float64(v))
			}
		}
		if err := solved.Solve(full, cross.T()); err != nil {
			t.Fatal(err)
		}
		u := mat.NewDense(5, cols, nil)
		for i, v := range m.Values {
			u.Set(i/cols, i%cols, float64(v))
		}
		want.Mul(u, solved.T())
		want.Add(&want, u)
		before, after := 0.0, 0.0
		for row := range 5 {
			follows := got.Values[row*cols : (row+1)*cols]
			if row == 2 {
				if !slices.Equal(follows, m.Values[row*cols:(row+1)*cols]) {
					t.Errorf("%d columns: a representable row follows", cols)
				}
				continue
			}
			for c, v := range follows {
				if math.Abs(float64(v)-want.At(row, c)) > 1e-3 {
					t.Fatalf("%d columns [%d, %d]: %v, want %v", cols, row, c, v, want.At(row, c))
				}
			}
			for i := range rows {
				is, as, should := 0.0, 0.0, 0.0
				for c, v := range follows {
					is += float64(v) * came.At(i, c)
					as += u.At(row, c) * came.At(i, c)
					should += u.At(row, c) * wanted.At(i, c)
				}
				before, after = before+(as-should)*(as-should), after+(is-should)*(is-should)
			}
		}
		if after > before/2 {
			t.Errorf("%d columns: error %v, without following %v", cols, after, before)
		}
	}
	m, h := gaussian(r, 2, 9), hessian(t, correlated(t, r, 9, 100))
	if got, err := h.Follow(t.Context(), alone, m); err != nil || !slices.Equal(got.Values, m.Values) {
		t.Errorf("without drift: %v, %v", got, err)
	}
}
