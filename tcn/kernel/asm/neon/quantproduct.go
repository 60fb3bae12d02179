package main

import "fmt"

// Sizes of the layout of a quantized matrix; see package quant.
const (
	lineCols      = 16 // columns of a group
	lineBytes     = 64
	lineRegisters = 4 // registers of a line, four rows each
	planes        = 4 // dwords of a row's int8 numbers in a group
)

// form is how a quantized matrix is stored.
type form struct {
	name       string
	groupBytes int
}

var (
	q2 = form{"Q2", lineBytes}
	q8 = form{"Q8", planes * lineBytes}
)

// The general registers of every product.
const (
	yAt gp = iota
	yRow
	qFirst
	qStep
	xScale
	xSum
	codes
	groups
	scale
	rows
	qAt
	left
	place
	more
	number
	from
	back       = gp(19) // how far codes go back after a half of a block
	blockBytes = gp(20)
)

// product writes the function that multiplies n int8 rows with row blocks. The
// sums of all products stay in registers: for an input row, regs of four matrix
// rows each, own times over. A block of which only half the lines' registers have
// room is gone through twice.
type product struct {
	*writer
	f    form
	n    int // input rows
	regs int // registers of a line, taken together
	own  int // sums of its own that an input row has for the planes
}

func (w *writer) product(f form, n int) {
	p := product{w, f, n, lineRegisters, max(1, planes/n)}
	if n > 4 {
		p.regs = lineRegisters / 2
	}
	w.function(fmt.Sprintf("product%sx%d", f.name, n),
		fmt.Sprintf("multiplies %d int8 rows with rows rows of a matrix; see productFunc.", n), 2*lineBytes, "",
		parameter{"y", "*float32"}, parameter{"yRow", "uintptr"}, parameter{"q", "*int8"}, parameter{"qStep", "uintptr"},
		parameter{"xScale", "*float32"}, parameter{"xSum", "*int32"}, parameter{"codes", "*byte"},
		parameter{"groups", "int"}, parameter{"scale", "*float32"}, parameter{"rows", "int"})
	w.loads("y", "yRow", "q", "qStep", "xScale", "xSum", "codes", "groups", "scale", "rows")
	w.comment("V0-V%d sums, V%d-V%d q of the group, above them codes", p.q(0)-1, p.q(0), p.q(n)-1)
	if f.name == q2.name {
		for plane := range p.masks() {
			w.op("VMOVI", 3<<(2*plane), p.mask(plane).bytes())
		}
	}
	if p.regs < lineRegisters {
		w.comment("R19 is how far codes go back after a first half, then after a second")
		w.op("MOVD", f.groupBytes, left)
		w.op("MUL", left, groups, blockBytes)
		w.op("SUB", lineBytes/2, blockBytes, back)
	}
	w.label("block")
	for v := range p.q(0) {
		w.zero(v)
	}
	w.op("MOVD", qFirst, qAt)
	w.op("MOVD", groups, left)
	w.label("group")
	p.int8s()
	switch {
	case f.name == q8.name:
		p.groupQ8()
	case n == 1:
		p.groupQ2Masked()
	default:
		p.groupQ2Shifted()
	}
	w.advance(codes, f.groupBytes)
	w.countdown(left, 1, "group")
	p.results()
}

// int8s loads the group's numbers of every input row.
func (p product) int8s() {
	for i := 0; i+1 < p.n; i += 2 {
		p.readPair(at(qAt, lineCols*i), p.q(i))
	}
	if p.n%2 == 1 {
		p.read(at(qAt, lineCols*(p.n-1)), p.q(p.n-1))
	}
	p.op("ADD", qStep, qAt)
}

// sum is the register of input row i's sums with matrix rows 4·h on, those of a
// plane.
func (p product) sum(i, h, plane int) vec {
	return vec((i*p.regs+h)*p.own + plane%p.own)
}

// q is the register of input row i's numbers, mask that of a plane's bits; free
// begins those that are left.
func (p product) q(i int) vec        { return vec(p.n*p.regs*p.own + i) }
func (p product) mask(plane int) vec { return p.q(p.n) + vec(plane) }
func (p product) free() vec          { return p.q(p.n) + vec(p.masks()) }

// masks is how many masks there are: a single row has one for each plane but the
// last.
func (p product) masks() int {
	switch {
	case p.f.name == q8.name:
		return 0
	case p.n == 1:
		return planes - 1
	}
	return 1
}

// groupQ2Masked multiplies where the planes have sums of their own: a plane's
// codes stay where they are, times 4 or 16, as the sums are shifted at the end.
// Those of the last are shifted, which takes as long, since bit 7 is a sign.
func (p product) groupQ2Masked() {
	line := p.line(0, p.free())
	plane := line + vec(p.regs) // four registers in turn
	for h := range p.regs {
		for j := range planes - 1 {
			p.and(p.mask(j), line+vec(h), plane+vec(j))
		}
		p.op("VUSHR", 6, (line + vec(h)).bytes(), (plane + planes - 1).bytes())
		for j := range planes {
			p.sdotElement(plane+vec(j), p.q(0), j, p.sum(0, h, j))
		}
	}
}

// groupQ2Shifted multiplies where the codes serve several rows.
func (p product) groupQ2Shifted() {
	line := p.line(0, p.free())
	first := line + vec(p.regs)
	for k := range planes * p.regs {
		j, h := k/p.regs, k%p.regs
		from, plane := line+vec(h), first+vec(k)%(32-first)
		if j > 0 {
			p.op("VUSHR", 2*j, from.bytes(), plane.bytes())
			from = plane
		}
		if j < planes-1 {
			p.and(p.mask(0), from, plane)
		}
		for i := range p.n {
			p.sdotElement(plane, p.q(i), j, p.sum(i, h, j))
		}
	}
}

// line loads line l of a group, or the half of it that is taken, to the registers
// from v on, and returns v.
func (p product) line(l int, v vec) vec {
	for h := 0; h < p.regs; h += 2 {
		p.readPair(at(codes, lineBytes*l+16*h), v+vec(h))
	}
	return v
}

// groupQ8 multiplies four lines of 8-bit weights.
func (p product) groupQ8() {
	sets := int(32-p.free()) / p.regs
	for l := range planes {
		line := p.line(l, p.free()+vec(l%sets*p.regs))
		for h := range p.regs {
			for i := range p.n {
				p.sdotElement(line+vec(h), p.q(i), l, p.sum(i, h, l))
			}
		}
	}
}

// results makes numbers of the sums of a block, or half of one, and goes on.
func (p product) results() {
	w := p.writer
	for i := range p.n {
		for h := range p.regs {
			for j := 1; j < p.own; j++ {
				if p.masks() > 1 && j < planes-1 {
					p.ssra(2*j, p.sum(i, h, j), p.sum(i, h, 0)) // a multiple: exact
				} else {
					p.addWords(p.sum(i, h, 0), p.sum(i, h, j), p.sum(i, h, 0))
				}
			}
		}
	}
	scales := vec(32 - 2*p.regs) // the matrix rows', then the results
	p.scales(scales)
	w.op("MOVD", yAt, place)
	for i := range p.n {
		p.resultsOf(i, scales)
	}
	w.advance(yAt, 16*p.regs)
	w.advance(scale, 16*p.regs)
	if p.regs < lineRegisters {
		w.op("SUB", back, codes)
		w.op("SUB", back, blockBytes, back)
	}
	w.op("SUBS", lanes*p.regs, rows, rows)
	w.jump("BGT", "block")
	w.op("RET")
}

// scales loads the scales of the rows, those past the last as whatever lies in
// the frame.
func (p product) scales(to vec) {
	w := p.writer
	w.op("MOVD", scale, from)
	w.op("CMP", lanes*p.regs, rows)
	w.jump("BGE", "scales")
	w.op("MOVD", "$scratch-64(SP)", from)
	p.copyRows(scale, from, "scale")
	w.label("scales")
	for h := 0; h < p.regs; h += 2 {
		w.readPair(at(from, 16*h), to+vec(h))
	}
}

// copyRows copies a number for each row that is left.
func (p product) copyRows(from, to gp, name string) {
	w := p.writer
	w.op("MOVD", 0, more)
	w.label(name + "Copy")
	w.op("MOVWU", fmt.Sprintf("(%v)(%v<<2)", from, more), number)
	w.op("MOVW", number, fmt.Sprintf("(%v)(%v<<2)", to, more))
	w.advance(more, 1)
	w.op("CMP", rows, more)
	w.jump("BLT", name+"Copy")
}

// resultsOf writes input row i's results: (float32(sum)·xScale)·scale.
func (p product) resultsOf(i int, scales vec) {
	w := p.writer
	result, factor := scales+vec(p.regs), p.q(0)
	whole, next := fmt.Sprintf("whole%d", i), fmt.Sprintf("next%d", i)
	if p.f.name == q2.name {
		p.codeOffset(i)
	}
	w.op("FMOVS", at(xScale, 4*i), factor.scalar())
	w.op("VDUP", fmt.Sprintf("%v.S[0]", factor), factor.floats())
	for h := range p.regs {
		r := result + vec(h)
		w.scvtf(p.sum(i, h, 0), r)
		w.fmul(r, factor, r)
		w.fmul(r, scales+vec(h), r)
	}
	w.op("CMP", lanes*p.regs, rows)
	w.jump("BGE", whole)
	w.op("MOVD", "$scratch-128(SP)", from)
	for h := 0; h < p.regs; h += 2 {
		w.writePair(result+vec(h), at(from, 16*h))
	}
	p.copyRows(from, place, fmt.Sprintf("row%d", i))
	w.jump("B", next)
	w.label(whole)
	for h := 0; h < p.regs; h += 2 {
		w.writePair(result+vec(h), at(place, 16*h))
	}
	w.label(next)
	w.op("ADD", yRow, place)
}

// codeOffset makes sums of codes c those of weights 2c-3: twice the sum, less 3·Σq.
func (p product) codeOffset(i int) {
	w := p.writer
	offset := p.q(0)
	w.op("MOVW", at(xSum, 4*i), more)
	w.op("ADDW", fmt.Sprintf("%v<<1", more), more)
	w.op("VDUP", more, offset.floats())
	for h := range p.regs {
		sum := p.sum(i, h, 0)
		w.addWords(sum, sum, sum)
		w.subWords(sum, offset, sum)
	}
}
