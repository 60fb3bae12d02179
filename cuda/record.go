package cuda

import (
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
)

// recorder launches what a pass of one shape asks for: the model itself. Its
// launches are done at once, or become a graph.
type recorder struct {
	*stage
	shape shape
	rows  kernels.Batch
	low   kernels.Low
	x     device.Pointer
	bad   device.Pointer
	used  int // sites so far
	err   error
}

// record launches a pass.
func (s *stage) record(k shape) error {
	r := &recorder{stage: s, shape: k, rows: s.batch(k), low: s.low.of(k.terms), x: s.slotAt(k.slot, s.work.x), bad: s.slotAt(k.slot, s.work.bad)}
	if n := s.sites(k); n > 0 {
		zeroed := int64(n) * siteBytes(strideOf(k.rows))
		if err := s.backend.stream.Fill(s.at(s.work.zeroed), 0, zeroed); err != nil {
			return err
		}
	}
	layers := s.layout.layers
	for first := 0; first < len(layers); {
		last := first
		for last+1 < len(layers) && layers[last+1].block == layers[first].block {
			last++
		}
		if s.has(k.blocks, layers[first].block) {
			r.block(first, last)
		}
		first = last + 1
	}
	return r.err
}

// sites is how many places a pass uses where rows are made a piece at a time.
func (s *stage) sites(k shape) int {
	n := 0
	for i := range s.layout.layers {
		l := &s.layout.layers[i]
		if !s.has(k.blocks, l.block) {
			continue
		}
		if l.out.quantized() || k.eight {
			n++
		}
		if s.config.Cell == tcn.CellPaper && (l.in.quantized() || k.eight) {
			n++
		}
	}
	return n
}

// launch launches kernels, unless one before could not be.
func (r *recorder) launch(calls ...kernels.Call) {
	for _, c := range calls {
		if r.err == nil {
			r.err = r.backend.kernels.Launch(r.backend.stream, c)
		}
	}
}

// place is where layer i of the stage computes.
func (r *recorder) place(i int) kernels.Place {
	return kernels.Place{Layer: int32(i), Block: int32(r.layout.layers[i].block)}
}

// block is the Fractal Block of layers [first, last].
func (r *recorder) block(first, last int) {
	args := kernels.BlockArgs{
		Batch: r.rows, X: r.x, Saved: r.at(r.work.saved), Bad: r.bad,
		Width: int32(r.config.DModel), BF16: flag(r.config.Boundary == tcn.BF16),
	}
	if r.shape.half {
		args.At = r.place(first)
		r.launch(kernels.BeginBlock(args))
	}
	for i := first; i <= last; i++ {
		if r.config.Cell == tcn.CellPaper {
			r.paper(i)
		} else {
			r.release(i)
		}
	}
	args.At = r.place(last)
	r.launch(kernels.EndBlock(args))
}

// release is layer i of the stage in the published inference code:
//
//	u    [rows, d]   u = RMSNorm(x)
//	a, g [rows, f]   [a, g] = W_in u, and + Σ weight·B_in(A_in u) where it is read
//	y    [rows, f]   y = SiLU(conv(a))·σ(g)
//	t    [rows, d]   t = W_out y
//	x    [rows, d]   x = x + scale·(t + Σ weight·B_out(A_out y))
func (r *recorder) release(i int) {
	l, w := &r.layout.layers[i], &r.work
	rows := r.int8Rows()
	norm := r.norm(i, r.at(w.u))
	norm.Stride = r.stride()
	if l.in.quantized() {
		norm.Rotated, norm.Signs, norm.RotatedRows = r.at(w.rotated), l.in.signs, rows.rotated
	}
	if r.shape.eight {
		norm.PlainRows = rows.plain
	}
	r.launch(kernels.Norm(norm))
	r.product(&l.in, r.at(w.h), r.at(w.u), rows.rotated)
	r.shrink(i, sideIn, r.at(w.u), rows.plain, l.in.cols)
	made := r.site(&l.out)
	conv := r.conv(i, r.at(w.h), r.plain(&l.out, w.y), made.spread)
	conv.Low = r.low
	r.launch(kernels.ConvGate(conv)...)
	r.finish(i, made)
}

// paper is layer i of the stage as §3.2 of the paper writes it:
//
//	c    [rows, d]   c = conv(x)
//	g, v [rows, f]   [g, v] = W c, and + Σ weight·B_in(A_in c) where it is read
//	y    [rows, f]   y = σ(g)·SiLU(v)
//	t    [rows, d]   t = W_o y
//	x    [rows, d]   x = RMSNorm(x + scale·(t + Σ weight·B_out(A_out y)))
func (r *recorder) paper(i int) {
	l, w := &r.layout.layers[i], &r.work
	c := r.at(w.u)
	made := r.site(&l.in)
	r.launch(kernels.Conv(r.conv(i, r.x, r.plain(&l.in, w.u), made.spread))...)
	r.quantize(made, c, l.in.cols)
	r.product(&l.in, r.at(w.h), c, made.rotated)
	r.shrink(i, sideIn, c, made.plain, l.in.cols)
	made = r.site(&l.out)
	r.launch(kernels.Gate(kernels.GateArgs{
		Batch: r.rows, At: r.place(i), In: r.at(w.h), Out: r.plain(&l.out, w.y), Bad: r.bad,
		Low: r.low, Spread: made.spread, Width: int32(r.config.DFF),
	}))
	r.finish(i, made)
	r.launch(kernels.Norm(r.norm(i, r.x)))
}

// plain is where the rows lie that m and the terms beside it multiply; none if they
// are read only as int8.
func (r *recorder) plain(m *matrix, at int64) device.Pointer {
	if m.quantized() && r.shape.terms == 0 {
		return 0
	}
	return r.at(at)
}

// finish is the end of a layer in either cell, up to x + scale·t.
func (r *recorder) finish(i int, made site) {
	l, y, t := &r.layout.layers[i], r.at(r.work.y), r.at(r.work.t)
	r.quantize(made, y, l.out.cols)
	r.product(&l.out, t, y, made.rotated)
	r.shrink(i, sideOut, y, made.plain, l.out.cols)
	r.launch(kernels.Residual(kernels.ResidualArgs{
		Batch: r.rows, At: r.place(i), X: r.x, T: t, Low: r.low, Width: int32(r.config.DModel),
	}))
}

// norm is RMSNorm of x.
func (r *recorder) norm(i int, out device.Pointer) kernels.NormArgs {
	return kernels.NormArgs{
		Batch: r.rows, At: r.place(i), X: r.x, Out: out, Width: int32(r.config.DModel), Eps: r.config.RMSEps,
	}
}

// conv is the convolution of layer i.
func (r *recorder) conv(i int, in, out device.Pointer, spread kernels.Spread) kernels.ConvArgs {
	l := &r.layout.layers[i]
	return kernels.ConvArgs{
		Batch: r.rows, At: r.place(i), In: in, Out: out, Weights: l.conv, Bad: r.bad,
		RingOffset: uint64(l.ringAt), Spread: spread,
		RingRows: int32(l.ringRows), RingBF16: flag(r.config.State == tcn.BF16),
		KernelSize: int32(r.config.KernelSize), Dilation: int32(l.dilation), Width: int32(r.config.ConvWidth()),
	}
}

// product is y = m x, of x itself or of its rotated int8 rows.
func (r *recorder) product(m *matrix, y, x device.Pointer, q kernels.Int8Rows) {
	args := kernels.ProductArgs{
		Y: y, X: x, Weights: m.weights, Rows: int32(r.shape.rows), Outputs: int32(m.rows), Cols: int32(m.cols), Stride: r.stride(),
	}
	if !m.quantized() {
		r.launch(kernels.ProductF32(args))
		return
	}
	args.Q, args.Scale = q, m.scale
	r.launch(kernels.ProductQ2(args))
}

// The products of a layer that Souls add to, as ShrinkArgs counts them.
const (
	sideIn  = 0
	sideOut = 1
)

// shrink is A u of every term of one product, if any are worn.
func (r *recorder) shrink(i int, of int32, u device.Pointer, plain kernels.Int8Rows, cols int) {
	if r.shape.terms == 0 {
		return
	}
	args := kernels.ShrinkArgs{Batch: r.rows, At: r.place(i), X: u, Low: r.low, Cols: int32(cols), Stride: r.stride(), Of: of}
	if r.shape.eight {
		args.Plain = plain
	}
	r.launch(kernels.Shrink(args))
}

// site is a place where rows are made a piece at a time: what the pieces leave, and
// the int8 rows that are then made of it.
type site struct {
	spread         kernels.Spread
	rotated, plain kernels.Int8Rows // none where not wanted
}

// site is the place before a product with m.
func (r *recorder) site(m *matrix) site {
	if !m.quantized() && !r.shape.eight {
		return site{}
	}
	n := device.Pointer(strideOf(r.shape.rows) * 4)
	zeroed := r.at(r.work.zeroed + int64(r.used)*siteBytes(strideOf(r.shape.rows)))
	r.used++
	var made site
	rows := r.int8Rows()
	if m.quantized() {
		made.spread.Signs, made.spread.Rotated, made.spread.MaxRotated = m.signs, r.at(r.work.rotated), zeroed
		made.rotated = rows.rotated
		made.rotated.Sum = zeroed + 2*n
	}
	if r.shape.eight {
		made.spread.MaxPlain = zeroed + n
		made.plain = rows.plain
		made.plain.Sum = zeroed + 3*n
	}
	return made
}

// quantize makes the int8 rows of a site, if any are wanted.
func (r *recorder) quantize(made site, plain device.Pointer, width int) {
	if made.rotated.Q == 0 && made.plain.Q == 0 {
		return
	}
	r.launch(kernels.Quantize(kernels.QuantizeArgs{
		Plain: plain, Spread: made.spread, RotatedRows: made.rotated, PlainRows: made.plain,
		Rows: int32(r.shape.rows), Width: int32(width), Stride: r.stride(),
	}))
}

// int8Rows is the room for rows of int8 numbers: of rotated rows and of plain ones.
func (r *recorder) int8Rows() site {
	w := &r.work
	return site{
		rotated: kernels.Int8Rows{Q: r.at(w.q), Scale: r.at(w.qScale), Sum: r.at(w.qSum)},
		plain:   kernels.Int8Rows{Q: r.at(w.plain), Scale: r.at(w.plainScale), Sum: r.at(w.pSum)},
	}
}

func (r *recorder) stride() int32 { return int32(strideOf(r.shape.rows)) }

// flag is a yes or no as kernels read it.
func flag(yes bool) int32 {
	if yes {
		return 1
	}
	return 0
}
