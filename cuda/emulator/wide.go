package emulator

import (
	"math"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// wideMove copies a register.
func wideMove(d, a, _, _ *lanes) { *d = *a }

// wideOf is the whole warp's form of an instruction that is common; nil if there
// is none.
func wideOf(name string) func(d, a, b, c *lanes) { return wides[strings.Replace(name, ".rn", "", 1)] }

var wides = map[string]func(d, a, b, c *lanes){
	"add.s32":    addWide,
	"add.u32":    addWide,
	"sub.s32":    subWide,
	"add.s64":    addWide64,
	"add.u64":    addWide64,
	"mul.lo.s32": mulWide,
	"mad.lo.s32": madWide,
	"mul.wide.s32": func(d, a, b, _ *lanes) {
		for i := range d {
			d[i] = uint64(int64(int32(a[i])) * int64(int32(b[i])))
		}
	},
	"mul.wide.u32": func(d, a, b, _ *lanes) {
		for i := range d {
			d[i] = a[i] * b[i]
		}
	},
	"and.b32":      andWide,
	"and.b64":      andWide,
	"or.b32":       orWide,
	"or.b64":       orWide,
	"xor.b32":      xorWide,
	"add.f32":      addWideFloat,
	"sub.f32":      subWideFloat,
	"mul.f32":      mulWideFloat,
	"dp4a.s32.s32": dotWide,
	"cvt.s64.s32":  extendWide,
	"cvt.u64.u32":  wideMove,
}

func addWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(a[i] + b[i]))
	}
}

func subWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(a[i] - b[i]))
	}
}

func addWide64(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

func mulWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(a[i] * b[i]))
	}
}

func madWide(d, a, b, c *lanes) {
	for i := range d {
		d[i] = uint64(uint32(a[i]*b[i] + c[i]))
	}
}

func andWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] & b[i]
	}
}

func orWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] | b[i]
	}
}

func xorWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
}

func extendWide(d, a, _, _ *lanes) {
	for i := range d {
		d[i] = uint64(int64(int32(a[i])))
	}
}

func addWideFloat(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = bits32(math.Float32frombits(uint32(a[i])) + math.Float32frombits(uint32(b[i])))
	}
}

func subWideFloat(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = bits32(math.Float32frombits(uint32(a[i])) - math.Float32frombits(uint32(b[i])))
	}
}

func mulWideFloat(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = bits32(math.Float32frombits(uint32(a[i])) * math.Float32frombits(uint32(b[i])))
	}
}

func dotWide(d, a, b, c *lanes) {
	for i := range d {
		x, y := a[i], b[i]
		d[i] = uint64(uint32(int32(c[i]) +
			int32(int8(x))*int32(int8(y)) + int32(int8(x>>8))*int32(int8(y>>8)) +
			int32(int8(x>>16))*int32(int8(y>>16)) + int32(int8(x>>24))*int32(int8(y>>24))))
	}
}

// setRun is setp of one predicate.
func setRun(name string, t ptx.Type) func(w *warp, in *instruction, active uint32) { return runSet }
