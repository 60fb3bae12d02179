package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// eachVector writes the loops over n numbers: several registers at a time while
// they last, then one, then the masked rest. body handles the count registers
// that lie offset bytes behind the pointers' starts.
func (l *level) eachVector(n reg.GPVirtual, several int, body func(offset reg.GPVirtual, count int, move mover)) {
	offset := GP64()
	XORQ(offset, offset)
	for _, count := range []int{several, 1} {
		test, loop := fmt.Sprintf("test%d", count), fmt.Sprintf("loop%d", count)
		JMP(operand.LabelRef(test))
		Label(loop)
		body(offset, count, l.whole())
		ADDQ(operand.U32(count*l.bytes()), offset)
		SUBQ(operand.U32(count*l.lanes), n)
		Label(test)
		CMPQ(n, operand.U32(count*l.lanes))
		JGE(operand.LabelRef(loop))
	}
	TESTQ(n, n)
	JZ(operand.LabelRef("done"))
	mask := l.firstLanes(n, l.lanes)[0]()
	body(offset, 1, l.masked(mask))
	Label("done")
	end()
}

// row is register number k of a row that begins at base.
func (l *level) row(base, offset reg.GPVirtual, k int) operand.Mem {
	return operand.Mem{Base: base, Index: offset, Scale: 1, Disp: k * l.bytes()}
}

// normalize writes out[c] = (x[c] / root) · gain[c].
func normalize(l *level) {
	l.function("normalize", "func(out, x, gain *float32, n int, root float32)",
		"computes out[c] = (x[c] / root) · gain[c] for c < n.")
	out, x, gain, n := parameter("out"), parameter("x"), parameter("gain"), parameter("n")
	root := l.broadcast("root")
	l.eachVector(n, 4, func(offset reg.GPVirtual, count int, move mover) {
		for k := range count {
			v, g := l.vector(), l.vector()
			move.load(l.row(x, offset, k), v)
			move.load(l.row(gain, offset, k), g)
			VDIVPS(root, v, v)
			VMULPS(g, v, v)
			move.store(v, l.row(out, offset, k))
		}
	})
}

// addScaled writes x[c] = scale·t[c] + x[c].
func addScaled(l *level) {
	l.function("addScaled", "func(x, t *float32, n int, scale float32)",
		"computes x[c] = x[c] + scale·t[c] for c < n.")
	x, t, n := parameter("x"), parameter("t"), parameter("n")
	scale := l.broadcast("scale")
	l.eachVector(n, 4, func(offset reg.GPVirtual, count int, move mover) {
		for k := range count {
			v, p := l.vector(), l.vector()
			move.load(l.row(x, offset, k), v)
			move.load(l.row(t, offset, k), p)
			VMULPS(scale, p, p)
			VADDPS(p, v, v)
			move.store(v, l.row(x, offset, k))
		}
	})
}

// broadcast loads a float32 argument into every lane.
func (l *level) broadcast(name string) reg.VecVirtual {
	a, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := l.vector()
	VBROADCASTSS(a.Addr, v)
	return v
}

// roundBF16 writes x[c] = the nearest bfloat16, ties to even.
func roundBF16(l *level) {
	l.function("roundBF16", "func(x *float32, n int)",
		"rounds x[c] to the nearest bfloat16, ties to even, for c < n; what is not finite stays.")
	x, n := parameter("x"), parameter("n")
	one := l.constantBits("one", 1)
	half := l.constantBits("justBelowHalf", 0x7fff)
	high := l.constantBits("highHalf", 0xffff0000)
	exponent := l.constantBits("exponentBits", 0x7f800000)
	l.eachVector(n, 2, func(offset reg.GPVirtual, count int, move mover) {
		for k := range count {
			v, t, e := l.vector(), l.vector(), l.vector()
			move.load(l.row(x, offset, k), v)
			VPSRLD(operand.U8(16), v, t)
			VANDPS(one, t, t)
			VPADDD(half, t, t)
			VPADDD(v, t, t)
			VANDPS(high, t, t)
			VANDPS(exponent, v, e)
			if l.wide() {
				special := K()
				VPCMPEQD(exponent, e, special)
				VMOVAPS(v, special, t)
			} else {
				VPCMPEQD(exponent, e, e)
				VBLENDVPS(e, v, t, t)
			}
			move.store(t, l.row(x, offset, k))
		}
	})
}

// conv writes out[c] = Σ taps[k][c]·w[k, c], added in the order of k.
func conv(l *level) {
	l.function("conv", "func(out *float32, taps *[]float32, w *float32, width, count int)",
		"computes out[c] = taps[0][c]·w[0, c], then + taps[1][c]·w[1, c], … for c < width and count taps, at least one.")
	out, taps, w := parameter("out"), parameter("taps"), parameter("w")
	width := parameter("width")
	wRow := GP64()
	MOVQ(width, wRow)
	SHLQ(operand.U8(2), wRow)
	passes := 0
	l.eachVector(width, 4, func(offset reg.GPVirtual, count int, move mover) {
		passes++
		next, last := fmt.Sprintf("tap%d", passes), fmt.Sprintf("store%d", passes)
		header, weights, left, tap := GP64(), GP64(), GP64(), GP64()
		MOVQ(taps, header)
		MOVQ(w, weights)
		Load(Param("count"), left)
		acc := make([]reg.VecVirtual, count)
		products := func(use func(k int, product reg.VecVirtual)) {
			MOVQ(at(header, 0), tap)
			for k := range count {
				p, f := l.vector(), l.vector()
				move.load(l.row(tap, offset, k), p)
				move.load(l.row(weights, offset, k), f)
				VMULPS(f, p, p)
				use(k, p)
			}
		}
		products(func(k int, p reg.VecVirtual) { acc[k] = p })
		JMP(operand.LabelRef(last))
		Label(next)
		ADDQ(operand.U8(24), header) // the size of a slice
		ADDQ(wRow, weights)
		products(func(k int, p reg.VecVirtual) { VADDPS(p, acc[k], acc[k]) })
		Label(last)
		DECQ(left)
		JNZ(operand.LabelRef(next))
		for k := range count {
			move.store(acc[k], l.row(out, offset, k))
		}
	})
}
