package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gate writes y = SiLU(a)·σ(g).
func gate(l *level) {
	l.function("gate", "func(y, a, gates *float32, n int)", "computes y[c] = SiLU(a[c])·σ(gates[c]).")
	y, a, g, n := parameter("y"), parameter("a"), parameter("gates"), parameter("n")
	l.eachVector(n, func(offset reg.GPVirtual) {
		left, right := l.load(indexed(a, offset)), l.load(indexed(g, offset))
		// One division for both: a / ((1+e^-a)·(1+e^-g)). Where the product is
		// infinite the result is 0, which it is but for 2^-127.
		lower, upper := onePlusExp(l, left), onePlusExp(l, right)
		VMULPS(upper, lower, lower)
		VDIVPS(lower, left, left)
		VMOVUPS(left, indexed(y, offset))
	})
	end()
}

// gateBackward writes the gradients of y = SiLU(a)·σ(g):
//
//	da = dy·σ(g)·σ(a)·(1 + a·(1-σ(a)))
//	dg = dy·a·σ(a)·σ(g)·(1-σ(g))
func gateBackward(l *level) {
	l.function("gateBackward", "func(da, dg, dy, a, gates *float32, n int)",
		"computes the gradients of SiLU(a[c])·σ(gates[c]) from that of the result.")
	da, dg, dy := parameter("da"), parameter("dg"), parameter("dy")
	a, g, n := parameter("a"), parameter("gates"), parameter("n")
	l.eachVector(n, func(offset reg.GPVirtual) {
		left, right := l.load(indexed(a, offset)), l.load(indexed(g, offset))
		sigmaA, sigmaG := sigmoid(l, left), sigmoid(l, right)
		one := l.load(l.constant("c0", 1))
		slope, v := l.vector(), l.vector()
		VMULPS(sigmaA, sigmaG, slope)
		VMULPS(indexed(dy, offset), slope, slope) // dy·σ(a)·σ(g)
		VSUBPS(sigmaA, one, v)
		VFMADD213PS(one, left, v) // a·(1-σ(a)) + 1
		VMULPS(slope, v, v)
		VMOVUPS(v, indexed(da, offset))
		VSUBPS(sigmaG, one, v)
		VMULPS(left, v, v)
		VMULPS(slope, v, v)
		VMOVUPS(v, indexed(dg, offset))
	})
	end()
}

// exponentials writes the softmax's loop.
func exponentials(l *level) {
	l.function("exponentials", "func(out, x *float32, n int, shift float32) float32",
		"computes out[c] = e^(x[c]-shift) and returns the sum.")
	out, x, n, shift := parameter("out"), parameter("x"), parameter("n"), l.broadcast("shift")
	sum := l.zeroed()
	l.eachVector(n, func(offset reg.GPVirtual) {
		v := l.load(indexed(x, offset))
		VSUBPS(shift, v, v)
		e := exp(l, v)
		VADDPS(e, sum, sum)
		VMOVUPS(e, indexed(out, offset))
	})
	l.total(sum)
	end()
}

// sigmoid writes 1/(1+e^-v).
func sigmoid(l *level, v reg.VecVirtual) reg.VecVirtual {
	e, one := onePlusExp(l, v), l.load(l.constant("c0", 1))
	VDIVPS(e, one, one)
	return one
}

// onePlusExp writes 1+e^-v.
func onePlusExp(l *level, v reg.VecVirtual) reg.VecVirtual {
	x := l.vector()
	VXORPS(l.constantBits("sign", 1<<31), v, x)
	e := exp(l, x)
	VADDPS(l.constant("c0", 1), e, e)
	return e
}

// The range of exp: e^-87 is the least that is not denormal, e^88 the largest
// that is finite.
const (
	expLow   = -87
	expHigh  = 88
	log2E    = 1.44269504088896340736
	ln2High  = 0.693359375
	ln2Low   = -2.12194440054690583e-4
	roundBig = 12582912 // 1.5·2^23: adding it rounds to an integer
)

// exp writes e^x, which it computes in place of x: reduction by ln 2 and a
// polynomial of degree 6.
func exp(l *level, x reg.VecVirtual) reg.VecVirtual {
	limit := l.load(l.constant("expHigh", expHigh))
	VMINPS(x, limit, x)
	VMOVUPS(l.constant("expLow", expLow), limit)
	VMAXPS(x, limit, x)

	shifted, n := l.load(l.constant("roundBig", roundBig)), l.vector()
	VFMADD231PS(l.constant("log2E", log2E), x, shifted)
	VSUBPS(l.constant("roundBig", roundBig), shifted, n)
	VFNMADD231PS(l.constant("ln2High", ln2High), n, x)
	VFNMADD231PS(l.constant("ln2Low", ln2Low), n, x)

	p := l.load(l.constant("c6", 1.0/720))
	for _, c := range []operand.Mem{
		l.constant("c5", 1.0/120),
		l.constant("c4", 1.0/24),
		l.constant("c3", 1.0/6),
		l.constant("c2", 0.5),
		l.constant("c0", 1),
		l.constant("c0", 1),
	} {
		VFMADD213PS(c, x, p)
	}
	// The exponent's bits of 2^n, added to those of p, which is near 1.
	VPSLLD(operand.U8(23), shifted, shifted)
	VPADDD(shifted, p, p)
	return p
}
