package rounding

import (
	"context"
	"slices"
)

// Errors are sums over a matrix, for its relative errors. They add up.
type Errors struct {
	Weight, WeightOf float64 // Σ e², Σ u²
	Output, OutputOf float64 // Σ e·H·eᵀ, Σ u·H·uᵀ, under the H with damping
}

// WeightError is the squared error of the weights relative to their squares.
func (e Errors) WeightError() float64 { return ratio(e.Weight, e.WeightOf) }

// OutputError is the squared error of the products relative to their squares, as
// the Hessian has them.
func (e Errors) OutputError() float64 { return ratio(e.Output, e.OutputOf) }

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Measure computes the errors of several codes of a matrix. Errors: the
// context's.
func Measure(ctx context.Context, c Compute, m Matrix, h *Hessian, codes ...*Codes) ([]Errors, error) {
	parts := make([][]Errors, (m.Rows+tileRows-1)/tileRows) // summed in order: no chance in it
	err := forTiles(ctx, c, m.Rows, nil, func(lo, hi int) {
		t := newTile(c, h, m, lo, hi)
		var of Errors
		for _, u := range t.u {
			of.WeightOf += float64(u) * float64(u)
		}
		t.products(t.u, func(i, k int, y float32) { of.OutputOf += float64(y) * float64(t.u[i*t.cols+k]) })
		sums := slices.Repeat([]Errors{of}, len(codes))
		for n, q := range codes {
			t.take(q)
			for _, e := range t.e {
				sums[n].Weight += float64(e) * float64(e)
			}
			t.products(t.e, func(i, k int, y float32) { sums[n].Output += float64(y) * float64(t.e[i*t.cols+k]) })
		}
		parts[lo/tileRows] = sums
	})
	all := make([]Errors, len(codes))
	for _, part := range parts {
		for n, sum := range part {
			all[n].Weight += sum.Weight
			all[n].WeightOf += sum.WeightOf
			all[n].Output += sum.Output
			all[n].OutputOf += sum.OutputOf
		}
	}
	return all, err
}

// take gives the tile codes that were chosen before.
func (t *tile) take(q *Codes) {
	for i := range t.rows {
		t.scale[i] = q.Scale[t.lo+i]
		for k, code := range q.Row(t.lo + i) {
			t.set(i, k, levelOf(code))
		}
	}
}
