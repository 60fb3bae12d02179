package emulator

import (
	"math"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// mask is the bits a value of n bits has.
func maskOf(n int) uint64 { return 1<<(n-1)<<1 - 1 }

// signExtended is the value of the low n bits of v.
func signExtended(v uint64, n int) int64 { return int64(v<<(64-n)) >> (64 - n) }

// conversion is cvt to a register of width bits; nil if there is none.
func conversion(rounding string, saturate bool, to, from ptx.Type, width int) lane {
	if from == ptx.BF16 || to == ptx.BF16 {
		return bfloat(rounding, to, from)
	}
	var f lane
	switch {
	case !to.Float() && !from.Float():
		f = integerToInteger(saturate, to, from)
	case to.Float() && !from.Float():
		f = integerToFloat(rounding, to, from)
	case !to.Float():
		f = floatToInteger(rounding, to, from)
	default:
		return floatToFloat(rounding, saturate, to, from)
	}
	if f == nil || to.Float() || width <= to.Bits() || !to.Signed() {
		return f
	}
	n, all := to.Bits(), maskOf(width)
	return func(a, b, c uint64) uint64 { return uint64(signExtended(f(a, b, c), n)) & all }
}

func integerToInteger(saturate bool, to, from ptx.Type) lane {
	n, m, all := from.Bits(), to.Bits(), maskOf(to.Bits())
	if !saturate {
		if from.Signed() {
			return func(a, _, _ uint64) uint64 { return uint64(signExtended(a, n)) & all }
		}
		in := maskOf(n)
		return func(a, _, _ uint64) uint64 { return a & in & all }
	}
	if from.Bits() == 64 {
		return nil
	}
	lo, hi := int64(0), int64(all>>1)
	if to.Signed() {
		lo = -1 << (m - 1)
	} else if m < 64 {
		hi = int64(all)
	}
	if m == 64 {
		hi = math.MaxInt64
	}
	return func(a, _, _ uint64) uint64 {
		v := int64(a & maskOf(n))
		if from.Signed() {
			v = signExtended(a, n)
		}
		return uint64(max(lo, min(hi, v))) & all
	}
}

func integerToFloat(rounding string, to, from ptx.Type) lane {
	n := from.Bits()
	switch {
	case rounding != "rn":
		return nil
	case to == ptx.F32 && from.Signed():
		return func(a, _, _ uint64) uint64 { return bits32(float32(signExtended(a, n))) }
	case to == ptx.F32:
		return func(a, _, _ uint64) uint64 { return bits32(float32(a & maskOf(n))) }
	case to == ptx.F64 && from.Signed():
		return func(a, _, _ uint64) uint64 { return bits64(float64(signExtended(a, n))) }
	case to == ptx.F64:
		return func(a, _, _ uint64) uint64 { return bits64(float64(a & maskOf(n))) }
	}
	return nil
}

// toInteger is a rounding to an integral float.
func toInteger(rounding string) func(float64) float64 {
	switch rounding {
	case "rni":
		return math.RoundToEven
	case "rzi":
		return math.Trunc
	case "rmi":
		return math.Floor
	case "rpi":
		return math.Ceil
	}
	return nil
}

func widened(t ptx.Type) func(uint64) float64 {
	switch t {
	case ptx.F32:
		return func(a uint64) float64 { return float64(float(a)) }
	case ptx.F64:
		return double
	}
	return nil
}

// floatToInteger: what is too large becomes the nearest there is; no number
// becomes 0, or 1 << 63 in 64 bits.
func floatToInteger(rounding string, to, from ptx.Type) lane {
	round, widen := toInteger(rounding), widened(from)
	if round == nil || widen == nil {
		return nil
	}
	m, all := to.Bits(), maskOf(to.Bits())
	bottom, top := uint64(0), all
	lo, hi := 0.0, math.Ldexp(1, m) // hi is the first that is too large
	if to.Signed() {
		bottom, top = 1<<(m-1), all>>1
		lo, hi = -math.Ldexp(1, m-1), math.Ldexp(1, m-1)
	}
	none := uint64(0)
	if m == 64 || from == ptx.F64 {
		none = 1 << (m - 1)
	}
	return func(a, _, _ uint64) uint64 {
		v := round(widen(a))
		switch {
		case v != v:
			return none
		case v < lo:
			return bottom
		case v >= hi:
			return top
		case v < 0:
			return uint64(int64(v)) & all
		}
		return uint64(v)
	}
}

func floatToFloat(rounding string, saturate bool, to, from ptx.Type) lane {
	widen := widened(from)
	if widen == nil || widened(to) == nil {
		return nil
	}
	round := toInteger(rounding)
	if round == nil {
		if rounding != "rn" && rounding != "" {
			return nil
		}
		round = func(v float64) float64 { return v }
	}
	return func(a, _, _ uint64) uint64 {
		v := round(widen(a))
		if saturate {
			if v = max(0, min(1, v)); v != v {
				v = 0
			}
		}
		if to == ptx.F32 {
			return bits32(float32(v))
		}
		return bits64(v)
	}
}

// bfloat converts between f32 and bf16.
func bfloat(rounding string, to, from ptx.Type) lane {
	switch {
	case from == ptx.BF16 && to == ptx.F32:
		return func(a, _, _ uint64) uint64 { return uint64(uint32(a << 16)) }
	case from == ptx.F32 && to == ptx.BF16 && rounding == "rn":
		return func(a, _, _ uint64) uint64 {
			if f := float(a); f != f {
				return 0x7fff
			}
			return (a + 0x7fff + a>>16&1) >> 16
		}
	case from == ptx.F32 && to == ptx.BF16 && rounding == "rz":
		return func(a, _, _ uint64) uint64 { return a >> 16 }
	}
	return nil
}
