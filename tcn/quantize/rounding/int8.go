package rounding

import "math"

// NearestInt8 rounds a row to 8-bit weights and gives their scale, max|w|/127; a
// tie goes to the even weight. A row whose scale would be 0 becomes zeros. Of a
// row that is not finite neither is the scale.
//
//	weights, w [cols], weights in -127…127
func NearestInt8(weights []int8, w []float32) (scale float32) {
	const most = 127
	largest := float64(0)
	for _, v := range w {
		largest = max(largest, math.Abs(float64(v))) // not a number, if one is
	}
	scale = float32(largest / most)
	for c, v := range w {
		weights[c] = 0
		if scale > 0 && !math.IsInf(float64(scale), 1) {
			weights[c] = int8(max(-most, min(most, math.RoundToEven(float64(v)/float64(scale)))))
		}
	}
	return scale
}
