package train

import (
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// The paper's cell: x = norm(x + scale·W_out·gate(v, g)) with [g, v] = h = W_in·conv(x).

// convInput is x as the convolution reads it: rounded to the config's state.
//
//	x [rows, d_model]
func (e *engine) convInput(x []float32) []float32 {
	if e.model.Config.State != tcn.BF16 {
		return x
	}
	d := e.model.Config.DModel
	e.acts.rounded = sized(e.acts.rounded, len(x))
	e.each(e.acts.rows, func(_, lo, hi int, _ *scratch) {
		rows := e.acts.rounded[lo*d : hi*d]
		copy(rows, x[lo*d:])
		e.Kernels.RoundBF16(rows)
	})
	return e.acts.rounded
}

// paperForward computes one layer. What the norm takes goes to z unless it is nil.
//
//	x, out, z [rows, d_model]   h [rows, 2·d_ff]
func (e *engine) paperForward(layer int, x, h, z, out []float32) {
	c, l, packed := e.model.Config, &e.model.Layers[layer], &e.layers[layer]
	d, f, from := c.DModel, c.DFF, e.convInput(x)
	e.each(e.acts.rows, func(_, lo, hi int, s *scratch) {
		u, y, t := s.u[:(hi-lo)*d], s.y[:(hi-lo)*f], s.t[:(hi-lo)*d]
		e.paperConv(layer, lo, hi, from, u, s)
		e.enter(packed.in, u)
		e.product(h[lo*2*f:], 2*f, vector.RowMajor(u, d), hi-lo, packed.in.forward, false)
		e.paperGate(layer, lo, hi, h, y)
		e.enter(packed.out, y)
		e.product(t, d, vector.RowMajor(y, f), hi-lo, packed.out.forward, false)
		next := out[lo*d : hi*d]
		copy(next, x[lo*d:hi*d])
		e.Kernels.AddScaled(next, t, l.Scale[0])
		if z != nil {
			copy(z[lo*d:hi*d], next)
		}
		e.normRows(next, next, l.Gain)
	})
}

// paperConv computes rows [lo, hi) of the convolution.
//
//	from [rows, d_model]   out [hi-lo, d_model]
func (e *engine) paperConv(layer, lo, hi int, from, out []float32, s *scratch) {
	d := e.model.Config.DModel
	for t := lo; t < hi; t++ {
		e.taps(s.taps, layer, t, from, d)
		e.Kernels.Conv(out[(t-lo)*d:(t-lo+1)*d], s.taps, e.model.Layers[layer].Conv)
	}
}

// paperGate computes rows [lo, hi) of the gate, with dropout.
//
//	h [rows, 2·d_ff]   y [hi-lo, d_ff]
func (e *engine) paperGate(layer, lo, hi int, h, y []float32) {
	f := e.model.Config.DFF
	for t := lo; t < hi; t++ {
		row := y[(t-lo)*f : (t-lo+1)*f]
		e.Vectors.Gate(row, h[t*2*f+f:(t+1)*2*f], h[t*2*f:t*2*f+f])
		e.dropout.apply(row, layer, t)
	}
}

// paperBackward is layerBackward of the paper's cell.
func (e *engine) paperBackward(layer int, g *Model, part Part) {
	c, packed, room := e.model.Config, &e.layers[layer], &e.backward
	d, f := c.DModel, c.DFF
	from := e.convInput(e.acts.x[layer])
	e.each(e.acts.rows, func(chunk, lo, hi int, s *scratch) {
		e.paperGateBackward(layer, chunk, lo, hi, s, part)
		dc := room.dc[lo*d : hi*d]
		e.product(dc, d, vector.RowMajor(room.dh[lo*2*f:], 2*f), hi-lo, packed.in.backward, false)
		e.leave(packed.in, dc)
		if part != All {
			return
		}
		u := s.u[:(hi-lo)*d]
		e.paperConv(layer, lo, hi, from, u, s)
		e.enter(packed.in, u)
		setTerms(room.u, lo, u, d)
		for t := lo; t < hi; t++ {
			e.addTaps(room.partials[chunk].conv, layer, t, from, d, s)
		}
	})
	if part == All {
		e.addProducts(weightGradient{g.Layers[layer].Out, f, d, room.y, f, room.out})
		e.addProducts(weightGradient{g.Layers[layer].In, 2 * f, d, room.dh, 2 * f, room.u})
	}
	e.each(e.acts.rows, func(_, lo, hi int, s *scratch) {
		for t := lo; t < hi; t++ {
			e.tapsAhead(s.taps, layer, t)
			e.Kernels.Conv(s.t[:d], s.taps, packed.reversed)
			e.Kernels.AddScaled(room.dx[t*d:(t+1)*d], s.t[:d], 1)
		}
	})
	e.addPartials(&g.Layers[layer], part)
}

// paperGateBackward takes the gradient of rows [lo, hi) back through the norm, to
// the residual sum in room.dx, and on through W_out and the gate to room.dh.
func (e *engine) paperGateBackward(layer, chunk, lo, hi int, s *scratch, part Part) {
	c, l, packed, room := e.model.Config, &e.model.Layers[layer], &e.layers[layer], &e.backward
	d, f := c.DModel, c.DFF
	h, sums := e.acts.h[layer], &room.partials[chunk]
	clear(sums.conv)
	dx, after := room.dx[lo*d:hi*d], s.u[:(hi-lo)*d]
	copy(after, dx)
	clear(dx)
	e.normBackward(sums.gain, lo, hi, after, e.acts.z[layer], l.Gain)

	y, dy := s.y[:(hi-lo)*f], s.t[:(hi-lo)*f]
	e.paperGate(layer, lo, hi, h, y)
	e.enter(packed.out, y)
	if part == All {
		copy(room.y[lo*f:], y)
		setTerms(room.out, lo, dx, d)
	}
	e.product(dy, f, vector.RowMajor(dx, d), hi-lo, packed.out.backward, false)
	sums.scale = e.Vectors.Dot(dy, y)
	e.leave(packed.out, dy)
	for i := range dy {
		dy[i] *= l.Scale[0]
	}
	for t := lo; t < hi; t++ {
		row := dy[(t-lo)*f : (t-lo+1)*f]
		e.dropout.apply(row, layer, t)
		gate, value := h[t*2*f:t*2*f+f], h[t*2*f+f:(t+1)*2*f]
		e.Vectors.GateBackward(room.dh[t*2*f+f:(t+1)*2*f], room.dh[t*2*f:t*2*f+f], row, value, gate)
	}
}
