package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The constants of Exp, the same as in portable.go.
const (
	expLow   = -104
	expHigh  = 89
	log2E    = 1.44269504088896340736
	ln2High  = 0.693359375
	ln2Low   = -2.12194440054690583e-4
	roundBig = 12582912
)

// gate writes y[c] = SiLU(a[c]) · σ(g[c]).
func gate(l *level) {
	l.function("gate", "func(y, a, gates *float32, n int)",
		"computes y[c] = SiLU(a[c]) · σ(gates[c]) for c < n.")
	y, a, g, n := parameter("y"), parameter("a"), parameter("gates"), parameter("n")
	l.eachVector(n, 2, func(offset reg.GPVirtual, count int, move mover) {
		for k := range count {
			left, right := l.vector(), l.vector()
			move.load(l.row(a, offset, k), left)
			s := sigmoid(l, left)
			VMULPS(s, left, left)
			move.load(l.row(g, offset, k), right)
			s = sigmoid(l, right)
			VMULPS(s, left, left)
			move.store(left, l.row(y, offset, k))
		}
	})
}

// sigmoid writes 1/(1+e^-v).
func sigmoid(l *level, v reg.VecVirtual) reg.VecVirtual {
	x := l.vector()
	VXORPS(l.constantBits("sign", 1<<31), v, x)
	e := exp(l, x)
	one := l.vector()
	VMOVUPS(l.constant("c0", 1), one)
	VADDPS(one, e, e)
	VDIVPS(e, one, one)
	return one
}

// exp writes e^x, step by step as Exp of portable.go.
func exp(l *level, x reg.VecVirtual) reg.VecVirtual {
	// If the operands do not compare, VMINPS and VMAXPS return the one that
	// avo and Go write first: it is x, so what is not a number stays.
	limit := l.vector()
	VMOVUPS(l.constant("expHigh", expHigh), limit)
	VMINPS(x, limit, x)
	VMOVUPS(l.constant("expLow", expLow), limit)
	VMAXPS(x, limit, x)

	big := l.constant("roundBig", roundBig)
	shifted, n := l.vector(), l.vector()
	VMULPS(l.constant("log2E", log2E), x, shifted)
	VADDPS(big, shifted, shifted)
	VSUBPS(big, shifted, n)
	t := l.vector()
	VMULPS(l.constant("ln2High", ln2High), n, t)
	VSUBPS(t, x, x)
	VMULPS(l.constant("ln2Low", ln2Low), n, t)
	VSUBPS(t, x, x)

	p := l.vector()
	VMULPS(l.constant("c7", 1.0/5040), x, p)
	VADDPS(l.constant("c6", 1.0/720), p, p)
	for _, c := range []operand.Mem{
		l.constant("c5", 1.0/120),
		l.constant("c4", 1.0/24),
		l.constant("c3", 1.0/6),
		l.constant("c2", 0.5),
		l.constant("c0", 1),
		l.constant("c0", 1),
	} {
		VMULPS(x, p, p)
		VADDPS(c, p, p)
	}

	// 2^n in two factors, so that results below 2^-126 round once.
	exponent, half := shifted, n
	VPSUBD(big, exponent, exponent)
	VPSRAD(operand.U8(1), exponent, half)
	VPSUBD(half, exponent, exponent)
	bias := l.constantBits("bias", 127)
	for _, e := range []reg.VecVirtual{half, exponent} {
		VPADDD(bias, e, e)
		VPSLLD(operand.U8(23), e, e)
		VMULPS(e, p, p)
	}
	return p
}
