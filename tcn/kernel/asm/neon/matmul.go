package main

import "fmt"

const (
	// sumLanes is the number of partial sums of the rule for sums.
	sumLanes = 32
	// lanes is the float32 numbers in a register, sumRegisters the registers of
	// a sum.
	lanes        = 4
	sumRegisters = sumLanes / lanes
)

// shape is the size of a register tile of MatMul: input rows by weight rows, one
// of them 1. Three products take 24 registers; the last 8 are for numbers.
type shape struct{ in, weight int }

func (s shape) products() int { return s.in * s.weight }

// The registers of a tile: what is left of an argument, then the present places.
const (
	tileY gp = iota
	tileX
	tileW
	tileCols
	tileTiles
	tileYRow
	tileYCol
	tileXRow
	tileWRow
	tileFrom
	tileTo
	tileLeft
	tileOne  // the single row
	tileEach // and the one, two or three others
	tileStop = tileEach + 3
	tileAt   = gp(19)
)

// spare is the first register that holds no sum.
const spare vec = 3 * sumRegisters

// sum is register k of product j's lanes.
func sum(j, k int) vec { return vec(j*sumRegisters + k) }

// tile writes the function that multiplies s.in input rows with s.weight weight
// rows at a time, all lanes of all products in registers.
func (w *writer) tile(s shape) {
	w.function(fmt.Sprintf("tile%dx%d", s.in, s.weight),
		fmt.Sprintf("multiplies %d by %d·tiles rows; see tileFunc.", s.in, s.weight), 0, "",
		append(append(append(pointers("y", "x", "w"), counts("cols", "tiles")...),
			strides("yRow", "yCol", "xRow", "wRow")...), pointers("from", "to")...)...)
	w.loads("y", "x", "w", "cols", "tiles", "yRow", "yCol", "xRow", "wRow", "from", "to")
	w.comment("V0-V%d lanes; the numbers of each row in V24-V31", 8*s.products()-1)
	w.label("tile")
	w.jump("CBZ", tileFrom.String()+", zero")
	w.lanesOf(s, tileFrom, w.readPair)
	w.jump("B", "begin")
	w.label("zero")
	for v := range sum(s.products(), 0) {
		w.zero(v)
	}
	w.label("begin")
	w.places1xN(s)
	w.op("MOVD", tileCols, tileLeft)
	w.less(tileLeft, sumLanes, "rest")
	w.label("group")
	for k := 0; k < sumRegisters; k += 2 {
		w.stepPair(s, k)
	}
	w.movePlaces(s, 4*sumLanes)
	w.advance(tileLeft, -sumLanes)
	w.op("CMP", sumLanes, tileLeft)
	w.jump("BGE", "group")
	w.label("rest")
	w.jump("CBZ", tileLeft.String()+", fold")
	w.rest(s)
	w.label("fold")
	w.jump("CBZ", tileTo.String()+", finish")
	w.lanesOf(s, tileTo, func(m string, v vec) { w.writePair(v, m) })
	w.jump("B", "next")
	w.label("finish")
	w.fold(s)
	w.label("next")
	for range s.weight {
		w.op("ADD", tileWRow, tileW)
		w.op("ADD", tileYCol, tileY)
	}
	w.countdown(tileTiles, 1, "tile")
	w.op("RET")
}

// lanesOf moves the lanes of a tile from or to memory, and place past them.
func (w *writer) lanesOf(s shape, place gp, move func(m string, v vec)) {
	for v := vec(0); v < sum(s.products(), 0); v += 2 {
		move(at(place, 16*int(v)), v)
	}
	w.advance(place, 16*int(sum(s.products(), 0)))
}

// places1xN sets the places to the beginnings of the rows.
func (w *writer) places1xN(s shape) {
	one, each, stride := tileX, tileW, tileWRow
	if s.in > 1 {
		one, each, stride = tileW, tileX, tileXRow
	}
	w.op("MOVD", one, tileOne)
	w.op("MOVD", each, tileEach)
	for j := 1; j < s.products(); j++ {
		w.op("ADD", stride, tileEach+gp(j-1), tileEach+gp(j))
	}
}

// movePlaces moves all places on.
func (w *writer) movePlaces(s shape, by int) {
	for j := range 1 + s.products() {
		w.advance(tileOne+gp(j), by)
	}
}

// stepPair adds the products of registers k and k+1 of a group.
func (w *writer) stepPair(s shape, k int) {
	w.readPair(at(tileOne, 16*k), spare)
	for j := range s.products() {
		v := spare + 2 + vec(2*j)
		w.readPair(at(tileEach+gp(j), 16*k), v)
		for half := range vec(2) {
			w.addProduct(v+half, spare+half, sum(j, k)+half)
		}
	}
}

// addProduct rounds a·b into a, then adds it to sum.
func (w *writer) addProduct(a, b, sum vec) {
	w.fmul(a, b, a)
	w.fadd(sum, a, sum)
}

// rest adds what is left of the columns, 1 to 31: whole registers, then one with
// the last numbers and +0 behind them on both sides. Those add +0·+0 = +0, which
// changes no lane: a lane starts at +0, and a sum is -0 only if both terms are, so
// no lane is ever -0, the one number that +0 would change.
func (w *writer) rest(s shape) {
	last := spare + 4 // four registers: of the single row, then of each
	w.lastNumbers(s, last)
	for k := range sumRegisters {
		partly := fmt.Sprintf("last%d", k)
		w.less(tileLeft, lanes, partly)
		w.read(at(tileOne, 16*k), spare)
		for j := range s.products() {
			v := spare + 1 + vec(j)
			w.read(at(tileEach+gp(j), 16*k), v)
			w.addProduct(v, spare, sum(j, k))
		}
		w.advance(tileLeft, -lanes)
	}
	for k := range sumRegisters {
		w.label(fmt.Sprintf("last%d", k))
		for j := range s.products() {
			w.addProduct(last+1+vec(j), last, sum(j, k))
		}
		w.jump("B", "fold")
	}
}

// lastNumbers loads what is left past the last whole register.
func (w *writer) lastNumbers(s shape, to vec) {
	all := func(load func(v vec)) {
		for j := range 1 + s.products() {
			w.op("ADD", fmt.Sprintf("%v<<2", tileStop), tileOne+gp(j), tileAt)
			load(to + vec(j))
		}
	}
	for j := range 1 + s.products() {
		w.zero(to + vec(j))
	}
	w.op("AND", fmt.Sprintf("$~%d", lanes-1), tileLeft, tileStop)
	w.jump("TBZ", fmt.Sprintf("$1, %v, one", tileLeft))
	all(func(v vec) { w.op("FMOVD", at(tileAt, 0), v.scalar()) })
	w.jump("TBZ", fmt.Sprintf("$0, %v, loaded", tileLeft))
	all(func(v vec) {
		w.advance(tileAt, 8)
		w.op("VLD1", at(tileAt, 0), v.String()+".S[2]")
	})
	w.jump("B", "loaded")
	w.label("one")
	w.jump("TBZ", fmt.Sprintf("$0, %v, loaded", tileLeft))
	all(func(v vec) { w.op("FMOVS", at(tileAt, 0), v.scalar()) })
	w.label("loaded")
}

// fold adds the upper half of each product's lanes onto the lower until one is
// left, and stores it.
func (w *writer) fold(s shape) {
	w.op("MOVD", tileY, tileAt)
	stride := tileYCol
	if s.in > 1 {
		stride = tileYRow
	}
	for j := range s.products() {
		for half := sumRegisters / 2; half > 0; half /= 2 {
			for k := range half {
				w.fadd(sum(j, k), sum(j, k+half), sum(j, k))
			}
		}
		v := sum(j, 0)
		w.op("VDUP", fmt.Sprintf("%v.D[1]", v), spare.doubles())
		w.fadd(v, spare, v)
		w.sumPair(v, v)
		w.op("FMOVS", v.scalar(), at(tileAt, 0))
		w.op("ADD", stride, tileAt)
	}
}
