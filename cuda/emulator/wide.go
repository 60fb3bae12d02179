package emulator

import (
	"math"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// wideMove copies a register.
func wideMove(d, a, _, _ *lanes) { *d = *a }

// wideOf is the whole warp's form of an instruction that is common; nil if there
// is none. It computes what the lane does, without a call for each.
func wideOf(name string) func(d, a, b, c *lanes) { return wides[strings.Replace(name, ".rn.", ".", 1)] }

var wides = map[string]func(d, a, b, c *lanes){
	"cvt.u64.u32":        wideMove,
	"cvta.to.global.u64": wideMove,
	"cvta.global.u64":    wideMove,
	"add.s32":            addWide,
	"add.u32":            addWide,
	"sub.s32":            subWide,
	"sub.u32":            subWide,
	"mul.lo.s32":         mulWide,
	"mul.lo.u32":         mulWide,
	"mad.lo.s32":         madWide,
	"mad.lo.u32":         madWide,
	"add.s64":            addLongWide,
	"add.u64":            addLongWide,
	"sub.s64":            subLongWide,
	"sub.u64":            subLongWide,
	"mul.lo.s64":         mulLongWide,
	"mul.lo.u64":         mulLongWide,
	"mul.wide.u32":       mulLongWide,
	"mul.wide.s32":       mulSignedWide,
	"and.b32":            andWide,
	"and.b64":            andWide,
	"and.b16":            andWide,
	"or.b32":             orWide,
	"or.b64":             orWide,
	"or.b16":             orWide,
	"xor.b32":            xorWide,
	"xor.b64":            xorWide,
	"xor.b16":            xorWide,
	"not.b32":            notWide,
	"shl.b32":            shlWide,
	"shl.b64":            shlLongWide,
	"shr.u32":            shrWide,
	"shr.u64":            shrWide,
	"shr.s32":            shrSignedWide,
	"min.u32":            minWide,
	"max.u32":            maxWide,
	"min.s32":            minSignedWide,
	"max.s32":            maxSignedWide,
	"add.f32":            addFloatWide,
	"sub.f32":            subFloatWide,
	"mul.f32":            mulFloatWide,
	"div.f32":            divFloatWide,
	"abs.f32":            absFloatWide,
	"neg.f32":            negFloatWide,
	"cvt.s64.s32":        extendWide,
	"cvt.u32.u64":        cutWide,
	"cvt.f32.s32":        fromIntWide,
	"cvt.rni.s32.f32":    nearestWide,
	"prmt.b32":           permuteWide,
	"dp4a.s32.s32":       dotWideSS,
	"dp4a.s32.u32":       dotWideSU,
	"dp4a.u32.s32":       dotWideUS,
	"dp4a.u32.u32":       dotWideUU,
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

func addLongWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

func subLongWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] - b[i]
	}
}

func mulLongWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] * b[i]
	}
}

func mulSignedWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(int64(int32(a[i])) * int64(int32(b[i])))
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

func notWide(d, a, _, _ *lanes) {
	for i := range d {
		d[i] = uint64(^uint32(a[i]))
	}
}

func shlWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(a[i]) << uint32(b[i]))
	}
}

func shlLongWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] << uint32(b[i])
	}
}

func shrWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = a[i] >> uint32(b[i])
	}
}

func shrSignedWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(int32(a[i]) >> uint32(b[i])))
	}
}

func minWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = min(a[i], b[i])
	}
}

func maxWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = max(a[i], b[i])
	}
}

func minSignedWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(min(int32(a[i]), int32(b[i]))))
	}
}

func maxSignedWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(max(int32(a[i]), int32(b[i]))))
	}
}

func addFloatWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = bits32(math.Float32frombits(uint32(a[i])) + math.Float32frombits(uint32(b[i])))
	}
}

func subFloatWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = bits32(math.Float32frombits(uint32(a[i])) - math.Float32frombits(uint32(b[i])))
	}
}

func mulFloatWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = bits32(math.Float32frombits(uint32(a[i])) * math.Float32frombits(uint32(b[i])))
	}
}

func divFloatWide(d, a, b, _ *lanes) {
	for i := range d {
		d[i] = bits32(math.Float32frombits(uint32(a[i])) / math.Float32frombits(uint32(b[i])))
	}
}

func absFloatWide(d, a, _, _ *lanes) {
	for i := range d {
		d[i] = a[i] &^ (1 << 31)
	}
}

func negFloatWide(d, a, _, _ *lanes) {
	for i := range d {
		d[i] = a[i] ^ 1<<31
	}
}

func extendWide(d, a, _, _ *lanes) {
	for i := range d {
		d[i] = uint64(int64(int32(a[i])))
	}
}

func cutWide(d, a, _, _ *lanes) {
	for i := range d {
		d[i] = uint64(uint32(a[i]))
	}
}

func fromIntWide(d, a, _, _ *lanes) {
	for i := range d {
		d[i] = uint64(math.Float32bits(float32(int32(a[i]))))
	}
}

// nearestWide rounds to the nearest even. Adding magic and taking it away again does
// that to what is small, which nearly all is.
func nearestWide(d, a, _, _ *lanes) {
	const magic = 0x1.8p52
	for i := range d {
		f := float64(math.Float32frombits(uint32(a[i])))
		if f >= -1<<31 && f <= 1<<31-1 {
			d[i] = uint64(uint32(int32(f + magic - magic)))
			continue
		}
		d[i] = nearest(a[i], 0, 0)
	}
}

var nearest = floatToInteger("rni", ptx.S32, ptx.F32)

// permuteWide is quick where all lanes have one selector, which copies no signs.
func permuteWide(d, a, b, c *lanes) {
	s := c[0]
	if s&0x8888 != 0 || !same(c) {
		for i := range d {
			d[i] = permute(a[i], b[i], c[i])
		}
		return
	}
	s0, s1, s2, s3 := s&7*8, s>>4&7*8, s>>8&7*8, s>>12&7*8
	for i := range d {
		v := b[i]<<32 | a[i]
		d[i] = v>>s0&0xff | v>>s1&0xff<<8 | v>>s2&0xff<<16 | v>>s3&0xff<<24
	}
}

func dotWideSS(d, a, b, c *lanes) {
	for i := range d {
		x, y := a[i], b[i]
		d[i] = uint64(uint32(int32(c[i]) + int32(int8(x))*int32(int8(y)) + int32(int8(x>>8))*int32(int8(y>>8)) +
			int32(int8(x>>16))*int32(int8(y>>16)) + int32(int8(x>>24))*int32(int8(y>>24))))
	}
}

func dotWideSU(d, a, b, c *lanes) {
	for i := range d {
		x, y := a[i], b[i]
		d[i] = uint64(uint32(int32(c[i]) + int32(int8(x))*int32(uint8(y)) + int32(int8(x>>8))*int32(uint8(y>>8)) +
			int32(int8(x>>16))*int32(uint8(y>>16)) + int32(int8(x>>24))*int32(uint8(y>>24))))
	}
}

func dotWideUS(d, a, b, c *lanes) {
	for i := range d {
		x, y := a[i], b[i]
		d[i] = uint64(uint32(int32(c[i]) + int32(uint8(x))*int32(int8(y)) + int32(uint8(x>>8))*int32(int8(y>>8)) +
			int32(uint8(x>>16))*int32(int8(y>>16)) + int32(uint8(x>>24))*int32(int8(y>>24))))
	}
}

func dotWideUU(d, a, b, c *lanes) {
	for i := range d {
		x, y := a[i], b[i]
		d[i] = uint64(uint32(int32(c[i]) + int32(uint8(x))*int32(uint8(y)) + int32(uint8(x>>8))*int32(uint8(y>>8)) +
			int32(uint8(x>>16))*int32(uint8(y>>16)) + int32(uint8(x>>24))*int32(uint8(y>>24))))
	}
}
