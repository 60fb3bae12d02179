package main

import "fmt"

// quantizedRows writes the operations on rows that quantized products need.
func (w *writer) quantizedRows() {
	w.hadamardGroups()
	w.butterflies(2)
	w.butterflies(4)
	w.largestBits()
	w.toInt8()
}

// groupRegisters is the registers of 64 numbers.
const groupRegisters = 16

func (w *writer) hadamardGroups() {
	w.function("hadamardGroups", "turns signs and does the butterflies at strides 1 to 32 of groups of 64 numbers.", 0, "",
		append(pointers("out", "x"), parameter{"signs", "*byte"}, parameter{"groups", "int"})...)
	r := w.loads("out", "x", "signs", "groups")
	const bits gp = 4
	const word, turned, sign, shifts vec = 16, 17, 18, 19
	w.comment("V0-V15 numbers; V19 the shifts that bring a lane's bit to its sign")
	w.fill(1<<31, bits, sign)
	for lane := range lanes {
		w.op("MOVD", 31-lane, bits)
		w.op("VMOV", bits, fmt.Sprintf("%v.S[%d]", shifts, lane))
	}
	w.label("group")
	for k := 0; k < groupRegisters; k += 2 {
		w.readPair(at(r["x"], 16*k), vec(k))
	}
	for k := range groupRegisters {
		if k%8 == 0 {
			w.op("MOVWU", at(r["signs"], k/2), bits)
			w.op("VDUP", bits, word.floats())
		} else {
			w.op("VUSHR", lanes, word.floats(), word.floats())
		}
		w.ushl(word, shifts, turned)
		w.and(turned, sign, turned)
		w.eor(vec(k), turned, vec(k))
	}
	for k := vec(0); k < groupRegisters; k += 2 {
		w.within("S4", k)
		w.within("D2", k)
	}
	for stride := vec(1); stride < groupRegisters; stride *= 2 {
		for k := range vec(groupRegisters) {
			if k&stride == 0 {
				w.butterfly(k, k+stride, 20+k%4)
			}
		}
	}
	for k := 0; k < groupRegisters; k += 2 {
		w.writePair(vec(k), at(r["out"], 16*k))
	}
	w.advance(r["x"], 4*64)
	w.advance(r["out"], 4*64)
	w.advance(r["signs"], 64/8)
	w.countdown(r["groups"], 1, "group")
	w.op("RET")
}

// within does the butterflies of neighbouring numbers (S4) or pairs (D2) within
// registers k and k+1: those on the left go into one register, those on the right
// into the other, and their sums and differences back to their places.
func (w *writer) within(arrangement string, k vec) {
	name := func(v vec) string { return fmt.Sprintf("%v.%s", v, arrangement) }
	left, right := 20+k%4, 24+k%4
	w.op("VTRN1", name(k+1), name(k), name(left))
	w.op("VTRN2", name(k+1), name(k), name(right))
	w.butterfly(left, right, left+1)
	w.op("VTRN1", name(right), name(left), name(k))
	w.op("VTRN2", name(right), name(left), name(k+1))
}

// butterfly sets a, b to a+b, a-b; t is lost.
func (w *writer) butterfly(a, b, t vec) {
	w.fsub(a, b, t)
	w.fadd(a, b, a)
	w.copyTo(t, b)
}

// butterflies writes the butterflies at one stride (two rows of registers) or at
// a stride and its double (four).
func (w *writer) butterflies(rows int) {
	of := "does the butterflies at a stride of blocks of 2 strides; stride is in numbers, a multiple of 16."
	if rows == 4 {
		of = "does the butterflies at a stride, then at its double, of blocks of 4 strides; stride is in numbers, a multiple of 16."
	}
	w.function(fmt.Sprintf("butterflies%d", rows), of, 0, "", append(pointers("x"), counts("stride", "blocks")...)...)
	r := w.loads("x", "stride", "blocks")
	const left, row gp = 3, 4 // row is the first of the rows' places
	w.op("LSL", 2, r["stride"], r["stride"])
	w.label("block")
	w.op("MOVD", r["stride"], left)
	w.op("MOVD", r["x"], row)
	for k := range gp(rows - 1) {
		w.op("ADD", r["stride"], row+k, row+k+1)
	}
	w.label("column")
	for k := range rows {
		w.readPair(at(row+gp(k), 0), vec(2*k))
	}
	for half := range vec(2) {
		t := 16 + 4*half
		w.butterfly(half, 2+half, t)
		if rows == 4 {
			w.butterfly(4+half, 6+half, t+1)
			w.butterfly(half, 4+half, t+2)
			w.butterfly(2+half, 6+half, t+3)
		}
	}
	for k := range rows {
		w.writePair(vec(2*k), at(row+gp(k), 0))
		w.advance(row+gp(k), 32)
	}
	w.countdown(left, 32, "column")
	w.op("MOVD", row+gp(rows-1), r["x"])
	w.countdown(r["blocks"], 1, "block")
	w.op("RET")
}

func (w *writer) largestBits() {
	w.function("largestBits", "returns the largest of the numbers' bits without their signs, in groups of 32 numbers.", 0, "uint32",
		append(pointers("x"), counts("groups")...)...)
	r := w.loads("x", "groups")
	const magnitude vec = 31
	w.fill(1<<31-1, 2, magnitude)
	for k := range vec(sumRegisters) {
		w.zero(k)
	}
	w.label("group")
	for k := 0; k < sumRegisters; k += 2 {
		w.readPair(at(r["x"], 16*k), vec(8+k))
	}
	for k := range vec(sumRegisters) {
		w.and(8+k, magnitude, 8+k)
		w.largerWords(k, 8+k)
	}
	w.advance(r["x"], 4*sumLanes)
	w.countdown(r["groups"], 1, "group")
	for half := vec(sumRegisters / 2); half > 0; half /= 2 {
		for k := range half {
			w.largerWords(k, k+half)
		}
	}
	w.maxWord(0, 0)
	w.op("FMOVS", vec(0).scalar(), w.places["ret"])
	w.op("RET")
}

// largerWords sets a to the larger of each unsigned word.
func (w *writer) largerWords(a, b vec) { w.op("VUMAX", b.floats(), a.floats(), a.floats()) }

func (w *writer) toInt8() {
	w.function("toInt8", "writes q = clamp(round-half-even(x/scale), -127, 127) of groups of 16 numbers, each group step behind the last, and returns Σq.", 0, "int32",
		parameter{"out", "*int8"}, parameter{"step", "int"}, parameter{"x", "*float32"}, parameter{"groups", "int"}, parameter{"scale", "float32"})
	r := w.loads("out", "step", "x", "groups")
	const scale, least, ones, sums vec = 28, 29, 30, 31
	w.broadcast("scale", scale)
	w.op("VMOVI", 0x81, least.bytes()) // -127
	w.op("VMOVI", 1, ones.bytes())
	w.zero(sums)
	w.label("group")
	for k := 0; k < 4; k += 2 {
		w.readPair(at(r["x"], 16*k), vec(k))
	}
	for k := range vec(4) {
		w.fdiv(k, scale, k)
		w.fcvtns(k, k)
		w.narrowWords(k, 4+k/2, k%2 == 1)
	}
	w.narrowShorts(4, 6, false)
	w.narrowShorts(5, 6, true) // 127 at most, -128 at least
	w.maxBytes(6, least, 6)
	w.sdot(6, ones, sums)
	w.write(6, at(r["out"], 0))
	w.op("ADD", r["step"], r["out"])
	w.advance(r["x"], 64)
	w.countdown(r["groups"], 1, "group")
	w.op("VADDV", sums.floats(), sums)
	w.op("FMOVS", sums.scalar(), w.places["ret"])
	w.op("RET")
}
