package vector

import (
	"fmt"
	"math/bits"
	"sync"
	"unsafe"
)

const (
	// floatBytes is the size of a float32.
	floatBytes = 4

	// termsAtOnce is about how many terms of a sum are added before the next
	// panel gets its turn: their rows of a panel, 128 bytes each, stay in the
	// first-level cache while the rows of the left factor pass over them.
	// Measured beside 288, 192 was as good or better for every shape.
	termsAtOnce = 192

	// tallest is the rows of the tallest tile and widest the columns of the
	// widest panel.
	tallest, widest = 12, 32

	// lineBytes is a cache line, which panels are aligned to.
	lineBytes = 64
)

// Panels is the right factor of a product, [Terms, Columns], packed: all terms of
// the first few columns, then all of the next few. Columns that are missing to
// whole panels are 0.
type Panels struct {
	Terms, Columns int
	width          int       // columns of a panel
	values         []float32 // [⌈Columns/width⌉, Terms, width]
}

// NewPanels makes a right factor of zeros. It panics if a size is not positive or
// their product is not a size of memory.
func (s *Set) NewPanels(terms, columns int) *Panels {
	p := &Panels{width: s.columns}
	p.Reset(terms, columns)
	return p
}

// Reset gives the panels another shape. Numbers are kept where the memory is; all
// rows are to be set again, and columns past the last are 0 then.
func (p *Panels) Reset(terms, columns int) {
	if terms < 1 || columns < 1 {
		panic(fmt.Sprintf("vector: panels of [%d, %d]", terms, columns))
	}
	panels := (columns + p.width - 1) / p.width
	high, n := bits.Mul64(uint64(terms), uint64(panels*p.width))
	if high != 0 || n > 1<<48 {
		panic(fmt.Sprintf("vector: panels of [%d, %d]", terms, columns))
	}
	if size := int(n); size > cap(p.values) {
		p.values = aligned(size)
	} else {
		p.values = p.values[:size]
	}
	p.Terms, p.Columns = terms, columns
}

// aligned returns n zeros that begin with a cache line.
func aligned(n int) []float32 {
	const spare = lineBytes / floatBytes
	all := make([]float32, n+spare)
	past := uintptr(unsafe.Pointer(&all[0])) % lineBytes
	skip := int((lineBytes - past) % lineBytes / floatBytes)
	return all[skip : skip+n : skip+n]
}

// SetTerm packs the numbers of one term: a row of the factor. Different terms may
// be set at the same time.
//
//	row [Columns]
func (p *Panels) SetTerm(term int, row []float32) {
	row = row[:p.Columns]
	at := term * p.width
	for len(row) > 0 {
		n := copy(p.values[at:at+p.width], row)
		clear(p.values[at+n : at+p.width])
		row = row[n:]
		at += p.Terms * p.width
	}
}

// SetColumn packs the numbers of one column. Different columns may be set at the
// same time.
//
//	column [Terms]
func (p *Panels) SetColumn(column int, values []float32) {
	values = values[:p.Terms]
	at := column/p.width*p.Terms*p.width + column%p.width
	for _, v := range values {
		p.values[at] = v
		at += p.width
	}
}

// ClearTail sets the columns past the last to 0; to be called once after Reset if
// columns are set with SetColumn.
func (p *Panels) ClearTail() {
	used := p.Columns % p.width
	if used == 0 {
		return
	}
	last := p.values[p.Columns/p.width*p.Terms*p.width:]
	for k := range p.Terms {
		clear(last[k*p.width+used : (k+1)*p.width])
	}
}

// Left is the left factor of a product, row-major or turned: element (i, k) is
// Values[i·Row + k·Term].
type Left struct {
	Values    []float32
	Row, Term int
}

// RowMajor is a left factor whose rows lie behind each other, each of width
// numbers.
func RowMajor(values []float32, width int) Left { return Left{values, width, 1} }

// Turned is the left factor that the transpose of row-major values is.
func Turned(values []float32, width int) Left { return Left{values, 1, width} }

// From is the factor from row i on.
func (l Left) From(i int) Left { return Left{l.Values[i*l.Row:], l.Row, l.Term} }

// Product computes rows of c = left·right, or adds them with add.
//
//	c [rows, ≥ right.Columns], its rows cRow numbers apart
//	left [rows, right.Terms]
//
// Rows may be shared among callers in any way: From and slices of c.
func (s *Set) Product(c []float32, cRow int, left Left, rows int, right *Panels, add bool) {
	if rows == 0 {
		return
	}
	_ = c[(rows-1)*cRow+right.Columns-1]
	_ = left.Values[(rows-1)*left.Row+(right.Terms-1)*left.Term]
	if left.Row == 1 && left.Term > turnedRows && right.Columns > right.width {
		room := turnedRooms.Get().(*turnedRoom)
		for i := 0; i < rows; i += turnedRows {
			s.turned(c[i*cRow:], cRow, left.From(i), min(turnedRows, rows-i), right, add, room)
		}
		turnedRooms.Put(room)
		return
	}
	pieces := (right.Terms + termsAtOnce - 1) / termsAtOnce
	for piece := range pieces {
		lo, hi := piece*right.Terms/pieces, (piece+1)*right.Terms/pieces
		part := Left{left.Values[lo*left.Term:], left.Row, left.Term}
		s.piece(c, cRow, part, rows, right, lo, hi-lo, add || piece > 0)
	}
}

// turnedRows is how many rows of a turned factor are copied together before a
// product. Their numbers lie behind each other for every term, but terms lie so
// far apart that few lines of them find room in the first-level cache at once; in
// the copy they are turnedStride numbers apart, an odd number of lines.
const (
	turnedRows   = 288
	turnedStride = 304
)

// turnedRoom is room for the copy.
type turnedRoom [termsAtOnce * turnedStride]float32

var turnedRooms = sync.Pool{New: func() any { return new(turnedRoom) }}

// turned is Product of at most turnedRows rows of a turned factor.
func (s *Set) turned(c []float32, cRow int, left Left, rows int, right *Panels, add bool, room *turnedRoom) {
	pieces := (right.Terms + termsAtOnce - 1) / termsAtOnce
	for piece := range pieces {
		lo, hi := piece*right.Terms/pieces, (piece+1)*right.Terms/pieces
		for k := lo; k < hi; k++ {
			copy(room[(k-lo)*turnedStride:(k-lo)*turnedStride+rows], left.Values[k*left.Term:])
		}
		s.piece(c, cRow, Left{room[:], 1, turnedStride}, rows, right, lo, hi-lo, add || piece > 0)
	}
}

// piece computes the part of a product that the terms from lo on are; left begins
// with them.
func (s *Set) piece(c []float32, cRow int, left Left, rows int, right *Panels, lo, terms int, add bool) {
	for column := 0; column < right.Columns; column += right.width {
		panel := right.values[column*right.Terms+lo*right.width:]
		s.panel(c[column:], cRow, min(right.width, right.Columns-column), left, rows, panel, terms, add)
	}
}

// panel computes the columns of one panel, tile by tile.
func (s *Set) panel(c []float32, cRow, columns int, left Left, rows int, panel []float32, terms int, add bool) {
	var room [tallest * widest]float32
	aRow, aTerm := uintptr(left.Row*floatBytes), uintptr(left.Term*floatBytes)
	i := 0
	for _, t := range s.tiles {
		for ; i+t.rows <= rows; i += t.rows {
			a := &left.Values[i*left.Row]
			if columns == s.columns {
				t.run(&c[i*cRow], uintptr(cRow*floatBytes), a, aRow, aTerm, &panel[0], terms, add)
				continue
			}
			t.run(&room[0], uintptr(s.columns*floatBytes), a, aRow, aTerm, &panel[0], terms, false)
			for r := range t.rows {
				to := c[(i+r)*cRow:][:columns]
				if !add {
					copy(to, room[r*s.columns:])
					continue
				}
				for j := range to {
					to[j] += room[r*s.columns+j]
				}
			}
		}
	}
}
