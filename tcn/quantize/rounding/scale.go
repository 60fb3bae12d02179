package rounding

import (
	"math"
	"slices"
)

// scaleOrder finds scales; it holds room that is used again.
type scaleOrder struct {
	sorted []uint64 // the bits of a magnitude, which order as it does, and its index
}

// best is the scale s that makes Σ weight[k]·(u[k] - s·w[k])² least over s and
// all levels w, exactly: whatever s is, the levels ±3 belong to the largest
// magnitudes, so there are only len(u)+1 assignments to compare, each with the
// scale Σ weight·|u|·|w| / Σ weight·w². weight nil counts all alike.
func (o *scaleOrder) best(u, weight []float32) float32 {
	const sign = 1 << 31
	o.sorted = o.sorted[:0]
	over, under := 0.0, 0.0
	weightOf := func(k int) float64 {
		if weight == nil {
			return 1
		}
		return float64(weight[k])
	}
	for k, v := range u {
		over += weightOf(k) * math.Abs(float64(v))
		under += weightOf(k)
		o.sorted = append(o.sorted, uint64(math.Float32bits(v)&^sign)<<32|uint64(k))
	}
	if under == 0 {
		return 0
	}
	slices.Sort(o.sorted)
	scale, gain := over/under, over*over/under // Σ weight·u² - gain is the error
	for _, item := range slices.Backward(o.sorted) {
		k := int(item & math.MaxUint32)
		over += 2 * weightOf(k) * math.Abs(float64(u[k]))
		under += 8 * weightOf(k)
		if g := over * over / under; g > gain {
			scale, gain = over/under, g
		}
	}
	return float32(scale)
}
