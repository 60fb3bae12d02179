package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sumLanes is the number of partial sums of the rule for sums.
const sumLanes = 32

// operands are the addresses of one step of a tile.
type operands struct {
	x, xRow, xRow3 reg.GPVirtual // first input row, bytes to the next, three times that
	w, wRow, wRow3 reg.GPVirtual // the same of the weight rows
}

// input is the memory of input row i, disp bytes on.
func (o operands) input(i, disp int) operand.Mem {
	return rowOf(o.x, o.xRow, o.xRow3, i, disp)
}

// weight is the memory of weight row r, disp bytes on.
func (o operands) weight(r, disp int) operand.Mem {
	return rowOf(o.w, o.wRow, o.wRow3, r, disp)
}

// rowOf is the memory of row i of up to four, disp bytes on.
func rowOf(base, row, row3 reg.GPVirtual, i, disp int) operand.Mem {
	switch i {
	case 0:
		return operand.Mem{Base: base, Disp: disp}
	case 3:
		return operand.Mem{Base: base, Index: row3, Scale: 1, Disp: disp}
	default:
		return operand.Mem{Base: base, Index: row, Scale: uint8(i), Disp: disp}
	}
}

// sums are the accumulators of a tile: [input row][weight row][register].
type sums [][][]reg.VecVirtual

// tile writes the function that multiplies s.in input rows with s.weight weight
// rows at a time, all lanes of all products in registers.
func tile(l *level, s shape) {
	l.function(fmt.Sprintf("tile%dx%d", s.in, s.weight),
		"func(y, x, w *float32, cols, tiles int, yRow, yCol, xRow, wRow uintptr, from, to *float32)",
		fmt.Sprintf("multiplies %d by %d·tiles rows; see tileFunc.", s.in, s.weight))
	y, x, w := parameter("y"), parameter("x"), parameter("w")
	cols, tiles := parameter("cols"), parameter("tiles")
	o := operands{x: GP64(), xRow: parameter("xRow"), w: GP64(), wRow: parameter("wRow")}
	if s.in > 3 {
		o.xRow3 = GP64()
		LEAQ(operand.Mem{Base: o.xRow, Index: o.xRow, Scale: 2}, o.xRow3)
	}
	if s.weight > 3 {
		o.wRow3 = GP64()
		LEAQ(operand.Mem{Base: o.wRow, Index: o.wRow, Scale: 2}, o.wRow3)
	}

	Comment("cols = 32·groups + tail")
	groups, tail := GP64(), cols
	MOVQ(cols, groups)
	SHRQ(operand.U8(5), groups)
	ANDQ(operand.U8(sumLanes-1), tail)
	masks := l.firstLanes(tail, sumLanes)

	acc := l.newSums(s)

	Label("tile")
	l.lanesOf(acc, "from", "zero", func(v reg.VecVirtual, m operand.Mem) { VMOVUPS(m, v) })
	JMP(operand.LabelRef("begin"))
	Label("zero")
	acc.each(func(v reg.VecVirtual) { l.zero(v) })
	Label("begin")
	MOVQ(x, o.x)
	MOVQ(w, o.w)
	alongColumns(l, s, o, acc, groups, tail, masks)

	Label("fold")
	l.lanesOf(acc, "to", "finish", func(v reg.VecVirtual, m operand.Mem) { VMOVUPS(v, m) })
	JMP(operand.LabelRef("next"))
	Label("finish")
	to := newResults(s, y)
	if l.wide() {
		foldWide(s, acc, to)
	} else {
		foldNarrow(s, acc, to)
	}

	Label("next")
	for range s.weight {
		ADDQ(o.wRow, w)
	}
	DECQ(tiles)
	JNZ(operand.LabelRef("tile"))
	end()
}

// newSums returns a register for every accumulator of a tile.
func (l *level) newSums(s shape) sums {
	acc := make(sums, s.in)
	for i := range acc {
		acc[i] = make([][]reg.VecVirtual, s.weight)
		for r := range acc[i] {
			for range sumLanes / l.lanes {
				acc[i][r] = append(acc[i][r], l.vector())
			}
		}
	}
	return acc
}

// alongColumns adds all products of a tile: group by group, then the tail.
func alongColumns(l *level, s shape, o operands, acc sums, groups, tail reg.GPVirtual, masks []func() reg.Register) {
	left := GP64()
	MOVQ(groups, left)
	TESTQ(left, left)
	JZ(operand.LabelRef("rest"))

	Label("group")
	for part := range sumLanes / l.lanes {
		step(l, s, o, acc, part, l.whole())
	}
	ADDQ(operand.U8(4*sumLanes), o.x)
	ADDQ(operand.U32(4*sumLanes), o.w)
	DECQ(left)
	JNZ(operand.LabelRef("group"))

	Label("rest")
	Comment("The lanes past the tail are loaded as +0 on both sides and add +0·+0 = +0,",
		"which changes no lane: a lane starts at +0, and a sum is -0 only if both",
		"terms are, so no lane is ever -0, the one number that +0 would change.")
	TESTQ(tail, tail)
	JZ(operand.LabelRef("fold"))
	for part, mask := range masks {
		step(l, s, o, acc, part, l.masked(mask()))
	}
}

// lanesOf moves the lanes of a tile from or to the memory that the argument
// name points at, and moves the argument on; if it is nil it jumps instead.
func (l *level) lanesOf(acc sums, name, ifNil string, move func(v reg.VecVirtual, m operand.Mem)) {
	argument, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	memory := GP64()
	MOVQ(argument.Addr, memory)
	TESTQ(memory, memory)
	JZ(operand.LabelRef(ifNil))
	disp := 0
	acc.each(func(v reg.VecVirtual) {
		move(v, at(memory, disp))
		disp += l.bytes()
	})
	ADDQ(operand.U32(disp), memory)
	MOVQ(memory, argument.Addr)
}

func (a sums) each(f func(reg.VecVirtual)) {
	for _, rows := range a {
		for _, parts := range rows {
			for _, v := range parts {
				f(v)
			}
		}
	}
}

// step adds the products of one register's lanes of a group: lanes
// [part·lanes, (part+1)·lanes) of every input row with every weight row.
func step(l *level, s shape, o operands, acc sums, part int, move mover) {
	disp := part * l.bytes()
	if s.in == 1 { // one input register, weights straight from memory
		x := l.vector()
		move.load(o.input(0, disp), x)
		for r := range s.weight {
			addProduct(acc[0][r][part], move.times(o.weight(r, disp), x))
		}
		return
	}
	weights := make([]reg.VecVirtual, s.weight)
	for r := range weights {
		weights[r] = l.vector()
		move.load(o.weight(r, disp), weights[r])
	}
	for i := range s.in {
		if s.weight == 1 { // one weight register, inputs straight from memory
			addProduct(acc[i][0][part], move.times(o.input(i, disp), weights[0]))
			continue
		}
		x := l.vector()
		move.load(o.input(i, disp), x)
		for r, weight := range weights {
			product := l.vector()
			VMULPS(x, weight, product)
			addProduct(acc[i][r][part], product)
		}
	}
}

// addProduct adds a product, rounded already, to its lanes.
func addProduct(lanes, product reg.VecVirtual) { VADDPS(product, lanes, lanes) }

// foldWide folds the lanes of a tile in 512-bit registers, up to four products
// at a time: after the first step a product has 16 lanes, so that two, then
// four products fit one register.
func foldWide(s shape, acc sums, to *results) {
	Comment("lane j += lane j+16")
	var all []reg.VecVirtual
	for r := range s.weight {
		for i := range s.in {
			a := acc[i][r]
			VADDPS(a[1], a[0], a[0])
			all = append(all, a[0])
		}
	}
	for len(all) > 0 {
		four := all[:min(4, len(all))]
		all = all[len(four):]
		lanes := func(k int) reg.VecVirtual { return four[min(k, len(four)-1)] }
		Comment("lane j += lane j+8, two products in a register")
		pair := func(a, b reg.VecVirtual) reg.VecVirtual {
			low, high := ZMM(), ZMM()
			VSHUFF32X4(operand.U8(0x44), b, a, low)
			VSHUFF32X4(operand.U8(0xee), b, a, high)
			VADDPS(high, low, low)
			return low
		}
		first := pair(lanes(0), lanes(1))
		second := first
		if len(four) > 2 {
			second = pair(lanes(2), lanes(3))
		}
		Comment("lane j += lane j+4, four products in a register")
		low, high := ZMM(), ZMM()
		VSHUFF32X4(operand.U8(0x88), second, first, low)
		VSHUFF32X4(operand.U8(0xdd), second, first, high)
		VADDPS(high, low, low)
		Comment("lane j += lane j+2, then j+1")
		VPERMILPS(operand.U8(0x4e), low, high)
		VADDPS(high, low, low)
		VPERMILPS(operand.U8(0xb1), low, high)
		VADDPS(high, low, low)
		for k := range four {
			result := low.AsX()
			if k > 0 {
				result = XMM()
				VEXTRACTF32X4(operand.U8(k), low, result)
			}
			to.store(result)
		}
	}
}

// foldNarrow folds the lanes of a tile in 256-bit registers.
func foldNarrow(s shape, acc sums, to *results) {
	for r := range s.weight {
		for i := range s.in {
			a := acc[i][r]
			Comment("lane j += lane j+16, then 8, 4, 2, 1")
			VADDPS(a[2], a[0], a[0])
			VADDPS(a[3], a[1], a[1])
			VADDPS(a[1], a[0], a[0])
			low, high := a[0].AsX(), XMM()
			VEXTRACTF128(operand.U8(1), a[0], high)
			VADDPS(high, low, low)
			VPERMILPS(operand.U8(0x4e), low, high)
			VADDPS(high, low, low)
			VPERMILPS(operand.U8(0xb1), low, high)
			VADDPS(high, low, low)
			to.store(low)
		}
	}
}

// results walks over where the results of a tile go, weight row by weight row
// and input row by input row within it.
type results struct {
	s           shape
	y, yRow     reg.GPVirtual // y is the column of the present weight row
	yCol, place reg.GPVirtual
	in          int
}

func newResults(s shape, y reg.GPVirtual) *results {
	t := &results{s: s, y: y, yRow: parameter("yRow"), yCol: parameter("yCol"), place: GP64()}
	MOVQ(y, t.place)
	return t
}

// store puts lane 0 of v at the present place and goes on to the next; after
// the last, y stands where the next tile begins.
func (t *results) store(v reg.Register) {
	VMOVSS(v, operand.Mem{Base: t.place})
	t.in++
	if t.in < t.s.in {
		ADDQ(t.yRow, t.place)
		return
	}
	t.in = 0
	ADDQ(t.yCol, t.y)
	MOVQ(t.y, t.place)
}
