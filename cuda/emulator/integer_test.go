package emulator_test

import (
	"math/big"
	"math/bits"
	"testing"
)

// TestIntegers holds instructions on integers against Go.
func TestIntegers(t *testing.T) {
	type f32 = func(a, b, c uint32) uint32
	for code, want := range map[string]f32{
		"add.s32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return a + b },
		"add.u32 %r0, %r1, -7;":          func(a, _, _ uint32) uint32 { return a - 7 },
		"sub.s32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return a - b },
		"mul.lo.s32 %r0, %r1, %r2;":      func(a, b, _ uint32) uint32 { return a * b },
		"mul.hi.s32 %r0, %r1, %r2;":      func(a, b, _ uint32) uint32 { return uint32(int64(int32(a)) * int64(int32(b)) >> 32) },
		"mul.hi.u32 %r0, %r1, %r2;":      func(a, b, _ uint32) uint32 { return uint32(uint64(a) * uint64(b) >> 32) },
		"mad.lo.s32 %r0, %r1, %r2, %r3;": func(a, b, c uint32) uint32 { return a*b + c },
		"mad.hi.u32 %r0, %r1, %r2, %r3;": func(a, b, c uint32) uint32 { return uint32(uint64(a)*uint64(b)>>32) + c },
		"and.b32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return a & b },
		"or.b32 %r0, %r1, %r2;":          func(a, b, _ uint32) uint32 { return a | b },
		"xor.b32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return a ^ b },
		"not.b32 %r0, %r1;":              func(a, _, _ uint32) uint32 { return ^a },
		"cnot.b32 %r0, %r1;":             func(a, _, _ uint32) uint32 { return one(a == 0) },
		"neg.s32 %r0, %r1;":              func(a, _, _ uint32) uint32 { return -a },
		"abs.s32 %r0, %r1;":              func(a, _, _ uint32) uint32 { return uint32(max(int32(a), -int32(a))) },
		"min.s32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return uint32(min(int32(a), int32(b))) },
		"max.s32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return uint32(max(int32(a), int32(b))) },
		"min.u32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return min(a, b) },
		"max.u32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return max(a, b) },
		"shl.b32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return a << b },
		"shr.u32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return a >> b },
		"shr.s32 %r0, %r1, %r2;":         func(a, b, _ uint32) uint32 { return uint32(int32(a) >> b) },
		"shr.s32 %r0, %r1, 31;":          func(a, _, _ uint32) uint32 { return uint32(int32(a) >> 31) },
		"shf.l.wrap.b32 %r0, %r1, %r2, %r3;": func(a, b, c uint32) uint32 {
			return uint32((uint64(b)<<32 | uint64(a)) << (c & 31) >> 32)
		},
		"shf.r.wrap.b32 %r0, %r1, %r2, %r3;":  func(a, b, c uint32) uint32 { return uint32((uint64(b)<<32 | uint64(a)) >> (c & 31)) },
		"shf.l.clamp.b32 %r0, %r1, %r2, %r3;": func(a, b, c uint32) uint32 { return uint32((uint64(b)<<32 | uint64(a)) << min(c, 32) >> 32) },
		"shf.r.clamp.b32 %r0, %r1, %r2, %r3;": func(a, b, c uint32) uint32 { return uint32((uint64(b)<<32 | uint64(a)) >> min(c, 32)) },
		"popc.b32 %r0, %r1;":                  func(a, _, _ uint32) uint32 { return uint32(bits.OnesCount32(a)) },
		"clz.b32 %r0, %r1;":                   func(a, _, _ uint32) uint32 { return uint32(bits.LeadingZeros32(a)) },
		"brev.b32 %r0, %r1;":                  func(a, _, _ uint32) uint32 { return bits.Reverse32(a) },
		"bfind.u32 %r0, %r1;":                 func(a, _, _ uint32) uint32 { return uint32(bits.Len32(a) - 1) },
		"bfind.shiftamt.u32 %r0, %r1;": func(a, _, _ uint32) uint32 {
			if a == 0 {
				return ^uint32(0)
			}
			return uint32(bits.LeadingZeros32(a))
		},
		"lop3.b32 %r0, %r1, %r2, %r3, 0x96;":                func(a, b, c uint32) uint32 { return a ^ b ^ c },
		"lop3.b32 %r0, %r1, %r2, %r3, 0xEA;":                func(a, b, c uint32) uint32 { return a&b | c },
		"lop3.b32 %r0, %r1, %r2, %r3, 0xCA;":                func(a, b, c uint32) uint32 { return a&b | ^a&c },
		"prmt.b32 %r0, %r1, %r2, 0x5140;":                   func(a, b, _ uint32) uint32 { return a&0xff | b&0xff<<8 | a&0xff00<<8 | b&0xff00<<16 },
		"prmt.b32 %r0, %r1, %r2, 0xba98;":                   func(a, _, _ uint32) uint32 { return signs(a) },
		"bfe.u32 %r0, %r1, 5, 9;":                           func(a, _, _ uint32) uint32 { return a >> 5 & 0x1ff },
		"bfe.s32 %r0, %r1, 5, 9;":                           func(a, _, _ uint32) uint32 { return uint32(int32(a<<18) >> 23) },
		"bfe.s32 %r0, %r1, 28, 9;":                          func(a, _, _ uint32) uint32 { return uint32(int32(a) >> 28) },
		"bfi.b32 %r0, %r1, %r2, 4, 8;":                      func(a, b, _ uint32) uint32 { return b&^0xff0 | a&0xff<<4 },
		"slct.u32.s32 %r0, %r1, %r2, %r3;":                  func(a, b, c uint32) uint32 { return pick(int32(c) >= 0, a, b) },
		"sad.s32 %r0, %r1, %r2, %r3;":                       func(a, b, c uint32) uint32 { return uint32(max(int32(a), int32(b))-min(int32(a), int32(b))) + c },
		"div.u32 %r0, %r1, 7;":                              func(a, _, _ uint32) uint32 { return a / 7 },
		"rem.s32 %r0, %r1, -9;":                             func(a, _, _ uint32) uint32 { return uint32(int32(a) % -9) },
		"div.s32 %r0, %r1, %r2;":                            func(a, b, _ uint32) uint32 { return uint32(quotient(int32(a), int32(b))) },
		"set.lt.u32.s32 %r0, %r1, %r2;":                     func(a, b, _ uint32) uint32 { return -one(int32(a) < int32(b)) },
		"mov.b32 {%h4, %h5}, %r1; mov.b32 %r0, {%h5, %h4};": func(a, _, _ uint32) uint32 { return bits.RotateLeft32(a, 16) },
		"dp4a.s32.s32 %r0, %r1, %r2, %r3;":                  func(a, b, c uint32) uint32 { return dots(a, b, c, true, true) },
		"dp4a.u32.u32 %r0, %r1, %r2, %r3;":                  func(a, b, c uint32) uint32 { return dots(a, b, c, false, false) },
		"dp4a.u32.s32 %r0, %r1, %r2, %r3;":                  func(a, b, c uint32) uint32 { return dots(a, b, c, false, true) },
		"dp4a.s32.u32 %r0, %r1, %r2, %r3;":                  func(a, b, c uint32) uint32 { return dots(a, b, c, true, false) },
	} {
		expect(t, code, 'r', 32, func(a, b, c uint64) uint64 { return uint64(want(uint32(a), uint32(b), uint32(c))) })
	}
}

// dots is what a sum of products of bytes is.
func dots(a, b, c uint32, aSigned, bSigned bool) uint32 {
	widen := func(v uint32, signed bool) int32 {
		if signed {
			return int32(int8(v))
		}
		return int32(uint8(v))
	}
	for i := 0; i < 32; i += 8 {
		c += uint32(widen(a>>i, aSigned) * widen(b>>i, bSigned))
	}
	return c
}

func signs(a uint32) (v uint32) {
	for i := 0; i < 32; i += 8 {
		v |= uint32(uint8(int8(a>>i)>>7)) << i
	}
	return v
}

func quotient(a, b int32) int32 {
	if b == 0 {
		return -1
	}
	return a / b
}

func one(v bool) uint32 { return pick[uint32](v, 1, 0) }

func pick[T any](v bool, a, b T) T {
	if v {
		return a
	}
	return b
}

// TestLongIntegers does so for 64 and 16 bits, and for what mixes widths.
func TestLongIntegers(t *testing.T) {
	for code, want := range map[string]func(a, b, c uint64) uint64{
		"add.s64 %d0, %d1, %d2;":      func(a, b, _ uint64) uint64 { return a + b },
		"sub.s64 %d0, %d1, %d2;":      func(a, b, _ uint64) uint64 { return a - b },
		"mul.lo.s64 %d0, %d1, %d2;":   func(a, b, _ uint64) uint64 { return a * b },
		"mul.hi.u64 %d0, %d1, %d2;":   func(a, b, _ uint64) uint64 { return high(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b)) },
		"mul.hi.s64 %d0, %d1, %d2;":   func(a, b, _ uint64) uint64 { return high(big.NewInt(int64(a)), big.NewInt(int64(b))) },
		"mul.wide.s32 %d0, %r1, %r2;": func(a, b, _ uint64) uint64 { return uint64(int64(int32(a)) * int64(int32(b))) },
		"mul.wide.u32 %d0, %r1, %r2;": func(a, b, _ uint64) uint64 { return uint64(uint32(a)) * uint64(uint32(b)) },
		"mad.wide.s32 %d0, %r1, %r2, %d3;": func(a, b, c uint64) uint64 {
			return uint64(int64(int32(a))*int64(int32(b))) + c
		},
		"mad.wide.u32 %d0, %r1, 24, %d3;":                         func(a, _, c uint64) uint64 { return uint64(uint32(a))*24 + c },
		"shl.b64 %d0, %d1, %r2;":                                  func(a, b, _ uint64) uint64 { return a << uint32(b) },
		"shr.u64 %d0, %d1, %r2;":                                  func(a, b, _ uint64) uint64 { return a >> uint32(b) },
		"shr.s64 %d0, %d1, %r2;":                                  func(a, b, _ uint64) uint64 { return uint64(int64(a) >> uint32(b)) },
		"and.b64 %d0, %d1, -8;":                                   func(a, _, _ uint64) uint64 { return a &^ 7 },
		"not.b64 %d0, %d1;":                                       func(a, _, _ uint64) uint64 { return ^a },
		"min.s64 %d0, %d1, %d2;":                                  func(a, b, _ uint64) uint64 { return uint64(min(int64(a), int64(b))) },
		"max.u64 %d0, %d1, %d2;":                                  func(a, b, _ uint64) uint64 { return max(a, b) },
		"rem.u64 %d0, %d1, 1000;":                                 func(a, _, _ uint64) uint64 { return a % 1000 },
		"div.s64 %d0, %d1, -1000;":                                func(a, _, _ uint64) uint64 { return uint64(int64(a) / -1000) },
		"clz.b64 %r0, %d1; cvt.u64.u32 %d0, %r0;":                 func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros64(a)) },
		"popc.b64 %r0, %d1; cvt.u64.u32 %d0, %r0;":                func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount64(a)) },
		"bfe.u64 %d0, %d1, 20, 30;":                               func(a, _, _ uint64) uint64 { return a >> 20 & (1<<30 - 1) },
		"mov.b64 {%r4, %r5}, %d1; mov.b64 %d0, {%r5, %r4};":       func(a, _, _ uint64) uint64 { return bits.RotateLeft64(a, 32) },
		"mul.lo.s16 %h0, %h1, %h2; cvt.u64.u16 %d0, %h0;":         func(a, b, _ uint64) uint64 { return uint64(uint16(a) * uint16(b)) },
		"mul.wide.s16 %r0, %h1, %h2; cvt.s64.s32 %d0, %r0;":       func(a, b, _ uint64) uint64 { return uint64(int64(int16(a)) * int64(int16(b))) },
		"shr.s16 %h0, %h1, 3; cvt.s64.s16 %d0, %h0;":              func(a, _, _ uint64) uint64 { return uint64(int64(int16(a) >> 3)) },
		"setp.lt.s64 %p1, %d1, %d2; selp.b64 %d0, %d1, %d2, %p1;": func(a, b, _ uint64) uint64 { return uint64(min(int64(a), int64(b))) },
	} {
		expect(t, code, 'd', 64, want)
	}
}

// high is the upper 64 bits of a product.
func high(a, b *big.Int) uint64 {
	p := a.Mul(a, b)
	p.Rsh(p, 64)
	return p.And(p, new(big.Int).SetUint64(1<<64-1)).Uint64()
}

// TestPredicates: comparisons and logic of predicates.
func TestPredicates(t *testing.T) {
	for code, want := range map[string]func(a, b, c uint32) bool{
		"setp.lt.s32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return int32(a) < int32(b) },
		"setp.lt.u32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return a < b },
		"setp.le.s32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return int32(a) <= int32(b) },
		"setp.gt.s32 %p0, %r1, 31;":                                                      func(a, _, _ uint32) bool { return int32(a) > 31 },
		"setp.ge.u32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return a >= b },
		"setp.eq.s32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return a == b },
		"setp.ne.s16 %p0, %h1, %h2;":                                                     func(a, b, _ uint32) bool { return uint16(a) != uint16(b) },
		"setp.ne.b32 %p0, %r1, 0;":                                                       func(a, _, _ uint32) bool { return a != 0 },
		"setp.lo.u32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return a < b },
		"setp.hi.u32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return a > b },
		"setp.ls.u32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return a <= b },
		"setp.hs.u32 %p0, %r1, %r2;":                                                     func(a, b, _ uint32) bool { return a >= b },
		"setp.lt.s32 %p1|%p2, %r1, %r2; not.pred %p0, %p2;":                              func(a, b, _ uint32) bool { return int32(a) < int32(b) },
		"setp.lt.s32 %p1, %r1, %r2; setp.gt.and.s32 %p0, %r3, 5, !%p1;":                  func(a, b, c uint32) bool { return int32(c) > 5 && int32(a) >= int32(b) },
		"setp.lt.s32 %p1, %r1, %r2; setp.gt.or.s32 %p0|%p3, %r3, 5, %p1;":                func(a, b, c uint32) bool { return int32(c) > 5 || int32(a) < int32(b) },
		"setp.lt.s32 %p1, %r1, %r2; setp.gt.xor.s32 %p0, %r3, 5, %p1;":                   func(a, b, c uint32) bool { return (int32(c) > 5) != (int32(a) < int32(b)) },
		"setp.lt.s32 %p1, %r1, %r2; setp.lt.s32 %p2, %r2, %r3; and.pred %p0, %p1, %p2;":  func(a, b, c uint32) bool { return int32(a) < int32(b) && int32(b) < int32(c) },
		"setp.lt.s32 %p1, %r1, %r2; setp.lt.s32 %p2, %r2, %r3; or.pred %p0, %p1, %p2;":   func(a, b, c uint32) bool { return int32(a) < int32(b) || int32(b) < int32(c) },
		"setp.lt.s32 %p1, %r1, %r2; setp.lt.s32 %p2, %r2, %r3; xor.pred %p0, %p1, !%p2;": func(a, b, c uint32) bool { return (int32(a) < int32(b)) == (int32(b) < int32(c)) },
		"setp.lt.s32 %p1, %r1, %r2; mov.pred %p0, %p1; @!%p1 setp.eq.s32 %p0, %r1, %r2;": func(a, b, _ uint32) bool { return int32(a) <= int32(b) },
		"mov.pred %p0, -1; setp.lt.s32 %p1, %r1, %r2; @%p1 setp.ne.s32 %p0, %r1, %r1;":   func(a, b, _ uint32) bool { return int32(a) >= int32(b) },
	} {
		expect(t, code, 'p', 32, func(a, b, c uint64) uint64 { return uint64(one(want(uint32(a), uint32(b), uint32(c)))) })
	}
}
