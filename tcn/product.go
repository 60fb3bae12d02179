package tcn

import (
	"sync"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Sizes of the pieces that products are shared out in. They change who computes
// a row, never its bits.
const (
	// aloneCost is the cost of products that are done sooner than helpers are
	// at hand, in bytes of weights times input rows.
	aloneCost = 64 << 10

	// aloneNumbers is how many numbers are quantized sooner than that.
	aloneNumbers = 8 << 10

	// readyPieces is how many pieces for each processor the quantizing of input
	// rows is cut into.
	readyPieces = 2
)

// piecewise is a Matrix that computes any range of its rows by itself.
type piecewise interface {
	Matrix
	// plan says how a product with n input rows is best cut.
	plan(n int) cut
	// ready turns row i of p.x into what multiplyRows reads. room is at least
	// cut.room numbers.
	ready(k *kernel.Set, p *matrixProduct, i int, room []float32)
	// multiplyRows computes y[i, r] for the rows r in [lo, hi), whose bounds are
	// multiples of cut.rows, or hi is Rows.
	multiplyRows(k *kernel.Set, p *matrixProduct, lo, hi int)
}

// cut is how a product is cut into pieces.
type cut struct {
	rows  int  // matrix rows of a piece
	cost  int  // of all pieces together, in bytes of weights times input rows
	room  int  // numbers that ready needs
	ready bool // whether ready does anything
}

// matrixProduct is one Matrix times n rows.
//
//	y [n, rows]   x [n, cols]
type matrixProduct struct {
	m    piecewise
	y, x []float32
	n    int
	cut  cut
	q    kernel.Int8Rows // x, once ready, if the matrix is quantized

	pieces int
	lanes  int // regions that pieces are taken from in turn
}

// products is several products that are computed together: all their pieces are
// handed out at once, so that small ones cost no hand-over of their own. Its
// zero value is ready; what it holds is reused, so that sizes seen before
// allocate nothing. One product may not read what another of the list computes.
type products struct {
	list []matrixProduct // the first count are in use, the others kept for their memory
	used int
	room []float32 // of every piece of readying

	c          *Compute
	perReady   int // rows of a piece of readying
	runReady   func(i int)
	runPieces  func(i int)
	readyRows  int
	roomPieces int // numbers of room for each piece
}

// add puts a product on the list. A Matrix that is not piecewise, or whose int8
// rows would be more than caches hold, is multiplied at once.
func (l *products) add(c *Compute, m Matrix, y, x []float32, n int) {
	p, ok := m.(piecewise)
	if !ok || n*m.Cols() > cachedBytes {
		m.Multiply(c, y, x, n)
		return
	}
	l.put(p, y, x, n)
}

// put is add of what is to be computed with the list in any case.
func (l *products) put(m piecewise, y, x []float32, n int) {
	if l.used == len(l.list) {
		l.list = append(l.list, matrixProduct{})
	}
	p := &l.list[l.used]
	l.used++
	p.m, p.y, p.x, p.n, p.cut = m, y, x, n, m.plan(n)
}

// multiply computes every product of the list and empties it.
func (l *products) multiply(c *Compute) {
	l.ready(c)
	l.pieces()
	l.clear()
}

// clear empties the list; what readying made is kept for its memory only.
func (l *products) clear() {
	for i := range l.list[:l.used] {
		p := &l.list[i]
		p.m, p.y, p.x = nil, nil, nil
	}
	l.used, l.c = 0, nil
}

// ready turns the input rows of every product into what its matrix reads.
func (l *products) ready(c *Compute) {
	if l.runReady == nil {
		l.runReady, l.runPieces = l.readyPiece, l.multiplyPiece
	}
	l.c = c
	rows, numbers, room := 0, 0, 0
	for i := range l.list[:l.used] {
		p := &l.list[i]
		if p.cut.ready {
			p.q.Reset(p.n, p.m.Cols())
			rows, numbers, room = rows+p.n, numbers+p.n*p.m.Cols(), max(room, p.cut.room)
		}
	}
	if rows == 0 {
		return
	}
	pieces := 1
	if numbers > aloneNumbers {
		pieces = min(rows, readyPieces*c.Pool.Width())
	}
	l.readyRows, l.perReady, l.roomPieces = rows, (rows+pieces-1)/pieces, room
	l.room = grown(l.room, pieces*room)
	c.Pool.Run(pieces, l.runReady)
}

// readyPiece readies rows [piece·perReady, …) of the rows of all products.
func (l *products) readyPiece(piece int) {
	lo := piece * l.perReady
	hi := min(lo+l.perReady, l.readyRows)
	room := l.room[piece*l.roomPieces : (piece+1)*l.roomPieces]
	first := 0
	for i := range l.list[:l.used] {
		p := &l.list[i]
		if !p.cut.ready {
			continue
		}
		for row := max(lo, first); row < min(hi, first+p.n); row++ {
			p.m.ready(l.c.Kernels, p, row-first, room)
		}
		first += p.n
	}
}

// pieces computes the products once they are ready.
func (l *products) pieces() {
	cost, pieces := 0, 0
	for i := range l.list[:l.used] {
		p := &l.list[i]
		p.pieces = (p.m.Rows() + p.cut.rows - 1) / p.cut.rows
		p.lanes = min(l.c.Pool.Width(), p.pieces)
		cost, pieces = cost+p.cut.cost, pieces+p.pieces
	}
	if cost > aloneCost {
		l.c.Pool.Run(pieces, l.runPieces)
		return
	}
	for i := range l.list[:l.used] {
		p := &l.list[i]
		p.m.multiplyRows(l.c.Kernels, p, 0, p.m.Rows())
	}
}

// multiplyPiece computes a piece, counted through the list. Those of a product
// are taken in turn from as many regions of the matrix as there are processors.
// While these keep pace, each reads one stream, and what it asked for ahead is
// what it needs next.
func (l *products) multiplyPiece(i int) {
	p := &l.list[0]
	for n := 1; i >= p.pieces; n++ {
		i -= p.pieces
		p = &l.list[n]
	}
	region, at := i%p.lanes, i/p.lanes
	whole, longer := p.pieces/p.lanes, p.pieces%p.lanes // the first longer regions have one piece more
	lo := (region*whole + min(region, longer) + at) * p.cut.rows
	p.m.multiplyRows(l.c.Kernels, p, lo, min(lo+p.cut.rows, p.m.Rows()))
}

// productLists are the lists of products that no stage computes.
var productLists = sync.Pool{New: func() any { return new(products) }}

// multiplyAlone is Multiply of a piecewise matrix whose rows fit caches.
func multiplyAlone(c *Compute, m piecewise, y, x []float32, n int) {
	l := productLists.Get().(*products)
	l.put(m, y, x, n)
	l.multiply(c)
	productLists.Put(l)
}
