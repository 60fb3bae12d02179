package train

import (
	"slices"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// gradientRoom is what a backward pass works in.
type gradientRoom struct {
	dx       []float32      // [rows, d_model]
	dh       []float32      // [rows, 2·d_ff]
	dc       []float32      // of the convolution's output: [rows, width]
	y        []float32      // what W_out was multiplied with: [rows, d_ff]
	out      *vector.Panels // dx before it changes: [rows, d_model]
	u        *vector.Panels // what W_in was multiplied with: [rows, d_model]
	logits   []float32      // [rows, 256]
	partials []partial      // of every chunk
}

// partial is one chunk's part of gradients that are sums over rows. They are
// added up in the order of the chunks, so that the sum does not depend on who
// computed what.
type partial struct {
	conv  []float32 // [kernel_size, width]
	gain  []float32 // [d_model]
	scale float32
	loss  float64
}

func (e *engine) reserveBackward(part Part) {
	c, g, rows := e.model.Config, &e.backward, e.acts.rows
	g.dx = sized(g.dx, rows*c.DModel)
	g.dh = sized(g.dh, rows*2*c.DFF)
	g.dc = sized(g.dc, rows*c.ConvWidth())
	if part == All {
		g.y = sized(g.y, rows*c.DFF)
		if g.u == nil {
			g.out, g.u = e.Vectors.NewPanels(rows, c.DModel), e.Vectors.NewPanels(rows, c.DModel)
		}
		g.out.Reset(rows, c.DModel)
		g.u.Reset(rows, c.DModel)
	}
	chunks := (rows + chunkRows - 1) / chunkRows
	for len(g.partials) < chunks {
		g.partials = append(g.partials, partial{
			conv: make([]float32, c.KernelSize*c.ConvWidth()),
			gain: make([]float32, c.DModel),
		})
	}
	g.partials = g.partials[:chunks]
}

// backward adds the gradients of what forward kept to g, from those of its
// output, which are in e.backward.dx.
//
//	text [rows]
func (e *engine) backwardPass(text []byte, g *Model, part Part, routed bool) {
	c := e.model.Config
	for b := c.Blocks() - 1; b >= 0; b-- {
		lo, hi := c.BlockLayers(b)
		r := e.model.Routing[b]
		skips := routed || r != 1
		var around []float32
		if skips {
			around = e.routeBackward(b, lo, g, r)
		}
		for layer := hi - 1; layer >= lo; layer-- {
			if c.Cell == tcn.CellPaper {
				e.paperBackward(layer, g, part)
			} else {
				e.layerBackward(layer, g, part)
			}
		}
		if skips {
			e.Kernels.AddScaled(e.backward.dx, around, 1)
		}
	}
	if part != All {
		return
	}
	d := c.DModel
	for t, b := range text {
		row := e.backward.dx[t*d : (t+1)*d]
		e.Kernels.AddScaled(g.Emb[int(b)*d:][:d], row, 1)
		if c.MaxPositions > 0 {
			e.Kernels.AddScaled(g.Pos[t%e.acts.sequence*d:][:d], row, 1)
		}
	}
}

// routeBackward turns the gradient by x + r·(F - x) into that by F, and returns
// the part that reaches x past the block.
func (e *engine) routeBackward(b, first int, g *Model, r float32) []float32 {
	dx, x, f := e.backward.dx, e.acts.x[first], e.acts.f[b]
	around := make([]float32, len(dx))
	sum := 0.0
	for i, v := range dx {
		sum += float64(v) * float64(f[i]-x[i])
		around[i] = (1 - r) * v
		dx[i] = r * v
	}
	g.Routing[b] += float32(sum)
	return around
}

// layerBackward turns the gradient by a layer's output, in e.backward.dx, into
// that by its input, and adds the gradients of its numbers to g.
func (e *engine) layerBackward(layer int, g *Model, part Part) {
	c, l, packed, room := e.model.Config, &e.model.Layers[layer], &e.layers[layer], &e.backward
	d, f := c.DModel, c.DFF
	x, h := e.acts.x[layer], e.acts.h[layer]
	e.each(e.acts.rows, func(chunk, lo, hi int, s *scratch) {
		e.gateBackward(layer, chunk, lo, hi, h, s, part)
	})
	if part == All {
		// W_outᵀ's, as yᵀ·dx: the narrow factor is the one to pack.
		e.addProducts(weightGradient{g.Layers[layer].Out, f, d, room.y, f, room.out})
	}
	e.each(e.acts.rows, func(chunk, lo, hi int, s *scratch) {
		for t := lo; t < hi; t++ {
			e.tapsAhead(s.taps, layer, t)
			e.Kernels.Conv(room.dh[t*2*f:t*2*f+f], s.taps, packed.reversed)
		}
		du := s.t[:(hi-lo)*d]
		e.product(du, d, vector.RowMajor(room.dh[lo*2*f:], 2*f), hi-lo, packed.in.backward, false)
		e.leave(packed.in, du)
		if part == All {
			u := s.u[:(hi-lo)*d]
			e.normRows(u, x[lo*d:hi*d], l.Gain)
			e.enter(packed.in, u)
			setTerms(room.u, lo, u, d)
		}
		e.normBackward(room.partials[chunk].gain, lo, hi, du, x, l.Gain)
	})
	if part == All {
		e.addProducts(weightGradient{g.Layers[layer].In, 2 * f, d, room.dh, 2 * f, room.u})
	}
	e.addPartials(&g.Layers[layer], part)
}

// gateBackward takes the gradient of rows [lo, hi) back through W_out and the
// gate: to the convolution's output, room.dc, and to g, in room.dh.
func (e *engine) gateBackward(layer, chunk, lo, hi int, h []float32, s *scratch, part Part) {
	c, l, packed, room := e.model.Config, &e.model.Layers[layer], &e.layers[layer], &e.backward
	d, f := c.DModel, c.DFF
	sums := &room.partials[chunk]
	sums.scale = 0
	clear(sums.conv)
	conv, y, dy := s.conv[:(hi-lo)*f], s.y[:(hi-lo)*f], s.t[:(hi-lo)*f]
	e.gateRows(layer, lo, hi, h, conv, y, s)
	e.enter(packed.out, y)
	if part == All {
		copy(room.y[lo*f:], y)
		setTerms(room.out, lo, room.dx[lo*d:hi*d], d)
	}
	e.product(dy, f, vector.RowMajor(room.dx[lo*d:], d), hi-lo, packed.out.backward, false)
	sums.scale = e.Vectors.Dot(dy, y)
	e.leave(packed.out, dy)
	for i := range dy {
		dy[i] *= l.Scale[0]
	}
	for t := lo; t < hi; t++ {
		i := t - lo
		row := dy[i*f : (i+1)*f]
		e.dropout.apply(row, layer, t)
		dc := room.dc[t*f : (t+1)*f]
		e.Vectors.GateBackward(dc, room.dh[t*2*f+f:(t+1)*2*f], row, conv[i*f:(i+1)*f], h[t*2*f+f:(t+1)*2*f])
		if part == All {
			e.addTaps(sums.conv, layer, t, h, 2*f, s)
		}
	}
}

// addTaps adds what row t gives to the gradient of a layer's convolution.
//
//	sum [kernel_size, width]   from [rows, stride], as [engine.taps] reads it
func (e *engine) addTaps(sum []float32, layer, t int, from []float32, stride int, s *scratch) {
	width := e.model.Config.ConvWidth()
	dc := e.backward.dc[t*width : (t+1)*width]
	e.taps(s.taps, layer, t, from, stride)
	for k, tap := range s.taps {
		if &tap[0] != &e.zeros[0] {
			e.Vectors.AddProduct(sum[k*width:(k+1)*width], dc, tap)
		}
	}
}

// tapsAhead points at the rows of room.dc whose outputs read row t of a layer's
// convolution: the present one first, then those ahead.
func (e *engine) tapsAhead(taps [][]float32, layer, t int) {
	width, dilation := e.model.Config.ConvWidth(), e.model.Config.Dilation(layer)
	end := (t/e.acts.sequence + 1) * e.acts.sequence
	for k := range taps {
		at := t + k*dilation
		if at >= end {
			taps[k] = e.zeros[:width]
			continue
		}
		taps[k] = e.backward.dc[at*width : (at+1)*width]
	}
}

// normBackward adds the gradient through a norm of rows [lo, hi) to room.dx, and
// that of the gain to gain, which it clears first.
//
//	du [hi-lo, d_model]   x [rows, d_model]
func (e *engine) normBackward(gain []float32, lo, hi int, du, x, weights []float32) {
	d := len(weights)
	clear(gain)
	for t := lo; t < hi; t++ {
		i, row := t-lo, x[t*d:(t+1)*d]
		inverse := 1 / rootMeanSquare(e.Vectors.Dot(row, row), d, e.model.Config.RMSEps)
		e.Vectors.NormBackward(e.backward.dx[t*d:(t+1)*d], gain, du[i*d:(i+1)*d], row, weights, inverse)
	}
}

// setTerms packs rows of width numbers as the terms from lo on.
func setTerms(p *vector.Panels, lo int, rows []float32, width int) {
	for i := range len(rows) / width {
		p.SetTerm(lo+i, rows[i*width:(i+1)*width])
	}
}

// weightGradient is the gradient of a matrix: sum += dyᵀ·x over all rows.
type weightGradient struct {
	sum        []float32 // [rows, cols]
	rows, cols int
	dy         []float32 // [terms, dyRow], of which the first rows numbers of each count
	dyRow      int
	x          *vector.Panels // [terms, cols]
}

// Rows of a weight gradient that are one piece of work: many read the packed
// factor seldom, few keep all processors busy.
const (
	fewSumRows  = 48
	manySumRows = 288
)

// addProducts adds a weight gradient up.
func (e *engine) addProducts(w weightGradient) {
	left := vector.Turned(w.dy, w.dyRow)
	rows := max(fewSumRows, min(w.rows/(2*e.Pool.Width()), manySumRows))
	e.Pool.Run((w.rows+rows-1)/rows, func(i int) {
		lo := i * rows
		e.product(w.sum[lo*w.cols:], w.cols, left.From(lo), min(rows, w.rows-lo), w.x, true)
	})
}

// addPartials adds what the chunks found to a layer's gradients.
func (e *engine) addPartials(g *Layer, part Part) {
	for _, p := range e.backward.partials {
		g.Scale[0] += p.scale
		e.Kernels.AddScaled(g.Gain, p.gain, 1)
		if part == All {
			e.Kernels.AddScaled(g.Conv, p.conv, 1)
		}
	}
}

// finish turns the sums of products into gradients of the numbers: W_out's are
// turned and do not hold the layer's scale yet, and rotated matrices were
// multiplied with rows that are √block longer.
func (e *engine) finish(g *Model) {
	c := e.model.Config
	d, f := c.DModel, c.DFF
	e.Pool.Run(len(g.Layers), func(i int) {
		l := &g.Layers[i]
		in, out := float32(1), e.model.Layers[i].Scale[0]
		if c.Weights == tcn.WeightsQ2 {
			in *= rotationShrink(d)
			out *= rotationShrink(f)
		}
		for c := range l.In {
			l.In[c] *= in
		}
		turned := slices.Clone(l.Out)
		for at := range turned { // of [d_ff, d_model]
			l.Out[at%d*f+at/d] = out * turned[at]
		}
	})
}
