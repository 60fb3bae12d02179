package rounding

import (
	"context"
	"sync"
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

// Measure computes the errors of codes. Errors: the context's.
func Measure(ctx context.Context, c Compute, m Matrix, q *Codes, h *Hessian) (Errors, error) {
	var turn sync.Mutex
	parts := make([]Errors, (m.Rows+tileRows-1)/tileRows) // summed in order: no chance in it
	err := forTiles(ctx, c, m.Rows, nil, func(lo, hi int) {
		t := newTile(c, h, m, lo, hi)
		var sum Errors
		for i := range t.rows {
			t.scale[i] = q.Scale[lo+i]
			for k, code := range q.Row(lo + i) {
				t.set(i, k, levelOf(code))
			}
		}
		for at, u := range t.u {
			sum.Weight += float64(t.e[at]) * float64(t.e[at])
			sum.WeightOf += float64(u) * float64(u)
		}
		t.products(t.e, func(i, k int, y float32) { sum.Output += float64(y) * float64(t.e[i*t.cols+k]) })
		t.products(t.u, func(i, k int, y float32) { sum.OutputOf += float64(y) * float64(t.u[i*t.cols+k]) })
		turn.Lock()
		defer turn.Unlock()
		parts[lo/tileRows] = sum
	})
	var all Errors
	for _, part := range parts {
		all.Weight += part.Weight
		all.WeightOf += part.WeightOf
		all.Output += part.Output
		all.OutputOf += part.OutputOf
	}
	return all, err
}
