package main

import "fmt"

// Sizes of the layout of a quantized matrix; see package quant.
const (
	lineRows = 16 // rows of a block
	quarters = 4  // registers of a line, four rows each
	planes   = 4  // dwords of a row's int8 numbers in a group
)

// form is how a quantized matrix is stored.
type form struct {
	name       string
	groupBytes int
}

var (
	q2 = form{"Q2", 64}
	q8 = form{"Q8", 256}
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
	count
	from
)

// product writes the function that multiplies n int8 rows with row blocks. The
// sums of all products stay in registers: for an input row, four of four matrix
// rows each, own times over.
type product struct {
	*writer
	f   form
	n   int // input rows
	own int // sums of its own that an input row has for the planes
}

func (w *writer) product(f form, n int) {
	p := product{w, f, n, []int{4, 2, 1, 1}[n-1]}
	w.function(fmt.Sprintf("product%sx%d", f.name, n),
		fmt.Sprintf("multiplies %d int8 rows with rows rows of a matrix; see productFunc.", n), 2*64, "",
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
	w.label("block")
	for v := range p.q(0) {
		w.zero(v)
	}
	w.op("MOVD", qFirst, qAt)
	w.op("MOVD", groups, left)
	w.label("group")
	for i := range n {
		w.read(at(qAt, 16*i), p.q(i))
	}
	w.op("ADD", qStep, qAt)
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

// sum is the register of input row i's sums with matrix rows 4·quarter on, those
// of a plane.
func (p product) sum(i, quarter, plane int) vec {
	return vec((i*quarters+quarter)*p.own + plane%p.own)
}

// q is the register of input row i's numbers, mask that of a plane's bits; free
// begins those that are left.
func (p product) q(i int) vec        { return vec(p.n*quarters*p.own + i) }
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
	line := p.free()
	p.readPair(at(codes, 0), line)
	p.readPair(at(codes, 32), line+2)
	plane := line + quarters // four registers in turn
	for h := range quarters {
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
	line := p.free()
	p.readPair(at(codes, 0), line)
	p.readPair(at(codes, 32), line+2)
	spare := int(32 - line - quarters)
	for k := range planes * quarters {
		j, h := k/quarters, k%quarters
		from, plane := line+vec(h), line+quarters+vec(k%spare)
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

// groupQ8 multiplies four lines of 8-bit weights.
func (p product) groupQ8() {
	pairs := int(32-p.free()) / 2
	for k := range planes * quarters / 2 {
		line := p.free() + vec(k%pairs*2)
		p.readPair(at(codes, 32*k), line)
		j := k * 2 / quarters
		for half := range 2 {
			for i := range p.n {
				p.sdotElement(line+vec(half), p.q(i), j, p.sum(i, k*2%quarters+half, j))
			}
		}
	}
}

// results makes numbers of the sums of a block and goes on to the next.
func (p product) results() {
	w := p.writer
	first := vec(32 - 2*quarters) // the matrix rows' scales, then the results
	for i := range p.n {
		for h := range quarters {
			for j := 1; j < p.own; j++ {
				if p.masks() > 1 && j < planes-1 {
					p.ssra(2*j, p.sum(i, h, j), p.sum(i, h, 0)) // a multiple: exact
				} else {
					p.addWords(p.sum(i, h, 0), p.sum(i, h, j), p.sum(i, h, 0))
				}
			}
		}
	}
	p.scales(first)
	w.op("MOVD", yAt, place)
	for i := range p.n {
		p.resultsOf(i, first)
	}
	w.advance(yAt, 4*lineRows)
	w.advance(scale, 4*lineRows)
	w.op("SUBS", lineRows, rows, rows)
	w.jump("BGT", "block")
	w.op("RET")
}

// scales loads the scales of a block's rows, those past the last as whatever lies
// in the frame.
func (p product) scales(to vec) {
	w := p.writer
	w.op("MOVD", scale, from)
	w.op("CMP", lineRows, rows)
	w.jump("BGE", "scales")
	w.op("MOVD", "$scratch-64(SP)", from)
	p.copyRows(scale, from, "scale")
	w.label("scales")
	for h := 0; h < quarters; h += 2 {
		w.readPair(at(from, 16*h), to+vec(h))
	}
}

// copyRows copies a number for each row that is left.
func (p product) copyRows(from, to gp, name string) {
	w := p.writer
	w.op("MOVD", 0, more)
	w.label(name + "Copy")
	w.op("MOVWU", fmt.Sprintf("(%v)(%v<<2)", from, more), count)
	w.op("MOVW", count, fmt.Sprintf("(%v)(%v<<2)", to, more))
	w.advance(more, 1)
	w.op("CMP", rows, more)
	w.jump("BLT", name+"Copy")
}

// resultsOf writes input row i's results: (float32(sum)·xScale)·scale, the sums of
// codes c turned into those of weights 2c-3 before.
func (p product) resultsOf(i int, scales vec) {
	w := p.writer
	result, factor, offset := scales+quarters, p.q(0), p.q(0)
	whole, next := fmt.Sprintf("whole%d", i), fmt.Sprintf("next%d", i)
	if p.f.name == q2.name {
		w.op("MOVW", at(xSum, 4*i), more)
		w.op("ADDW", fmt.Sprintf("%v<<1", more), more)
		w.op("VDUP", more, offset.floats())
		for h := range quarters {
			sum := p.sum(i, h, 0)
			w.addWords(sum, sum, sum)
			w.subWords(sum, offset, sum)
		}
	}
	w.op("FMOVS", at(xScale, 4*i), factor.scalar())
	w.op("VDUP", fmt.Sprintf("%v.S[0]", factor), factor.floats())
	for h := range quarters {
		r := result + vec(h)
		w.scvtf(p.sum(i, h, 0), r)
		w.fmul(r, factor, r)
		w.fmul(r, scales+vec(h), r)
	}
	w.op("CMP", lineRows, rows)
	w.jump("BGE", whole)
	w.op("MOVD", "$scratch-128(SP)", from)
	for h := 0; h < quarters; h += 2 {
		w.writePair(result+vec(h), at(from, 16*h))
	}
	p.copyRows(from, place, fmt.Sprintf("row%d", i))
	w.jump("B", next)
	w.label(whole)
	for h := 0; h < quarters; h += 2 {
		w.writePair(result+vec(h), at(place, 16*h))
	}
	w.label(next)
	w.op("ADD", yRow, place)
}
