package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowOperations writes the operations on whole rows of n numbers, n a multiple
// of the lanes.
func rowOperations(l *level) {
	l.function("dot", "func(x, y *float32, n int) float32", "returns Σ x[c]·y[c].")
	x, y, n := parameter("x"), parameter("y"), parameter("n")
	sum := l.zeroed()
	l.eachVector(n, func(offset reg.GPVirtual) {
		VFMADD231PS(indexed(y, offset), l.load(indexed(x, offset)), sum)
	})
	l.total(sum)
	end()

	l.function("tripleDot", "func(x, y, z *float32, n int) float32", "returns Σ x[c]·y[c]·z[c].")
	x, y, z, n := parameter("x"), parameter("y"), parameter("z"), parameter("n")
	sum = l.zeroed()
	l.eachVector(n, func(offset reg.GPVirtual) {
		v := l.load(indexed(x, offset))
		VMULPS(indexed(y, offset), v, v)
		VFMADD231PS(indexed(z, offset), v, sum)
	})
	l.total(sum)
	end()

	l.function("addProduct", "func(sum, x, y *float32, n int)", "computes sum[c] += x[c]·y[c].")
	s, x, y, n := parameter("sum"), parameter("x"), parameter("y"), parameter("n")
	l.eachVector(n, func(offset reg.GPVirtual) {
		v := l.load(indexed(s, offset))
		VFMADD231PS(indexed(y, offset), l.load(indexed(x, offset)), v)
		VMOVUPS(v, indexed(s, offset))
	})
	end()

	l.function("multiply", "func(out, x, y *float32, n int)", "computes out[c] = x[c]·y[c].")
	out, x, y, n := parameter("out"), parameter("x"), parameter("y"), parameter("n")
	l.eachVector(n, func(offset reg.GPVirtual) {
		v := l.load(indexed(x, offset))
		VMULPS(indexed(y, offset), v, v)
		VMOVUPS(v, indexed(out, offset))
	})
	end()

	normBackward(l)
	largest(l)
	toSteps(l)
}

// normBackward writes the last pass of the gradient of a norm.
func normBackward(l *level) {
	l.function("normBackward", "func(dx, dgain, dy, x, gain *float32, n int, inverse, shrink float32)",
		"computes dx[c] += dy[c]·gain[c]·inverse - x[c]·shrink and dgain[c] += dy[c]·x[c]·inverse.")
	dx, dgain, dy := parameter("dx"), parameter("dgain"), parameter("dy")
	x, gain, n := parameter("x"), parameter("gain"), parameter("n")
	inverse, shrink := l.broadcast("inverse"), l.broadcast("shrink")
	l.eachVector(n, func(offset reg.GPVirtual) {
		slope, in := l.load(indexed(dy, offset)), l.load(indexed(x, offset))
		VMULPS(inverse, slope, slope)
		v := l.load(indexed(dgain, offset))
		VFMADD231PS(in, slope, v)
		VMOVUPS(v, indexed(dgain, offset))
		v = l.load(indexed(dx, offset))
		VFMADD231PS(indexed(gain, offset), slope, v)
		VFNMADD231PS(shrink, in, v)
		VMOVUPS(v, indexed(dx, offset))
	})
	end()
}

// largest writes the largest magnitude of a row.
func largest(l *level) {
	l.function("largest", "func(x *float32, n int) float32", "returns the largest |x[c]|.")
	x, n := parameter("x"), parameter("n")
	most, mask := l.zeroed(), l.load(l.constantBits("magnitude", 0x7fffffff))
	l.eachVector(n, func(offset reg.GPVirtual) {
		v := l.vector()
		VANDPS(indexed(x, offset), mask, v)
		VMAXPS(v, most, most)
	})
	if l.wide() {
		high := YMM()
		VEXTRACTF64X4(operand.U8(1), most, high)
		VMAXPS(high, most.AsY(), most.AsY())
	}
	low, high := most.AsX(), XMM()
	VEXTRACTF128(operand.U8(1), most.AsY(), high)
	VMAXPS(high, low, low)
	VPERMILPS(operand.U8(0x4e), low, high)
	VMAXPS(high, low, low)
	VPERMILPS(operand.U8(0xb1), low, high)
	VMAXPS(high, low, low)
	Store(low, ReturnIndex(0))
	end()
}

// toSteps writes the rounding of a row to whole steps.
func toSteps(l *level) {
	l.function("toSteps", "func(out, x *float32, n int, step float32)",
		"computes out[c] = step·round-half-even(x[c]/step).")
	out, x, n, step := parameter("out"), parameter("x"), parameter("n"), l.broadcast("step")
	l.eachVector(n, func(offset reg.GPVirtual) {
		v := l.load(indexed(x, offset))
		VDIVPS(step, v, v)
		if l.wide() {
			VRNDSCALEPS(operand.U8(0), v, v)
		} else {
			VROUNDPS(operand.U8(0), v, v)
		}
		VMULPS(step, v, v)
		VMOVUPS(v, indexed(out, offset))
	})
	end()
}
