package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Sizes of the layout of a quantized matrix; see package quant.
const (
	lineRows   = 16 // rows of a block
	lineCols   = 16 // columns of a group
	lineBytes  = 64
	planes     = 4 // dwords of a row's int8 numbers in a group
	planeBytes = lineCols / planes
)

// format is how a quantized matrix is stored.
type format struct {
	name       string
	groupBytes int
}

var (
	q2 = format{"Q2", lineBytes}
	q8 = format{"Q8", planes * lineBytes}
)

// product holds the registers that every product function has.
type product struct {
	l                   *level
	f                   format
	n                   int // input rows
	y, q, codes, scale  reg.GPVirtual
	groups, rows, qStep reg.GPVirtual
	qAt, left           reg.GPVirtual
}

// newProduct begins the function that multiplies n int8 rows with row blocks.
func newProduct(l *level, f format, n int) *product {
	l.function(fmt.Sprintf("product%sx%d", f.name, n),
		"func(y *float32, yRow uintptr, q *int8, qStep uintptr, xScale *float32, xSum *int32, codes *byte, groups int, scale *float32, rows int)",
		fmt.Sprintf("multiplies %d int8 rows with rows rows of a matrix; see productFunc.", n))
	return &product{
		l: l, f: f, n: n,
		y: parameter("y"), q: parameter("q"), codes: parameter("codes"), scale: parameter("scale"),
		groups: parameter("groups"), rows: parameter("rows"), qStep: parameter("qStep"),
		qAt: GP64(), left: GP64(),
	}
}

// int8s is the memory of columns 4·plane to 4·plane+3 of input row i in the
// present group.
func (p *product) int8s(i, plane int) operand.Mem {
	return at(p.qAt, i*lineCols+plane*planeBytes)
}

// nextGroup moves on by one group.
func (p *product) nextGroup() {
	ADDQ(operand.U32(p.f.groupBytes), p.codes)
	ADDQ(p.qStep, p.qAt)
}

// blockEnd moves on to the next row block, if there is one, and returns.
func (p *product) blockEnd() {
	ADDQ(operand.U8(4*lineRows), p.y)
	ADDQ(operand.U8(4*lineRows), p.scale)
	SUBQ(operand.U8(lineRows), p.rows)
	JG(operand.LabelRef("block"))
	end()
}

// rowMasks selects the rows that are left of the present block, one mask for
// each register of results.
func (p *product) rowMasks() []func() reg.Register {
	count := GP64()
	most := GP64()
	MOVQ(operand.U32(lineRows), most)
	MOVQ(p.rows, count)
	CMPQ(count, most)
	CMOVQGT(most, count)
	return p.l.firstLanes(count, lineRows)
}

// results writes the results of the sums in acc[input row][register]: the
// correction of the codes' offset, the scale of the input row, the scale of the
// matrix row. shift is how far the sums must be shifted right.
func (p *product) results(acc [][]reg.VecVirtual, first int, masks []func() reg.Register) {
	l := p.l
	place, yRow := GP64(), GP64()
	Load(Param("yRow"), yRow)
	xScale, xSum := GP64(), GP64()
	Load(Param("xScale"), xScale)
	Load(Param("xSum"), xSum)
	MOVQ(p.y, place)
	for i, sums := range acc {
		offset := l.vector()
		VPBROADCASTD(at(xSum, 4*i), offset)
		p.codeOffset(offset)
		for h, sum := range sums {
			if p.f.name == q2.name {
				VPADDD(sum, sum, sum)
			}
			VPSUBD(offset, sum, sum)
			VCVTDQ2PS(sum, sum)
			factor := l.vector()
			VBROADCASTSS(at(xScale, 4*i), factor)
			VMULPS(factor, sum, sum)
			move := l.masked(masks[first+h]())
			rowScale := l.vector()
			move.load(at(p.scale, (first+h)*l.bytes()), rowScale)
			VMULPS(rowScale, sum, sum)
			move.store(sum, at(place, (first+h)*l.bytes()))
		}
		if i+1 < len(acc) {
			ADDQ(yRow, place)
		}
	}
}

// codeOffset turns Σq into what the sums of codes must be lowered by.
func (p *product) codeOffset(sum reg.VecVirtual) {
	switch {
	case p.f.name == q2.name: // 2·code - 3
		triple := p.l.vector()
		VPADDD(sum, sum, triple)
		VPADDD(triple, sum, sum)
	case p.l.wide(): // the bytes are weights + 128
		VPSLLD(operand.U8(7), sum, sum)
	default: // the bytes are weights
		p.l.zero(sum)
	}
}

// ownSums is the most input rows for which every plane has sums of its own.
// Then codes need not be shifted, and no sum has to wait for the one before.
const ownSums = 6

// Codes come from memory at its full rate only if they are asked for in two
// steps: far ahead into the second-level cache, which also starts the processor's
// own prefetching in the next page early, then near into the first.
const (
	prefetchNear = 2 << 10
	prefetchFar  = 6 << 10
)

// prefetch asks for the lines of a group ahead of the present one, where there
// are so few input rows that memory is what they wait for.
func (p *product) prefetch() {
	if p.n > ownSums {
		return
	}
	for line := 0; line < p.f.groupBytes; line += lineBytes {
		PREFETCHT0(at(p.codes, prefetchNear+line))
		PREFETCHT1(at(p.codes, prefetchFar+line))
	}
}

// productVNNI writes a product with VPDPBUSD, which multiplies unsigned with
// signed bytes and adds the four products of a dword to a sum.
func productVNNI(l *level, f format, n int) {
	p := newProduct(l, f, n)
	unroll, perRow := 1, 1
	if n <= ownSums {
		perRow = planes
	}
	if n == 1 && f.name == q2.name {
		unroll = 2
	}
	constant := make([]reg.VecVirtual, 0, planes)
	load := func(name string, bits uint32) {
		v := l.vector()
		VMOVUPS(l.constantBits(name, bits), v)
		constant = append(constant, v)
	}
	switch {
	case f.name == q8.name:
		load("highBits", 0x80808080)
	case perRow == planes:
		for j := range planes {
			load(fmt.Sprintf("plane%d", j), 0x03030303<<(2*j))
		}
	default:
		load("plane0", 0x03030303)
	}

	Label("block")
	acc := make([][][]reg.VecVirtual, unroll) // [unrolled group][input row][own plane]
	for u := range acc {
		acc[u] = l.zeros(n, perRow)
	}
	MOVQ(p.q, p.qAt)
	MOVQ(p.groups, p.left)
	if unroll == 2 {
		SUBQ(operand.U8(2), p.left)
		JL(operand.LabelRef("single"))
	}
	Label("group")
	for u := range unroll {
		p.groupVNNI(acc[u], constant)
	}
	SUBQ(operand.U8(unroll), p.left)
	if unroll == 2 {
		JGE(operand.LabelRef("group"))
		Label("single")
		ADDQ(operand.U8(1), p.left)
		JL(operand.LabelRef("finish"))
		p.groupVNNI(acc[0], constant)
		Label("finish")
	} else {
		JNZ(operand.LabelRef("group"))
	}
	sums := make([][]reg.VecVirtual, n)
	for i := range n {
		for u := 1; u < unroll; u++ {
			for j := range acc[u][i] {
				VPADDD(acc[u][i][j], acc[0][i][j], acc[0][i][j])
			}
		}
		own := acc[0][i]
		for j := 1; j < len(own); j++ {
			if f.name == q2.name {
				VPSRAD(operand.U8(2*j), own[j], own[j]) // a multiple: exact
			}
			VPADDD(own[j], own[0], own[0])
		}
		sums[i] = own[:1]
	}
	p.results(sums, 0, p.rowMasks())
	p.blockEnd()
}

// zeros returns n·m registers set to 0.
func (l *level) zeros(n, m int) [][]reg.VecVirtual {
	all := make([][]reg.VecVirtual, n)
	for i := range all {
		for range m {
			v := l.vector()
			l.zero(v)
			all[i] = append(all[i], v)
		}
	}
	return all
}

// groupVNNI adds the products of one group.
func (p *product) groupVNNI(acc [][]reg.VecVirtual, constant []reg.VecVirtual) {
	l := p.l
	p.prefetch()
	line := l.vector()
	if p.f.name == q2.name {
		VMOVUPS(at(p.codes, 0), line)
	}
	for j := range planes {
		plane := l.vector()
		switch {
		case p.f.name == q8.name:
			VPXORD(at(p.codes, j*lineBytes), constant[0], plane)
		case len(constant) == planes:
			VPANDD(constant[j], line, plane)
		default:
			VPANDD(constant[0], line, plane)
			if j+1 < planes {
				VPSRLD(operand.U8(2), line, line)
			}
		}
		for i := range acc {
			VPDPBUSD_BCST(p.int8s(i, j), plane, acc[i][j%len(acc[i])])
		}
	}
	p.nextGroup()
}

// Groups after which sums of 16 bits are widened. A product of a code and a q is
// at most 3·127, or 4·3·127 if the code is not shifted down; a group adds eight
// of them, or four and four, to a sum.
const (
	shiftedGroups   = 8 // 8·8·381 = 24384
	unshiftedGroups = 4 // 4·4·1524 = 24384
)

// productQ2AVX2 writes a product with VPMADDUBSW, which adds products of
// unsigned and signed bytes by pairs into words: here far from saturation.
func productQ2AVX2(l *level, n, halves int) {
	p := newProduct(l, q2, n)
	kinds := 1
	if n == 1 {
		kinds = 2 // planes 0 and 2, and 1 and 3, which stay two bits up
	}
	ones := l.words("ones", 1)
	fours := l.words("fours", 4)
	low, high := l.constantBits("plane0", 0x03030303), l.constantBits("plane1", 0x0c0c0c0c)

	Label("block")
	masks := p.rowMasks()
	for first := 0; first < 2; first += halves {
		name := func(s string) string { return fmt.Sprintf("%s%d", s, first) }
		sums := l.zeros(n, halves)
		MOVQ(p.q, p.qAt)
		MOVQ(p.groups, p.left)
		Label(name("run"))
		run, most := GP64(), GP64()
		MOVQ(operand.U32(map[int]uint32{1: shiftedGroups, 2: unshiftedGroups}[kinds]), most)
		MOVQ(p.left, run)
		CMPQ(run, most)
		CMOVQGT(most, run)
		SUBQ(run, p.left)
		words := make([][][]reg.VecVirtual, kinds)
		for k := range words {
			words[k] = l.zeros(n, halves)
		}
		Label(name("group"))
		if halves == 2 {
			p.prefetch()
		}
		p.groupQ2AVX2(words, first, halves, low, high)
		p.nextGroup()
		DECQ(run)
		JNZ(operand.LabelRef(name("group")))
		for k := range words {
			by := ones
			if kinds == 2 && k == 0 {
				by = fours
			}
			for i := range n {
				for h := range halves {
					VPMADDWD(by, words[k][i][h], words[k][i][h])
					VPADDD(words[k][i][h], sums[i][h], sums[i][h])
				}
			}
		}
		TESTQ(p.left, p.left)
		JNZ(operand.LabelRef(name("run")))
		if kinds == 2 {
			for i := range n {
				for h := range halves {
					VPSRAD(operand.U8(2), sums[i][h], sums[i][h])
				}
			}
		}
		p.results(sums, first, masks)
		p.rewind(first+halves < 2)
	}
	p.blockEnd()
}

// rewind moves codes back to the beginning of the row block.
func (p *product) rewind(really bool) {
	if !really {
		return
	}
	bytes := GP64()
	IMUL3Q(operand.U32(p.f.groupBytes), p.groups, bytes)
	SUBQ(bytes, p.codes)
}

// words is a constant with the number in every 16-bit word.
func (l *level) words(name string, v uint32) operand.Mem {
	return l.constantBits(name, v|v<<16)
}

// groupQ2AVX2 adds the products of one group to sums of words.
func (p *product) groupQ2AVX2(words [][][]reg.VecVirtual, first, halves int, low, high operand.Mem) {
	l := p.l
	lines := make([]reg.VecVirtual, halves)
	for h := range lines {
		lines[h] = l.vector()
		VMOVDQU(at(p.codes, (first+h)*l.bytes()), lines[h])
	}
	for j := range planes {
		codes := make([]reg.VecVirtual, halves)
		for h := range codes {
			codes[h] = l.vector()
			switch {
			case len(words) == 1:
				VPAND(low, lines[h], codes[h])
				if j+1 < planes {
					VPSRLD(operand.U8(2), lines[h], lines[h])
				}
			case j%2 == 0:
				VPAND(low, lines[h], codes[h])
			default:
				VPAND(high, lines[h], codes[h])
				if j+1 < planes {
					VPSRLD(operand.U8(4), lines[h], lines[h])
				}
			}
		}
		for i := range p.n {
			q := l.vector()
			VPBROADCASTD(p.int8s(i, j), q)
			for h := range codes {
				products := q // its last use, if there is one half
				if halves == 2 {
					products = l.vector()
				}
				VPMADDUBSW(q, codes[h], products)
				sum := words[j%len(words)][i][h]
				VPADDW(products, sum, sum)
			}
		}
	}
}

// productQ8AVX2 writes a product of 8-bit weights: |w| times q with the sign of
// w, so that pairs of products, at most 2·128·127, fit a word.
func productQ8AVX2(l *level, n int) {
	const halves = 2
	p := newProduct(l, q8, n)
	ones := l.words("ones", 1)
	Label("block")
	masks := p.rowMasks()
	sums := l.zeros(n, halves)
	MOVQ(p.q, p.qAt)
	MOVQ(p.groups, p.left)
	Label("group")
	p.prefetch()
	for j := range planes {
		w, size := make([]reg.VecVirtual, halves), make([]reg.VecVirtual, halves)
		for h := range halves {
			w[h], size[h] = l.vector(), l.vector()
			VMOVDQU(at(p.codes, j*lineBytes+h*l.bytes()), w[h])
			VPABSB(w[h], size[h])
		}
		for i := range n {
			q := l.vector()
			VPBROADCASTD(p.int8s(i, j), q)
			for h := range halves {
				products := l.vector()
				VPSIGNB(w[h], q, products)
				VPMADDUBSW(products, size[h], products)
				VPMADDWD(ones, products, products)
				VPADDD(products, sums[i][h], sums[i][h])
			}
		}
	}
	p.nextGroup()
	DECQ(p.left)
	JNZ(operand.LabelRef("group"))
	p.results(sums, 0, masks)
	p.blockEnd()
}

// dotPeak writes a loop of VPDPBUSD that touches no memory: what the units of
// int8 products can do at best. With masks, each is given a mask of its own to do
// as well, as unpacking 2-bit codes for one input row takes.
func dotPeak(l *level, masks bool) {
	const chains = 16
	name, doc := "dotPeak", "does 16 times 64 multiplications of bytes per round, in registers only; a yardstick."
	if masks {
		name, doc = "maskedDotPeak", "is dotPeak with a mask before each instruction; a yardstick."
	}
	l.function(name, "func(rounds int)", doc)
	rounds := parameter("rounds")
	a := l.vector()
	l.zero(a)
	acc := l.zeros(1, chains)[0]
	Label("round")
	for i := range acc {
		codes := a
		if masks {
			codes = l.vector()
			VPANDD(a, a, codes)
		}
		VPDPBUSD(a, codes, acc[i])
	}
	DECQ(rounds)
	JNZ(operand.LabelRef("round"))
	end()
}
