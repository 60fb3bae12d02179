package emulator

import (
	"math"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// nan32 and nan64 are what arithmetic on floats gives where the result is no number.
const (
	nan32 = 0x7fffffff
	nan64 = 0x7ff8000000000000
)

func float(v uint64) float32 { return math.Float32frombits(uint32(v)) }

// bits32 is a result of arithmetic as a register holds it.
func bits32(f float32) uint64 {
	if f != f {
		return nan32
	}
	return uint64(math.Float32bits(f))
}

func double(v uint64) float64 { return math.Float64frombits(v) }

func bits64(f float64) uint64 {
	if f != f {
		return nan64
	}
	return math.Float64bits(f)
}

// floatLane is the lane of an instruction on f32; nil if there is none. Names have
// no rounding: it is to the nearest even.
func floatLane(name string) lane {
	switch name {
	case "add":
		return func(a, b, _ uint64) uint64 { return bits32(float(a) + float(b)) }
	case "sub":
		return func(a, b, _ uint64) uint64 { return bits32(float(a) - float(b)) }
	case "mul":
		return func(a, b, _ uint64) uint64 { return bits32(float(a) * float(b)) }
	case "div":
		return func(a, b, _ uint64) uint64 { return bits32(float(a) / float(b)) }
	case "rcp":
		return func(a, _, _ uint64) uint64 { return bits32(1 / float(a)) }
	case "sqrt":
		return func(a, _, _ uint64) uint64 { return bits32(float32(math.Sqrt(float64(float(a))))) }
	case "fma", "mad":
		return fused
	case "min":
		return func(a, b, _ uint64) uint64 { return lesser(a, b, 0) }
	case "max":
		return func(a, b, _ uint64) uint64 { return lesser(a, b, 1) }
	case "abs":
		return func(a, _, _ uint64) uint64 { return a &^ (1 << 31) }
	case "neg":
		return func(a, _, _ uint64) uint64 { return a ^ 1<<31 }
	case "copysign": // the sign of a on b
		return func(a, b, _ uint64) uint64 { return a&(1<<31) | b&^(1<<31) }
	case "mov":
		return func(a, _, _ uint64) uint64 { return uint64(uint32(a)) }
	}
	return nil
}

// fused is a·b + c rounded once. The product is exact in float64; the sum's
// rounding to float64 is made odd, so that the second rounding is right.
func fused(a, b, c uint64) uint64 {
	x, y, z := float64(float(a)), float64(float(b)), float64(float(c))
	p := x * y // 48 bits: exact
	s := float64(p) + z
	if s-s != 0 { // infinite or no number
		return bits32(float32(s))
	}
	bb := s - p
	lost := (p - (s - bb)) + (z - bb) // what the sum lost, exactly
	if v := math.Float64bits(s); lost != 0 && v&1 == 0 {
		if (lost > 0) == (s > 0) {
			s = math.Float64frombits(v + 1)
		} else {
			s = math.Float64frombits(v - 1)
		}
	}
	return bits32(float32(s))
}

// lesser is min and max: a number rather than none, and -0 below +0.
func lesser(a, b uint64, larger int) uint64 {
	x, y := float(a), float(b)
	switch {
	case x != x && y != y:
		return nan32
	case x != x:
		return b
	case y != y:
		return a
	case x == y: // the same, but for the sign of zero
		if larger == 1 {
			return a & b
		}
		return a | b
	case (x < y) == (larger == 0):
		return a
	}
	return b
}

// doubleLane is the lane of an instruction on f64; nil if there is none.
func doubleLane(name string) lane {
	switch name {
	case "add":
		return func(a, b, _ uint64) uint64 { return bits64(double(a) + double(b)) }
	case "sub":
		return func(a, b, _ uint64) uint64 { return bits64(double(a) - double(b)) }
	case "mul":
		return func(a, b, _ uint64) uint64 { return bits64(double(a) * double(b)) }
	case "div":
		return func(a, b, _ uint64) uint64 { return bits64(double(a) / double(b)) }
	case "sqrt":
		return func(a, _, _ uint64) uint64 { return bits64(math.Sqrt(double(a))) }
	case "fma":
		return func(a, b, c uint64) uint64 { return bits64(math.FMA(double(a), double(b), double(c))) }
	case "abs":
		return func(a, _, _ uint64) uint64 { return a &^ (1 << 63) }
	case "neg":
		return func(a, _, _ uint64) uint64 { return a ^ 1<<63 }
	case "mov":
		return func(a, _, _ uint64) uint64 { return a }
	}
	return nil
}

// comparison is setp of one pair; nil if there is none.
func comparison(name string, t ptx.Type) func(a, b uint64) bool {
	if t.Float() {
		widen := double
		if t == ptx.F32 {
			widen = func(v uint64) float64 { return float64(float(v)) }
		}
		return compareFloats(name, widen)
	}
	n := 64 - t.Bits()
	if t.Signed() {
		return compareSigned(name, n)
	}
	switch name {
	case "eq":
		return func(a, b uint64) bool { return a == b }
	case "ne":
		return func(a, b uint64) bool { return a != b }
	case "lt", "lo":
		return func(a, b uint64) bool { return a < b }
	case "le", "ls":
		return func(a, b uint64) bool { return a <= b }
	case "gt", "hi":
		return func(a, b uint64) bool { return a > b }
	case "ge", "hs":
		return func(a, b uint64) bool { return a >= b }
	}
	return nil
}

func compareSigned(name string, n int) func(a, b uint64) bool {
	switch name {
	case "eq":
		return func(a, b uint64) bool { return a == b }
	case "ne":
		return func(a, b uint64) bool { return a != b }
	case "lt":
		return func(a, b uint64) bool { return int64(a<<n) < int64(b<<n) }
	case "le":
		return func(a, b uint64) bool { return int64(a<<n) <= int64(b<<n) }
	case "gt":
		return func(a, b uint64) bool { return int64(a<<n) > int64(b<<n) }
	case "ge":
		return func(a, b uint64) bool { return int64(a<<n) >= int64(b<<n) }
	}
	return nil
}

// compareFloats: names that end in u hold also where one side is no number.
func compareFloats(name string, widen func(uint64) float64) func(a, b uint64) bool {
	var ordered func(x, y float64) bool
	unordered := len(name) == 3 && name[2] == 'u'
	switch name {
	case "num":
		return func(a, b uint64) bool { x, y := widen(a), widen(b); return x == x && y == y }
	case "nan":
		return func(a, b uint64) bool { x, y := widen(a), widen(b); return x != x || y != y }
	case "eq", "equ":
		ordered = func(x, y float64) bool { return x == y }
	case "ne", "neu":
		ordered = func(x, y float64) bool { return x < y || x > y }
	case "lt", "ltu":
		ordered = func(x, y float64) bool { return x < y }
	case "le", "leu":
		ordered = func(x, y float64) bool { return x <= y }
	case "gt", "gtu":
		ordered = func(x, y float64) bool { return x > y }
	case "ge", "geu":
		ordered = func(x, y float64) bool { return x >= y }
	default:
		return nil
	}
	return func(a, b uint64) bool {
		x, y := widen(a), widen(b)
		if x != x || y != y {
			return unordered
		}
		return ordered(x, y)
	}
}
