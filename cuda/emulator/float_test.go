package emulator_test

import (
	"math"
	"math/big"
	"testing"
)

func f32(v uint64) float32 { return math.Float32frombits(uint32(v)) }

// number is the bits of f, with PTX's one NaN.
func number(f float32) uint64 {
	if f != f {
		return 0x7fffffff
	}
	return uint64(math.Float32bits(f))
}

func finite(fs ...float32) bool {
	for _, f := range fs {
		if f-f != 0 {
			return false
		}
	}
	return true
}

// exactly is the float nearest to what op makes of a and b, rounded once; native
// is the result where that has no meaning.
func exactly(native float32, op func(x, a, b *big.Float) *big.Float, a, b float32) uint64 {
	if !finite(a, b) || native != native || native == 0 {
		return number(native)
	}
	x := new(big.Float).SetPrec(1000)
	f, _ := op(x, big.NewFloat(float64(a)), big.NewFloat(float64(b))).Float32()
	return number(f)
}

// TestFloats holds f32 arithmetic against exact arithmetic, rounded once.
func TestFloats(t *testing.T) {
	for code, want := range map[string]func(a, b, c float32) uint64{
		"add.rn.f32 %f0, %f1, %f2;":     func(a, b, _ float32) uint64 { return exactly(a+b, (*big.Float).Add, a, b) },
		"add.f32 %f0, %f1, 0f3F800000;": func(a, _, _ float32) uint64 { return exactly(a+1, (*big.Float).Add, a, 1) },
		"sub.rn.f32 %f0, %f1, %f2;":     func(a, b, _ float32) uint64 { return exactly(a-b, (*big.Float).Sub, a, b) },
		"mul.rn.f32 %f0, %f1, %f2;":     func(a, b, _ float32) uint64 { return exactly(a*b, (*big.Float).Mul, a, b) },
		"div.rn.f32 %f0, %f1, %f2;": func(a, b, _ float32) uint64 {
			if b == 0 || a == 0 {
				return number(a / b)
			}
			return exactly(a/b, (*big.Float).Quo, a, b)
		},
		"rcp.rn.f32 %f0, %f1;": func(a, _, _ float32) uint64 {
			if a == 0 {
				return number(1 / a)
			}
			return exactly(1/a, (*big.Float).Quo, 1, a)
		},
		"sqrt.rn.f32 %f0, %f1;": func(a, _, _ float32) uint64 {
			native := float32(math.Sqrt(float64(a)))
			return exactly(native, func(x, a, _ *big.Float) *big.Float { return x.Sqrt(a) }, a, 0)
		},
		"fma.rn.f32 %f0, %f1, %f2, %f3;":      fusedExactly,
		"neg.f32 %f0, %f1;":                   func(a, _, _ float32) uint64 { return uint64(math.Float32bits(a) ^ 1<<31) },
		"abs.f32 %f0, %f1;":                   func(a, _, _ float32) uint64 { return uint64(math.Float32bits(a) &^ (1 << 31)) },
		"mov.f32 %f0, %f1;":                   func(a, _, _ float32) uint64 { return uint64(math.Float32bits(a)) },
		"mov.b32 %r0, %f1; mov.b32 %f0, %r0;": func(a, _, _ float32) uint64 { return uint64(math.Float32bits(a)) },
		"copysign.f32 %f0, %f1, %f2;": func(a, b, _ float32) uint64 {
			return uint64(math.Float32bits(b)&^(1<<31) | math.Float32bits(a)&(1<<31))
		},
		"min.f32 %f0, %f1, %f2;":                                    func(a, b, _ float32) uint64 { return extreme(a, b, math.Min) },
		"max.f32 %f0, %f1, %f2;":                                    func(a, b, _ float32) uint64 { return extreme(a, b, math.Max) },
		"setp.lt.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":   func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(a < b, a, b))) },
		"setp.leu.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":  func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(!(a > b), a, b))) },
		"setp.gt.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":   func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(a > b, a, b))) },
		"setp.geu.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":  func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(!(a < b), a, b))) },
		"setp.neu.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, !%p1;": func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(a == b, a, b))) },
		"setp.ne.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":   func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(a < b || a > b, a, b))) },
		"setp.equ.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":  func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(!(a < b || a > b), a, b))) },
		"setp.nan.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":  func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(a != a || b != b, a, b))) },
		"setp.num.f32 %p1, %f1, %f2; selp.f32 %f0, %f1, %f2, %p1;":  func(a, b, _ float32) uint64 { return uint64(math.Float32bits(pick(a == a && b == b, a, b))) },
	} {
		expect(t, code, 'f', 32, func(a, b, c uint64) uint64 { return want(f32(a), f32(b), f32(c)) })
	}
}

func fusedExactly(a, b, c float32) uint64 {
	native := float32(math.FMA(float64(a), float64(b), float64(c)))
	if !finite(a, b, c) || a == 0 || b == 0 {
		return number(native)
	}
	x := new(big.Float).SetPrec(1000).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
	if x.Add(x, big.NewFloat(float64(c))); x.Sign() == 0 {
		return number(native)
	}
	f, _ := x.Float32()
	return number(f)
}

// extreme: a number rather than none; math has -0 below +0, as PTX.
func extreme(a, b float32, of func(x, y float64) float64) uint64 {
	switch {
	case a != a && b != b:
		return 0x7fffffff
	case a != a:
		return number(b)
	case b != b:
		return number(a)
	}
	return number(float32(of(float64(a), float64(b))))
}

// TestConversions holds cvt against exact arithmetic.
func TestConversions(t *testing.T) {
	for code, want := range map[string]func(a uint64) uint64{
		"cvt.rni.s32.f32 %r0, %f1;": func(a uint64) uint64 {
			return clamped(math.RoundToEven(float64(f32(a))), math.MinInt32, math.MaxInt32) & 0xffffffff
		},
		"cvt.rzi.s32.f32 %r0, %f1;": func(a uint64) uint64 {
			return clamped(math.Trunc(float64(f32(a))), math.MinInt32, math.MaxInt32) & 0xffffffff
		},
		"cvt.rmi.s32.f32 %r0, %f1;": func(a uint64) uint64 {
			return clamped(math.Floor(float64(f32(a))), math.MinInt32, math.MaxInt32) & 0xffffffff
		},
		"cvt.rpi.u32.f32 %r0, %f1;":                   func(a uint64) uint64 { return clamped(math.Ceil(float64(f32(a))), 0, math.MaxUint32) },
		"cvt.rni.s8.f32 %r0, %f1;":                    func(a uint64) uint64 { return clamped(math.RoundToEven(float64(f32(a))), -128, 127) & 0xffffffff },
		"cvt.rzi.u8.f32 %r0, %f1;":                    func(a uint64) uint64 { return clamped(math.Trunc(float64(f32(a))), 0, 255) },
		"cvt.u8.u32 %r0, %r1;":                        func(a uint64) uint64 { return uint64(uint8(a)) },
		"cvt.s8.s32 %r0, %r1;":                        func(a uint64) uint64 { return uint64(uint32(int8(a))) },
		"cvt.sat.s8.s32 %r0, %r1;":                    func(a uint64) uint64 { return uint64(uint32(max(-128, min(127, int32(a))))) },
		"cvt.sat.u8.s32 %r0, %r1;":                    func(a uint64) uint64 { return uint64(max(0, min(255, int32(a)))) },
		"cvt.sat.u16.s32 %r0, %r1;":                   func(a uint64) uint64 { return uint64(max(0, min(65535, int32(a)))) },
		"cvt.sat.u32.s32 %r0, %r1;":                   func(a uint64) uint64 { return uint64(max(0, int32(a))) },
		"cvt.s32.s16 %r0, %h1;":                       func(a uint64) uint64 { return uint64(uint32(int16(a))) },
		"cvt.u16.u32 %h4, %r1; cvt.u32.u16 %r0, %h4;": func(a uint64) uint64 { return uint64(uint16(a)) },
		"cvt.s16.s8 %h4, %h1; cvt.u32.u16 %r0, %h4;":  func(a uint64) uint64 { return uint64(uint16(int8(a))) },
		"cvt.u32.u64 %r0, %d1;":                       func(a uint64) uint64 { return uint64(uint32(a)) },
		"cvt.rn.f32.s32 %f0, %r1; mov.b32 %r0, %f0;":  func(a uint64) uint64 { return nearest(new(big.Float).SetInt64(int64(int32(a)))) },
		"cvt.rn.f32.u32 %f0, %r1; mov.b32 %r0, %f0;":  func(a uint64) uint64 { return nearest(new(big.Float).SetInt64(int64(uint32(a)))) },
		"cvt.rn.f32.s64 %f0, %d1; mov.b32 %r0, %f0;":  func(a uint64) uint64 { return nearest(new(big.Float).SetInt64(int64(a))) },
		"cvt.rn.f32.u64 %f0, %d1; mov.b32 %r0, %f0;":  func(a uint64) uint64 { return nearest(new(big.Float).SetUint64(a)) },
		"cvt.rn.f32.s8 %f0, %h1; mov.b32 %r0, %f0;":   func(a uint64) uint64 { return number(float32(int8(a))) },
		"cvt.rn.f32.u16 %f0, %h1; mov.b32 %r0, %f0;":  func(a uint64) uint64 { return number(float32(uint16(a))) },
		"cvt.rni.f32.f32 %f0, %f1; mov.b32 %r0, %f0;": func(a uint64) uint64 { return number(float32(math.RoundToEven(float64(f32(a))))) },
		"cvt.rzi.f32.f32 %f0, %f1; mov.b32 %r0, %f0;": func(a uint64) uint64 { return number(float32(math.Trunc(float64(f32(a))))) },
		"cvt.sat.f32.f32 %f0, %f1; mov.b32 %r0, %f0;": func(a uint64) uint64 {
			if f := f32(a); !(f > 0) {
				return 0
			}
			return number(min(1, f32(a)))
		},
		"cvt.f64.f32 %e0, %f1; cvt.rn.f32.f64 %f0, %e0; mov.b32 %r0, %f0;": func(a uint64) uint64 { return number(f32(a)) },
		"cvt.rn.f32.f64 %f0, %e1; mov.b32 %r0, %f0;":                       func(a uint64) uint64 { return number(float32(math.Float64frombits(a))) },
	} {
		expect(t, code, 'r', 64, func(a, _, _ uint64) uint64 { return want(a) })
	}
	expect(t, "cvt.rni.s64.f32 %d0, %f1;", 'd', 32, func(a, _, _ uint64) uint64 {
		f := f32(a)
		switch {
		case f != f:
			return 1 << 63
		case f >= 1<<63:
			return math.MaxInt64
		case f < -1<<63:
			return 1 << 63
		}
		return uint64(int64(math.RoundToEven(float64(f))))
	})
}

// clamped is an integral float as an integer from lo to hi; no number is 0.
func clamped(f float64, lo, hi int64) uint64 {
	switch {
	case f != f:
		return 0
	case f < float64(lo):
		return uint64(lo)
	case f > float64(hi):
		return uint64(hi)
	}
	return uint64(int64(f))
}

func nearest(x *big.Float) uint64 {
	f, _ := x.Float32()
	return number(f)
}

// TestDoubles: the little of f64 that compilers use.
func TestDoubles(t *testing.T) {
	for code, want := range map[string]func(a, b, c float64) float64{
		"add.rn.f64 %e0, %e1, %e2;":      func(a, b, _ float64) float64 { return a + b },
		"sub.rn.f64 %e0, %e1, %e2;":      func(a, b, _ float64) float64 { return a - b },
		"mul.rn.f64 %e0, %e1, %e2;":      func(a, b, _ float64) float64 { return a * b },
		"div.rn.f64 %e0, %e1, %e2;":      func(a, b, _ float64) float64 { return a / b },
		"fma.rn.f64 %e0, %e1, %e2, %e3;": math.FMA,
	} {
		expect(t, code, 'e', 64, func(a, b, c uint64) uint64 {
			f := want(math.Float64frombits(a), math.Float64frombits(b), math.Float64frombits(c))
			if f != f {
				return 0x7ff8000000000000
			}
			return math.Float64bits(f)
		})
	}
}
