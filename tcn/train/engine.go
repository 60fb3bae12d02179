package train

import (
	"sync"
	"sync/atomic"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// Compute is what training computes with.
type Compute struct {
	Kernels *kernel.Set
	Vectors *vector.Set
	Pool    *kernel.Pool // nil: no helpers

	// Clock, if set, counts nanoseconds: then the time in matrix products is
	// measured. The package has no clock of its own.
	Clock func() int64
}

// chunkRows is how many rows one piece of work has: a whole number of tiles of
// every level, and few enough that what one pass leaves is still in a core's
// second-level cache when the next comes.
const chunkRows = 96

// engine computes a model forward and backward. It belongs to one goroutine.
type engine struct {
	Compute
	model  *Model
	layers []packedLayer
	head   *matrix // emb
	gauge  gauge
	rooms  sync.Pool // of *scratch
	zeros  []float32 // [conv width]: a tap before the text

	acts     activations
	backward gradientRoom
	dropout  dropout
}

// packedLayer is the matrices of a layer; layers of one tile share them.
type packedLayer struct {
	in, out  *matrix
	reversed []float32 // the convolution with its taps the other way round: its transpose
}

// gauge sums up what matrix products took.
type gauge struct {
	multiplications atomic.Int64
	nanoseconds     atomic.Int64 // of all workers
}

// activations is what a forward pass leaves for the backward pass.
type activations struct {
	rows, sequence int
	x              [][]float32 // input of each layer, and the last output: [rows, d_model]
	h              [][]float32 // W_in u of each layer: [rows, 2·d_ff]
	z              [][]float32 // paper: what the norm of each layer takes: [rows, d_model]
	rounded        []float32   // paper: the input of a convolution with a state in bf16
	f              [][]float32 // output of each block before its routing, if that is not 1 or is trained
}

// scratch is room for one piece of work.
type scratch struct {
	u    []float32   // [chunkRows, max(d_model, d_ff)]
	y    []float32   // [chunkRows, max(d_ff, 256)]
	t    []float32   // [chunkRows, max(d_model, d_ff)]
	conv []float32   // [chunkRows, d_ff]
	taps [][]float32 // [kernel_size]
}

func newEngine(m *Model, compute Compute) *engine {
	e := &engine{Compute: compute, model: m, zeros: make([]float32, m.Config.ConvWidth())}
	d, f := m.Config.DModel, m.Config.DFF
	e.rooms.New = func() any {
		wide := max(d, f)
		return &scratch{
			u: make([]float32, chunkRows*wide), y: make([]float32, chunkRows*max(f, tcn.VocabSize)),
			t: make([]float32, chunkRows*wide), conv: make([]float32, chunkRows*f),
			taps: make([][]float32, m.Config.KernelSize),
		}
	}
	e.head = newMatrix(e.Vectors, tcn.VocabSize, d, nil)
	e.layers = make([]packedLayer, len(m.Layers))
	shared := map[any]*matrix{}
	for i := range m.Layers {
		l := &m.Layers[i]
		if l.Frozen != nil {
			e.layers[i].in = e.frozen(shared, l.Frozen.In)
			e.layers[i].out = e.frozen(shared, l.Frozen.Out)
			continue
		}
		e.layers[i].in = e.numbers(shared, l.In, 2*f, d, i, quant.MatrixIn)
		e.layers[i].out = e.numbers(shared, l.Out, d, f, i, quant.MatrixOut)
	}
	return e
}

// frozen is the matrix of codes that do not change; layers with the same ones
// share it.
func (e *engine) frozen(shared map[any]*matrix, q *quant.Q2) *matrix {
	if m, ok := shared[q]; ok {
		return m
	}
	m := newMatrix(e.Vectors, q.Rows(), q.Cols(), q.Signs())
	row := frozenRows(q)
	e.Pool.Run(m.pieces(), func(i int) { m.pack(i, row) })
	shared[q] = m
	return m
}

// numbers is the matrix of numbers; layers with the same ones share it.
func (e *engine) numbers(shared map[any]*matrix, values []float32, rows, cols, layer, which int) *matrix {
	if m, ok := shared[&values[0]]; ok {
		return m
	}
	var signs []byte
	if e.model.Config.Weights == tcn.WeightsQ2 {
		signs = quant.Signs(quant.DefaultSeed, layer, which, cols)
	}
	m := newMatrix(e.Vectors, rows, cols, signs)
	shared[&values[0]] = m
	return m
}

// refresh packs the numbers as they are now. With the numbers of a part changed,
// only what depends on them is packed again.
func (e *engine) refresh(part Part) {
	for i := range e.model.Layers {
		l := &e.model.Layers[i]
		e.layers[i].reversed = reverseTaps(e.layers[i].reversed, l.Conv, e.model.Config.KernelSize)
	}
	if part == Small {
		return
	}
	type work struct {
		m     *matrix
		piece int
		row   func(r int, room []float32) []float32
	}
	var list []work
	seen := map[*matrix]bool{}
	add := func(m *matrix, values []float32) {
		if seen[m] {
			return
		}
		seen[m] = true
		row := rowsOf(values, m.cols)
		if m.signs != nil {
			row = roundedRows(values, m.cols)
		}
		for piece := range m.pieces() {
			list = append(list, work{m, piece, row})
		}
	}
	add(e.head, e.model.Emb)
	for i := range e.model.Layers {
		if l := &e.model.Layers[i]; l.Frozen == nil {
			add(e.layers[i].in, l.In)
			add(e.layers[i].out, l.Out)
		}
	}
	e.Pool.Run(len(list), func(i int) { list[i].m.pack(list[i].piece, list[i].row) })
}

// reverseTaps returns w with its taps in the other order, in room if it fits.
func reverseTaps(room, w []float32, taps int) []float32 {
	if len(room) != len(w) {
		room = make([]float32, len(w))
	}
	width := len(w) / taps
	for k := range taps {
		copy(room[(taps-1-k)*width:(taps-k)*width], w[k*width:])
	}
	return room
}

// reserve makes room for rows rows in sequences of a length; training keeps what
// the backward pass needs.
func (e *engine) reserve(rows, sequence int, training, routed bool) {
	c, a := e.model.Config, &e.acts
	a.rows, a.sequence = rows, sequence
	keep := 1
	if training {
		keep = c.Layers
	}
	a.x = grow(a.x, keep+1, rows*c.DModel)
	a.h = grow(a.h, keep, rows*2*c.DFF)
	if training && c.Cell == tcn.CellPaper {
		a.z = grow(a.z, keep, rows*c.DModel)
	}
	blocks := 0
	if routed || !training {
		blocks = c.Blocks()
	}
	for len(a.f) < blocks {
		a.f = append(a.f, nil)
	}
}

// grow makes list at least count slices of n numbers each.
func grow(list [][]float32, count, n int) [][]float32 {
	for len(list) < count {
		list = append(list, nil)
	}
	for i := range count {
		list[i] = sized(list[i], n)
	}
	return list
}

// sized returns a slice of n numbers, room if it is long enough; they are
// undefined.
func sized(room []float32, n int) []float32 {
	if cap(room) < n {
		return make([]float32, n)
	}
	return room[:n]
}

// each runs work on every chunk of rows [lo, hi).
func (e *engine) each(rows int, work func(chunk, lo, hi int, s *scratch)) {
	e.Pool.Run((rows+chunkRows-1)/chunkRows, func(i int) {
		s := e.rooms.Get().(*scratch)
		work(i, i*chunkRows, min((i+1)*chunkRows, rows), s)
		e.rooms.Put(s)
	})
}

// product is a product whose time is measured.
func (e *engine) product(c []float32, cRow int, left vector.Left, rows int, right *vector.Panels, add bool) {
	if e.Clock == nil {
		e.Vectors.Product(c, cRow, left, rows, right, add)
		return
	}
	began := e.Clock()
	e.Vectors.Product(c, cRow, left, rows, right, add)
	e.gauge.nanoseconds.Add(e.Clock() - began)
	e.gauge.multiplications.Add(int64(rows) * int64(right.Columns) * int64(right.Terms))
}

// enter turns rows into what m's weights are multiplied with: for 2-bit weights,
// rotated and rounded to int8 numbers of one scale.
//
//	x [rows, m.cols]
func (e *engine) enter(m *matrix, x []float32) {
	if m.signs == nil {
		return
	}
	for lo := 0; lo < len(x); lo += m.cols {
		row := x[lo : lo+m.cols]
		e.Kernels.Hadamard(row, row, m.signs)
		e.Vectors.ToInt8Steps(row, row)
	}
}

// leave turns gradients by what enter left into gradients by what it took:
// rounding passes them straight through.
//
//	dx [rows, m.cols]
func (e *engine) leave(m *matrix, dx []float32) {
	if m.signs == nil {
		return
	}
	none := make([]byte, len(m.signs))
	for lo := 0; lo < len(dx); lo += m.cols {
		row := dx[lo : lo+m.cols]
		e.Kernels.Hadamard(row, row, none)
		e.Vectors.Multiply(row, row, m.turns)
	}
}
