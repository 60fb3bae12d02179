package cuda

import (
	"fmt"
	"slices"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
)

// layer is the frozen weights of one layer and where a state keeps its ring.
type layer struct {
	in, out  matrix
	conv     device.Pointer // [kernel_size, conv width]
	block    int            // counted from the stage's first
	dilation int
	ringRows int
	ringAt   int64 // bytes from the ring of the stage's first layer
}

// matrix is a frozen matrix [rows, cols] on the device: float32, or with signs and
// scales the codes of 2-bit weights.
type matrix struct {
	weights, scale, signs device.Pointer
	rows, cols            int
}

// quantized reports whether m reads rotated int8 rows.
func (m *matrix) quantized() bool { return m.scale != 0 }

// layout is where everything of a stage lies, before any of it is taken.
type layout struct {
	layers  []layer // addresses count from the arena's first byte, plus 1: 0 is none
	weights arena
	ring    int64   // bytes of the rings of all layers
	rings   []int64 // [blocks + 1] where the rings of a block begin
}

// newLayout plans a stage of blocks r. The sizes of blocks have been checked.
// Errors: [ErrForm].
func newLayout(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (*layout, error) {
	l := &layout{}
	for b, block := range blocks {
		l.rings = append(l.rings, l.ring)
		first, _ := c.BlockLayers(r.Lo + b)
		for i := range block.Layers {
			frozen := &block.Layers[i]
			made := layer{block: b, dilation: c.Dilation(first + i), ringAt: l.ring}
			made.ringRows = (c.KernelSize-1)*made.dilation + tcn.DraftRows
			l.ring += aligned(int64(made.ringRows) * int64(c.ConvWidth()) * numberBytes(c.State))
			for _, m := range []struct {
				name string
				to   *matrix
				from tcn.Matrix
			}{{"W_in", &made.in, frozen.In}, {"W_out", &made.out, frozen.Out}} {
				if err := l.weights.matrix(m.to, m.from); err != nil {
					return nil, fmt.Errorf("block %d layer %d %s: %w", r.Lo+b, i, m.name, err)
				}
			}
			made.conv = planned(l.weights.place(bytesOf(frozen.Conv)))
			l.layers = append(l.layers, made)
		}
	}
	l.rings = append(l.rings, l.ring)
	return l, nil
}

// matrix plans a frozen matrix.
func (a *arena) matrix(to *matrix, from tcn.Matrix) error {
	to.rows, to.cols = from.Rows(), from.Cols()
	stored, ok := tcn.StoredOf(from)
	switch {
	case ok && stored.F32 != nil:
		to.weights = planned(a.place(bytesOf(stored.F32)))
	case ok && stored.Q2 != nil:
		to.weights = planned(a.place(stored.Q2.Codes()))
		to.scale = planned(a.place(bytesOf(stored.Q2.Scale())))
		to.signs = planned(a.place(stored.Q2.Signs()))
	default:
		return fmt.Errorf("%w: neither float32 nor 2-bit", ErrForm)
	}
	return nil
}

// planned is an address that is not known yet: offset at of an arena.
func planned(at int64) device.Pointer { return device.Pointer(at + 1) }

// settle turns planned addresses into those of the arena's memory at base.
func settle(base device.Pointer, planned ...*device.Pointer) {
	for _, p := range planned {
		if *p != 0 {
			*p += base - 1
		}
	}
}

// settle makes the addresses of the layers real.
func (l *layout) settle(base device.Pointer) {
	for i := range l.layers {
		y := &l.layers[i]
		settle(base, &y.conv, &y.in.weights, &y.in.scale, &y.in.signs, &y.out.weights, &y.out.scale, &y.out.signs)
	}
}

// stateBytes is the memory of a state of the stage's blocks [lo, hi).
func (l *layout) stateBytes(lo, hi int) int64 { return l.rings[hi] - l.rings[lo] }

// numberBytes is the size of one number.
func numberBytes(n tcn.Number) int64 {
	if n == tcn.BF16 {
		return 2
	}
	return 4
}

// workspace is where everything of a pass lies, in bytes from its first. The first
// parts are copied in and out together, see pass, and there are two of each: while a
// pass computes in one slot, rows arrive in the other and leave it.
type workspace struct {
	stride   int   // rows there is room for
	shares   int64 // [shares] kernels.Share
	rowShare int64 // [rows] int32
	bad      int64 // [shares] int32
	x        int64 // [rows, d_model] float32
	passed   int64 // bytes of a slot: where the second begins

	u, t, saved      int64 // [rows, d_model] float32
	h                int64 // [rows, 2·d_ff] float32
	y                int64 // [rows, d_ff] float32
	rotated          int64 // [rows, max(d_model, d_ff)] float32
	q, plain         int64 // int8 rows of the same width
	qScale, qSum     int64 // [rows]
	plainScale, pSum int64 // [rows]
	zeroed           int64 // [sites, 4, rows] uint32; see sites
	bytes            int64
}

// groupCols is the columns of int8 rows that lie together.
const groupCols = 16

// sites is the places in a layer where a row is made a piece at a time, at most.
const sites = 2

// newWorkspace plans the room for passes of rows.
func newWorkspace(c tcn.Config, layers, rows int) workspace {
	var a arena
	n := int64(strideOf(rows))
	d, f := int64(c.DModel), int64(c.DFF)
	wide := max(d, f)
	int8Rows := (wide + groupCols - 1) / groupCols * groupCols * n
	w := workspace{
		stride:   int(n),
		shares:   a.room(n * shareBytes),
		rowShare: a.room(n * 4),
		bad:      a.room(n * 4),
		x:        a.room(n * d * 4),
	}
	w.passed = a.bytes
	a.room(w.passed)
	w.u, w.t, w.saved = a.room(n*d*4), a.room(n*d*4), a.room(n*d*4)
	w.h, w.y, w.rotated = a.room(n*2*f*4), a.room(n*f*4), a.room(n*wide*4)
	w.q, w.plain = a.room(int8Rows), a.room(int8Rows)
	w.qScale, w.qSum, w.plainScale, w.pSum = a.room(n*4), a.room(n*4), a.room(n*4), a.room(n*4)
	w.zeroed = a.room(int64(layers) * sites * siteBytes(int(n)))
	w.bytes = a.bytes
	return w
}

// strideOf is the rows that int8 rows have room for: what the products take at once.
func strideOf(rows int) int { return (rows + 7) / 8 * 8 }

// siteBytes is what a site takes of the zeroed memory: two maxima and two sums a row.
func siteBytes(stride int) int64 { return 4 * 4 * int64(stride) }

// bucket is the rows that a pass of rows is filled up to, at most limit.
func bucket(rows, limit int) int {
	i, _ := slices.BinarySearch(rowBuckets[:], rows)
	return min(rowBuckets[i], limit)
}
