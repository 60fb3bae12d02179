package cuda

import (
	"sync/atomic"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// hands move and check rows on the host. One processor alone takes longer for the
// rows of a large pass than the bus does, so some help.
type hands struct {
	pool   *kernel.Pool
	finite func(x []float32) bool

	// The job of the pieces now handed out.
	pass   *pass
	x      []float32
	bad    atomic.Bool
	in     func(i int)
	out    func(i int)
	search func(i int)
}

// newHands are the caller's two and at most so many helpers.
func newHands(helpers int) *hands {
	h := &hands{finite: kernel.Best().Finite}
	if helpers > 0 {
		h.pool = kernel.NewPool(helpers)
	}
	h.in, h.out, h.search = h.copyIn, h.copyOut, h.searchPiece
	return h
}

// close ends the helpers.
func (h *hands) close() { h.pool.Close() }

// allFinite reports whether no number is an infinity or not a number.
func (h *hands) allFinite(x []float32) bool {
	h.x = x
	h.bad.Store(false)
	h.pool.Run((len(x)+pieceNumbers-1)/pieceNumbers, h.search)
	h.x = nil
	return !h.bad.Load()
}

func (h *hands) searchPiece(i int) {
	if lo := i * pieceNumbers; !h.finite(h.x[lo:min(lo+pieceNumbers, len(h.x))]) {
		h.bad.Store(true)
	}
}

// fill copies the rows of a pass from its Works, empty back to them.
func (h *hands) fill(p *pass)  { h.move(p, h.in) }
func (h *hands) empty(p *pass) { h.move(p, h.out) }

func (h *hands) move(p *pass, piece func(i int)) {
	h.pass = p
	each := p.rowsOfPiece()
	h.pool.Run((p.rows+each-1)/each, piece)
	h.pass = nil
}

func (h *hands) copyIn(i int) {
	for row, hi := h.pass.piece(i); row < hi; row++ {
		there, here := h.pass.both(row)
		copy(here, there)
	}
}

func (h *hands) copyOut(i int) {
	for row, hi := h.pass.piece(i); row < hi; row++ {
		there, here := h.pass.both(row)
		copy(there, here)
	}
}
