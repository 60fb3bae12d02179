package kernels

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// sequence is one share of a test's batch and what its Variant says of the one layer
// that is computed.
type sequence struct {
	count           int
	position, start int64
	lo, hi          int32
	routing, scale  float32
	gain            []float32
	in, out         []term

	first int            // row of the batch
	rings device.Pointer // less what comes before the layer's ring
}

// The layer and the block that tests compute; the rings of the layers before it.
const (
	testLayer  = 3
	testBlock  = 1
	ringOffset = 64
)

// active reports whether the sequence's rows are computed.
func (s *sequence) active() bool {
	return s.count > 0 && s.lo <= testBlock && testBlock < s.hi && s.routing != 0
}

// batch is a test's rows: after every sequence's come idle ones, which are no row.
type batch struct {
	r         *lab
	sequences []*sequence
	rows      int
	owner     []*sequence // of each row; nil: no row
	low       Low
	lows      []float32 // [rows, terms, rank]
}

// mixed is a batch with every kind of share.
func mixed(r *lab, width int, counts ...int) *batch {
	var list []*sequence
	for i, count := range counts {
		s := &sequence{
			count: count, position: []int64{0, 5, 1 << 40, 77}[i%4], lo: 0, hi: 4,
			routing: 1, scale: float32(r.chance.NormFloat64()), gain: r.numbers(width, ordinary),
		}
		s.start = max(0, s.position-int64(r.chance.IntN(40)))
		if i == 3 {
			s.start = s.position
		}
		switch i % 5 {
		case 1:
			s.routing = 0.5
		case 2:
			s.lo, s.hi = 1, 2
		case 3:
			s.lo, s.hi = 2, 4 // not this block
		case 4:
			s.routing = 0
		}
		list = append(list, s)
	}
	return newBatch(r, list)
}

// newBatch lays sequences out as rows.
func newBatch(r *lab, sequences []*sequence) *batch {
	b := &batch{r: r, sequences: sequences}
	for i, s := range sequences {
		s.first = len(b.owner)
		for range s.count {
			b.owner = append(b.owner, s)
		}
		if i%2 == 0 {
			b.owner = append(b.owner, nil) // no row
		}
	}
	b.rows = len(b.owner)
	return b
}

// describe puts the batch on the device as kernels are told of it. Terms and rings
// must be there.
func (b *batch) describe() Batch {
	var shares []Share
	rowShare := make([]int32, b.rows)
	for i := range rowShare {
		rowShare[i] = -1
	}
	for i, s := range b.sequences {
		layers := make([]VariantLayer, testLayer+1)
		layers[testLayer] = VariantLayer{
			Gain: put(b.r.rig, s.gain), In: putTerms(b.r, s.in), Out: putTerms(b.r, s.out),
			InCount: int32(len(s.in)), OutCount: int32(len(s.out)), Scale: s.scale, Routing: s.routing,
		}
		shares = append(shares, Share{
			Rings: s.rings, Variant: put(b.r.rig, layers), Position: s.position, Start: s.start,
			First: int32(s.first), Count: int32(s.count), Lo: s.lo, Hi: s.hi,
		})
		for r := range s.count {
			rowShare[s.first+r] = int32(i)
		}
	}
	return Batch{
		Shares: put(b.r.rig, shares), RowShare: put(b.r.rig, rowShare), Rows: int32(b.rows), ShareCount: int32(len(shares)),
	}
}

func (b *batch) place() Place { return Place{Layer: testLayer, Block: testBlock} }

// each calls do for every row that is computed.
func (b *batch) each(do func(row int, s *sequence)) {
	for row, s := range b.owner {
		if s != nil && s.active() {
			do(row, s)
		}
	}
}

// matrix is rows of numbers, a kind after the other; those that are no row are not
// finite, so that whoever reads them is found out.
func (b *batch) matrix(width int, kinds ...int) []float32 {
	var m []float32
	for row := range b.owner {
		kind := broken
		if b.owner[row] != nil {
			kind = kinds[row%len(kinds)]
		}
		m = append(m, b.r.numbers(width, kind)...)
	}
	return m
}

// term is a Soul's weight·(B low); A is not read.
type term struct {
	rank   int
	weight float32
	b      []float32 // [outputs, rank]; or
	codes  []byte    // of an 8-bit matrix
	scale  []float32 // [outputs]
}

func putTerms(r *lab, terms []term) device.Pointer {
	var list []Term
	for _, t := range terms {
		d := Term{Rank: int32(t.rank), Weight: t.weight}
		if t.codes != nil {
			d.B, d.BScale, d.EightBit = put(r.rig, t.codes), put(r.rig, t.scale), 1
		} else {
			d.B = put(r.rig, t.b)
		}
		list = append(list, d)
	}
	return put(r.rig, list)
}

// The products that terms are of.
func ofIn(s *sequence) *[]term  { return &s.in }
func ofOut(s *sequence) *[]term { return &s.out }

// wear gives every second sequence terms of both forms, and the rows what A makes of
// them.
func (b *batch) wear(outputs int, of func(s *sequence) *[]term) {
	const rank = 32
	most := 0
	for i, s := range b.sequences {
		if i%2 == 1 {
			continue
		}
		var terms []term
		for n := range 1 + i%3 {
			t := term{rank: []int{7, 32, 16}[n%3], weight: float32(b.r.chance.NormFloat64())}
			if n%2 == 0 {
				t.b = b.r.numbers(outputs*t.rank, ordinary)
			} else {
				t.codes = make([]byte, (outputs+15)/16*kernel.Groups(t.rank)*kernel.GroupBytesQ8)
				for i := range t.codes {
					t.codes[i] = byte(b.r.chance.IntN(255) - 127)
				}
				t.scale = b.r.numbers(outputs, ordinary)
			}
			terms = append(terms, t)
		}
		*of(s) = terms
		most = max(most, len(terms))
	}
	b.lows = b.r.numbers(b.rows*most*rank, ordinary)
	q, scale := make([]int8, len(b.lows)), make([]float32, b.rows*most)
	for i := range scale {
		s, n := b.owner[i/most], i%most
		if s != nil && n < len(*of(s)) {
			var row kernel.Int8Rows
			b.quantizeLow(&row, b.lows[i*rank:], (*of(s))[n].rank)
			copy(q[i*rank:(i+1)*rank], row.Q)
			scale[i] = row.Scale[0]
		}
	}
	b.low = Low{
		Value: put(b.r.rig, b.lows), Q: put(b.r.rig, q), Scale: put(b.r.rig, scale), Terms: int32(most), Rank: rank,
	}
}

func (b *batch) quantizeLow(row *kernel.Int8Rows, low []float32, rank int) {
	row.Reset(1, rank)
	if !kernel.Portable().QuantizeRow(row, 0, low[:rank]) {
		b.r.t.Fatal("low is not finite")
	}
}

// addTerms adds what terms add to a row's outputs.
func (b *batch) addTerms(row int, y []float32, terms []term) {
	k := kernel.Portable()
	for n, t := range terms {
		low := b.lows[(row*int(b.low.Terms)+n)*int(b.low.Rank):][:t.rank]
		sum := make([]float32, len(y))
		if t.codes == nil {
			k.MatMul(sum, low, t.b, 1, len(y), t.rank, 0, len(y))
		} else {
			var q kernel.Int8Rows
			b.quantizeLow(&q, low, t.rank)
			k.MatMulQ8(sum, &q, t.codes, t.scale, len(y), 0, len(y))
		}
		k.AddScaled(y, sum, t.weight)
	}
}

// spreading is what a Spread points at, zeroed as the stage does.
func (b *batch) spreading(width int) (Spread, []byte) {
	signs := make([]byte, (width+7)/8)
	for i := range signs {
		signs[i] = byte(b.r.chance.Uint32())
	}
	zero := make([]uint32, b.rows)
	return Spread{
		Signs: put(b.r.rig, signs), Rotated: b.r.room(4 * b.rows * width),
		MaxRotated: put(b.r.rig, zero), MaxPlain: put(b.r.rig, zero),
	}, signs
}

// checkSpread compares what was left of rows y with what should be.
func (b *batch) checkSpread(s Spread, signs []byte, y []float32, width int) {
	b.r.t.Helper()
	plain := got[uint32](b.r.rig, s.MaxPlain, b.rows)
	rotated := make([]uint32, b.rows)
	if s.Signs != 0 {
		rotated = got[uint32](b.r.rig, s.MaxRotated, b.rows)
	}
	for row, owner := range b.owner {
		what := fmt.Sprintf("row %d", row)
		if owner == nil || !owner.active() {
			if rotated[row] != 0 || plain[row] != 0 {
				b.r.t.Fatalf("%s is idle: largest %x, rotated %x", what, plain[row], rotated[row])
			}
			continue
		}
		want, turned := y[row*width:][:width], make([]float32, width)
		b.sameMagnitude(what+" largest", plain[row], largest(want))
		if s.Signs == 0 {
			continue
		}
		kernel.Portable().Hadamard(turned, want, signs)
		b.r.same(what+" rotated", got[float32](b.r.rig, s.Rotated+device.Pointer(4*row*width), width), turned)
		b.sameMagnitude(what+" largest rotated", rotated[row], largest(turned))
	}
}

func (b *batch) sameMagnitude(what string, got, want uint32) {
	b.r.t.Helper()
	if got != want && min(got, want) < 0x7f800000 {
		b.r.t.Fatalf("%s: %08x, want %08x", what, got, want)
	}
}
