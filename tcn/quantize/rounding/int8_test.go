package rounding_test

import (
	"math"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

func TestNearestInt8(t *testing.T) {
	smallest := math.Float32frombits(1)
	huge := float32(math.MaxFloat32)
	for name, c := range map[string]struct {
		w     []float32
		want  []int8
		scale float32
	}{
		"levels":   {[]float32{-254, 0, 2, 254}, []int8{-127, 0, 1, 127}, 2},
		"ties":     {[]float32{127, 0.5, 1.5, -2.5, -3.5}, []int8{127, 0, 2, -2, -4}, 1},
		"negative": {[]float32{-127, 126.4}, []int8{-127, 126}, 1},
		"zeros":    {[]float32{0, float32(math.Copysign(0, -1))}, []int8{0, 0}, 0},
		"no scale": {[]float32{smallest, -smallest}, []int8{0, 0}, 0},
		"clamped":  {[]float32{180 * smallest, -180 * smallest}, []int8{127, -127}, smallest},
		"largest":  {[]float32{huge, -huge}, []int8{127, -127}, huge / 127},
		"empty":    {nil, []int8{}, 0},
	} {
		got := slices.Repeat([]int8{5}, len(c.w))
		if scale := rounding.NearestInt8(got, c.w); scale != c.scale || math.Signbit(float64(scale)) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v with scale %v, want %v with %v", name, got, scale, c.want, c.scale)
		}
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		scale := rounding.NearestInt8(make([]int8, 3), []float32{1, bad, 2})
		if !math.IsNaN(float64(scale)) && !math.IsInf(float64(scale), 0) {
			t.Errorf("%v: scale %v", bad, scale)
		}
	}
}

// TestNearestInt8Errs: no weight is further from its number than half a step.
func TestNearestInt8Errs(t *testing.T) {
	w, codes := make([]float32, 300), make([]int8, 300)
	for r := range 50 {
		for c := range w {
			w[c] = float32(math.Sin(float64(r*300+c))) * float32(r)
		}
		scale := rounding.NearestInt8(codes, w)
		for c, q := range codes {
			if off := math.Abs(float64(w[c]) - float64(scale)*float64(q)); off > 0.5001*float64(scale) {
				t.Fatalf("row %d: %v became %d·%v", r, w[c], q, scale)
			}
		}
	}
}
