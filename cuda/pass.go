package cuda

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
)

// pass is at most MaxRows rows on their way through the device, in pinned memory.
// What lies there is copied in as a whole, and from bad on copied out again.
type pass struct {
	host   []byte
	shares []kernels.Share // [stride]
	row    []int32         // [stride] the share of each row; -1: no row
	bad    []int32         // [stride] least layer where a share's numbers are not finite
	x      []float32       // [stride, d_model]

	slot  int     // of the workspace
	width int     // of a row
	list  []share // the shares, as they came
	rows  int
	shape shape
}

// share is consecutive rows of one Work, rows [from, from+count), which begin at row
// first of the pass.
type share struct {
	work               *tcn.Work
	from, count, first int
}

// unspoilt is what bad holds of a share that is finite: no layer.
const unspoilt = 0x7f7f7f7f

// open finds the parts of the pass's host memory.
func (p *pass) open(w *workspace, d, slot int) {
	n := w.stride
	p.shares = viewOf[kernels.Share](p.host[w.shares:], n)
	p.row = viewOf[int32](p.host[w.rowShare:], n)
	p.bad = viewOf[int32](p.host[w.bad:], n)
	p.x = viewOf[float32](p.host[w.x:], n*d)
	p.list = make([]share, 0, n)
	p.width, p.slot = d, slot
}

// rowsOfPiece is how many rows are moved together.
func (p *pass) rowsOfPiece() int { return max(1, pieceNumbers/p.width) }

// piece is the rows [lo, hi) of piece i.
func (p *pass) piece(i int) (lo, hi int) {
	each := p.rowsOfPiece()
	return i * each, min((i+1)*each, p.rows)
}

// both is a row where its Work has it and where the pass has it.
func (p *pass) both(row int) (there, here []float32) {
	h := &p.list[p.row[row]]
	at := (h.from + row - h.first) * p.width
	return h.work.Rows.Data[at : at+p.width], p.x[row*p.width : (row+1)*p.width]
}

// cursor is how much of a queue of Works the passes before took.
type cursor struct {
	queue []*tcn.Work
	done  int // rows of the first
}

// ready fills a pass with the next rows of the queue, as many as fit. It reports
// false if none are left.
func (s *stage) ready(p *pass, c *cursor) bool {
	limit := s.backend.options.MaxRows
	p.list, p.rows, p.shape = p.list[:0], 0, shape{slot: p.slot}
	for len(c.queue) > 0 && p.rows < limit {
		w := c.queue[0]
		n := min(w.Rows.Count-c.done, limit-p.rows)
		s.put(p, w, c.done, n)
		if c.done += n; c.done == w.Rows.Count {
			c.queue, c.done = c.queue[1:], 0
		}
	}
	if p.rows == 0 {
		return false
	}
	s.backend.hands.fill(p)
	k := &p.shape
	k.rows = bucket(p.rows, limit)
	for k.shares = 1; k.shares < len(p.list); k.shares *= 2 {
	}
	k.shares = min(k.shares, k.rows)
	k.terms = termBucket(k.terms)
	for i := p.rows; i < k.rows; i++ {
		p.row[i] = -1
	}
	clear(p.shares[len(p.list):k.shares])
	for i := range p.bad[:k.shares] {
		p.bad[i] = unspoilt
	}
	return true
}

// put adds rows [from, from+n) of a Work to a pass.
func (s *stage) put(p *pass, w *tcn.Work, from, n int) {
	state := w.State.(*state)
	o := state.outfit
	p.shares[len(p.list)] = kernels.Share{
		Rings: state.rings(), Variant: o.memory,
		Position: int64(w.Rows.Position + from), Start: int64(state.start),
		First: int32(p.rows), Count: int32(n), Lo: int32(state.lo()), Hi: int32(state.hi()),
	}
	for i := range p.row[p.rows : p.rows+n] {
		p.row[p.rows+i] = int32(len(p.list))
	}
	p.list = append(p.list, share{w, from, n, p.rows})
	p.rows += n
	own := s.blockSet(state.lo(), state.hi())
	k := &p.shape
	k.blocks |= o.active & own
	k.half = k.half || o.half&own != 0
	k.terms, k.eight = max(k.terms, o.terms), k.eight || o.eight
}

// send asks the device for a pass.
func (s *stage) send(p *pass, l lanes) error {
	stream := s.backend.stream
	graph, err := s.graph(p.shape)
	if err != nil {
		return err
	}
	if err := l.in.CopyIn(s.slotAt(p.slot, 0), p.host[:s.endOf(p)]); err != nil {
		return err
	}
	for _, h := range p.list {
		if state := h.work.State.(*state); !state.clean {
			if err := stream.Fill(s.rings+device.Pointer(state.at), 0, state.bytes); err != nil {
				return err
			}
			state.clean = true
		}
	}
	if err := after(stream, l.in); err != nil {
		return err
	}
	return s.compute(p.shape, graph)
}

// fetch asks the device for the results of the pass that was sent last.
func (s *stage) fetch(p *pass, l lanes) error {
	if err := after(l.out, s.backend.stream); err != nil {
		return err
	}
	return l.out.CopyOut(p.host[s.work.bad:s.endOf(p)], s.slotAt(p.slot, s.work.bad))
}

// endOf is the bytes of a slot that a pass fills.
func (s *stage) endOf(p *pass) int64 {
	return s.work.x + int64(p.shape.rows)*int64(s.config.DModel)*4
}

// collect hands out what a pass computed.
func (s *stage) collect(p *pass) error {
	s.backend.hands.empty(p)
	for i, h := range p.list {
		if layer := int(p.bad[i]); layer != unspoilt {
			if layer < 0 || layer >= len(s.layout.layers) {
				return &device.Error{Kind: device.ErrLost, Doing: fmt.Sprintf("results name layer %d of %d", layer, len(s.layout.layers))}
			}
			s.spoil(h.work.State.(*state), layer)
		}
	}
	return nil
}

// spoil names the place where a sequence's numbers ceased to be finite: the lowest
// layer of any pass.
func (s *stage) spoil(state *state, layer int) {
	if state.failure != nil && state.spoilt <= layer {
		return
	}
	state.spoilt = layer
	block := s.blocks.Lo + s.layout.layers[layer].block
	first, _ := s.config.BlockLayers(s.blocks.Lo)
	lo, _ := s.config.BlockLayers(block)
	state.failure = fmt.Errorf("%w: position %d, block %d layer %d", tcn.ErrNotFinite, state.position, block, first+layer-lo)
}
