package rounding

import (
	"math"
	"slices"
)

// scaleOrder finds scales; it holds room that is used again.
type scaleOrder struct {
	sorted []weighted
}

// weighted is a magnitude and what its squared error counts.
type weighted struct{ magnitude, weight float64 }

// best is the scale s that makes Σ weight[k]·(u[k] - s·w[k])² least over s and
// all levels w, exactly: whatever s is, the levels ±3 belong to the largest
// magnitudes, so there are only len(u)+1 assignments to compare, each with the
// scale Σ weight·|u|·|w| / Σ weight·w². weight nil counts all alike.
func (o *scaleOrder) best(u, weight []float32) float32 {
	o.sorted = o.sorted[:0]
	over, under := 0.0, 0.0
	for k, v := range u {
		item := weighted{math.Abs(float64(v)), 1}
		if weight != nil {
			item.weight = float64(weight[k])
		}
		over += item.weight * item.magnitude
		under += item.weight
		o.sorted = append(o.sorted, item)
	}
	slices.SortFunc(o.sorted, func(a, b weighted) int {
		switch {
		case a.magnitude > b.magnitude:
			return -1
		case a.magnitude < b.magnitude:
			return 1
		}
		return 0
	})
	if under == 0 {
		return 0
	}
	scale, gain := over/under, over*over/under // Σ weight·u² - gain is the error
	for _, item := range o.sorted {
		over += 2 * item.weight * item.magnitude
		under += 8 * item.weight
		if g := over * over / under; g > gain {
			scale, gain = over/under, g
		}
	}
	return float32(scale)
}
