package main

import (
	"fmt"
	"math"
)

// numbers moves some of a row's numbers.
type numbers struct {
	*writer
	size int // bytes at a time
}

func (n numbers) read(from gp, k int, v vec) { n.move(from, k, v, true) }
func (n numbers) write(v vec, to gp, k int)  { n.move(to, k, v, false) }

// next moves places past k registers, or k single numbers.
func (n numbers) next(k int, places ...gp) {
	for _, p := range places {
		n.advance(p, k*n.size)
	}
}

func (n numbers) move(place gp, k int, v vec, load bool) {
	name := "FMOVQ"
	if n.size == 4 {
		name = "FMOVS"
	}
	if load {
		n.op(name, at(place, k*n.size), v.scalar())
	} else {
		n.op(name, v.scalar(), at(place, k*n.size))
	}
}

// eachNumber writes the loops over n numbers: count registers at a time while they
// last, then one, then single numbers in a register of their own.
func (w *writer) eachNumber(n gp, count int, body func(move numbers, count int)) {
	for _, pass := range []struct {
		name        string
		size, count int
	}{{"several", 16, count}, {"whole", 16, 1}, {"single", 4, 1}} {
		step := pass.size / 4 * pass.count
		w.jump("B", pass.name+"Test")
		w.label(pass.name)
		body(numbers{w, pass.size}, pass.count)
		w.advance(n, -step)
		w.label(pass.name + "Test")
		w.op("CMP", step, n)
		w.jump("BGE", pass.name)
	}
	w.op("RET")
}

// rows writes the operations on float32 rows.
func (w *writer) rows() {
	w.gate()
	w.normalize()
	w.conv()
	w.addScaled()
	w.roundBF16()
}

func (w *writer) normalize() {
	w.function("normalize", "computes out[c] = (x[c] / root) · gain[c] for c < n.", 0, "",
		append(append(pointers("out", "x", "gain"), counts("n")...), parameter{"root", "float32"})...)
	r := w.loads("out", "x", "gain", "n")
	const root vec = 31
	w.broadcast("root", root)
	w.eachNumber(r["n"], 4, func(move numbers, count int) {
		for k := range count {
			v, g := vec(2*k), vec(2*k+1)
			move.read(r["x"], k, v)
			move.read(r["gain"], k, g)
			w.fdiv(v, root, v)
			w.fmul(v, g, v)
			move.write(v, r["out"], k)
		}
		move.next(count, r["out"], r["x"], r["gain"])
	})
}

func (w *writer) addScaled() {
	w.function("addScaled", "computes x[c] = x[c] + scale·t[c] for c < n.", 0, "",
		append(append(pointers("x", "t"), counts("n")...), parameter{"scale", "float32"})...)
	r := w.loads("x", "t", "n")
	const scale vec = 31
	w.broadcast("scale", scale)
	w.eachNumber(r["n"], 4, func(move numbers, count int) {
		for k := range count {
			v, t := vec(2*k), vec(2*k+1)
			move.read(r["x"], k, v)
			move.read(r["t"], k, t)
			w.addProduct(t, scale, v)
			move.write(v, r["x"], k)
		}
		move.next(count, r["x"], r["t"])
	})
}

func (w *writer) roundBF16() {
	w.function("roundBF16", "rounds x[c] to the nearest bfloat16, ties to even, for c < n; what is not finite stays.", 0, "",
		append(pointers("x"), counts("n")...)...)
	r := w.loads("x", "n")
	const one, half, high, exponent vec = 28, 29, 30, 31
	w.fill(1, 2, one)
	w.fill(0x7fff, 2, half)
	w.fill(0xffff0000, 2, high)
	w.fill(0x7f800000, 2, exponent)
	w.eachNumber(r["n"], 4, func(move numbers, count int) {
		for k := range count {
			v, t, special := vec(3*k), vec(3*k+1), vec(3*k+2)
			move.read(r["x"], k, v)
			w.op("VUSHR", 16, v.floats(), t.floats())
			w.and(t, one, t)
			w.addWords(t, half, t)
			w.addWords(t, v, t)
			w.and(t, high, t)
			w.and(v, exponent, special)
			w.op("VCMEQ", special.floats(), exponent.floats(), special.floats())
			w.op("VBIT", special.bytes(), v.bytes(), t.bytes()) // v where special
			move.write(t, r["x"], k)
		}
		move.next(count, r["x"])
	})
}

// conv keeps the sums of a few columns in registers while it goes over the taps.
func (w *writer) conv() {
	w.function("conv", "computes out[c] = taps[0][c]·w[0, c], then + taps[1][c]·w[1, c], … for c < width and count taps, at least one.", 0, "",
		parameter{"out", "*float32"}, parameter{"taps", "*[]float32"}, parameter{"w", "*float32"},
		parameter{"width", "int"}, parameter{"count", "int"})
	r := w.loads("out", "taps", "w", "width", "count")
	const offset, header, weights, left, tap, wRow gp = 5, 6, 7, 8, 9, 10
	const sliceBytes = 24
	w.op("LSL", 2, r["width"], wRow)
	w.op("MOVD", 0, offset)
	passes := 0
	w.eachNumber(r["width"], 4, func(move numbers, count int) {
		passes++
		next, last := fmt.Sprintf("tap%d", passes), fmt.Sprintf("taps%d", passes)
		w.op("MOVD", r["taps"], header)
		w.op("MOVD", r["w"], weights)
		w.op("MOVD", r["count"], left)
		products := func(to func(k int) vec) {
			w.op("MOVD", at(header, 0), tap)
			w.op("ADD", offset, tap)
			for k := range count {
				move.read(tap, k, to(k))
				move.read(weights, k, vec(16+k))
				w.fmul(to(k), vec(16+k), to(k))
			}
		}
		products(func(k int) vec { return vec(k) })
		w.jump("B", last)
		w.label(next)
		w.advance(header, sliceBytes)
		w.op("ADD", wRow, weights)
		products(func(k int) vec { return vec(8 + k) })
		for k := range count {
			w.fadd(vec(k), vec(8+k), vec(k))
		}
		w.label(last)
		w.countdown(left, 1, next)
		for k := range count {
			move.write(vec(k), r["out"], k)
		}
		move.next(count, r["out"], r["w"], offset)
	})
}

// The constants of Exp, the same as in portable.go, and the registers that hold
// them in gate.
const (
	expLow   = -104
	expHigh  = 89
	log2E    = 1.44269504088896340736
	ln2High  = 0.693359375
	ln2Low   = -2.12194440054690583e-4
	roundBig = 12582912
)

const (
	atHigh vec = 16 + iota
	atLow
	atLog2E
	atBig
	atLn2High
	atLn2Low
	atSeventh // the coefficients: 1/7! to 1/2!, then 1
	atOne     = atSeventh + 6
	atBias    = atOne + 1
)

func (w *writer) gate() {
	w.function("gate", "computes y[c] = SiLU(a[c]) · σ(gates[c]) for c < n.", 0, "",
		append(pointers("y", "a", "gates"), counts("n")...)...)
	r := w.loads("y", "a", "gates", "n")
	for i, c := range []float32{expHigh, expLow, log2E, roundBig, ln2High, ln2Low,
		1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1} {
		w.fill(math.Float32bits(c), 4, atHigh+vec(i))
	}
	w.fill(127, 4, atBias)
	w.eachNumber(r["n"], 2, func(move numbers, count int) {
		for k := range count {
			a, g := vec(8*k), vec(8*k+1)
			move.read(r["a"], k, a)
			move.read(r["gates"], k, g)
			w.sigmoid(a, a+2)
			w.fmul(a, a+2, a)
			w.sigmoid(g, a+2)
			w.fmul(a, a+2, a)
			move.write(a, r["y"], k)
		}
		move.next(count, r["y"], r["a"], r["gates"])
	})
}

// sigmoid sets to to 1/(1+e^-v); the four registers after it are lost.
func (w *writer) sigmoid(v, to vec) {
	x, p := to+1, to
	w.fneg(v, x)
	w.exp(x, p)
	w.fadd(atOne, p, p)
	w.fdiv(atOne, p, to)
}

// exp sets p to e^x, step by step as Exp of portable.go; x and the three registers
// after it are lost.
func (w *writer) exp(x, p vec) {
	shifted, n, t := x+1, x+2, x+3
	w.fmin(x, atHigh, x)
	w.fmax(x, atLow, x)
	w.fmul(x, atLog2E, shifted)
	w.fadd(shifted, atBig, shifted)
	w.fsub(shifted, atBig, n)
	w.fmul(n, atLn2High, t)
	w.fsub(x, t, x)
	w.fmul(n, atLn2Low, t)
	w.fsub(x, t, x)
	w.fmul(x, atSeventh, p)
	for c := atSeventh + 1; c <= atOne; c++ {
		w.fadd(p, c, p)
		w.fmul(p, x, p)
	}
	w.fadd(p, atOne, p)
	// 2^n in two factors, so that results below 2^-126 round once.
	exponent, half := shifted, n
	w.subWords(exponent, atBig, exponent)
	w.sshr(1, exponent, half)
	w.subWords(exponent, half, exponent)
	for _, e := range []vec{half, exponent} {
		w.addWords(e, atBias, e)
		w.op("VSHL", 23, e.floats(), e.floats())
		w.fmul(p, e, p)
	}
}
