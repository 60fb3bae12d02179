package train

import (
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// forward takes texts of one length through the blocks. With training it keeps
// what the backward pass needs; the last output is the last of acts.x.
//
//	text [sequences, sequence]
func (e *engine) forward(text []byte, sequence int, training, routed bool) {
	e.reserve(len(text), sequence, training, routed)
	e.embed(text)
	c, a := e.model.Config, &e.acts
	at := func(layer int) int { // where the input of a layer is kept
		if training {
			return layer
		}
		return layer % 2
	}
	for b := range c.Blocks() {
		lo, hi := c.BlockLayers(b)
		r := e.model.Routing[b]
		skips := routed || r != 1
		if skips && !training { // the input would be overwritten
			a.f[b] = append(a.f[b][:0], a.x[at(lo)]...)
		}
		for layer := lo; layer < hi; layer++ {
			kept := 0
			if training {
				kept = layer
			}
			out := a.x[at(layer+1)]
			if training && skips && layer == hi-1 {
				a.f[b] = sized(a.f[b], len(out))
				out = a.f[b]
			}
			if c.Cell == tcn.CellPaper {
				var z []float32
				if training {
					z = a.z[layer]
				}
				e.paperForward(layer, a.x[at(layer)], a.h[kept], z, out)
			} else {
				e.layerForward(layer, a.x[at(layer)], a.h[kept], out)
			}
		}
		x := a.x[at(hi)]
		switch {
		case skips && training:
			e.route(x, a.x[lo], a.f[b], r)
		case skips:
			e.route(x, a.f[b], x, r)
		}
		if c.Boundary == tcn.BF16 {
			e.each(len(text), func(_, lo, hi int, _ *scratch) { e.Kernels.RoundBF16(x[lo*c.DModel : hi*c.DModel]) })
		}
	}
	if !training && c.Layers%2 == 0 {
		a.x[0], a.x[1] = a.x[1], a.x[0]
	}
}

// output is the rows that the last block left.
func (e *engine) output(training bool) []float32 {
	if training {
		return e.acts.x[e.model.Config.Layers]
	}
	return e.acts.x[1]
}

// embed writes the input of the first block.
func (e *engine) embed(text []byte) {
	c, a := e.model.Config, &e.acts
	d := c.DModel
	for t, b := range text {
		row := a.x[0][t*d : (t+1)*d]
		copy(row, e.model.Emb[int(b)*d:])
		if c.MaxPositions > 0 {
			e.Kernels.AddScaled(row, e.model.Pos[t%a.sequence*d:][:d], 1)
		}
		if c.Boundary == tcn.BF16 {
			e.Kernels.RoundBF16(row)
		}
	}
}

// route writes x + r·(F(x) - x).
//
//	out, x, f [rows, d_model]; out may be f
func (e *engine) route(out, x, f []float32, r float32) {
	for i, v := range x {
		out[i] = v + r*(f[i]-v)
	}
}

// layerForward computes one layer: out = x + scale·W_out·gate(conv(a), g) with
// [a, g] = h = W_in·norm(x).
//
//	x, out [rows, d_model]   h [rows, 2·d_ff]
func (e *engine) layerForward(layer int, x, h, out []float32) {
	c, l, packed := e.model.Config, &e.model.Layers[layer], &e.layers[layer]
	d, f := c.DModel, c.DFF
	e.each(e.acts.rows, func(_, lo, hi int, s *scratch) {
		u := s.u[:(hi-lo)*d]
		e.normRows(u, x[lo*d:hi*d], l.Gain)
		e.enter(packed.in, u)
		e.product(h[lo*2*f:], 2*f, vector.RowMajor(u, d), hi-lo, packed.in.forward, false)
		if c.State == tcn.BF16 {
			for t := lo; t < hi; t++ {
				e.Kernels.RoundBF16(h[t*2*f : t*2*f+f])
			}
		}
	})
	e.each(e.acts.rows, func(_, lo, hi int, s *scratch) {
		y, t := s.y[:(hi-lo)*f], s.t[:(hi-lo)*d]
		e.gateRows(layer, lo, hi, h, nil, y, s)
		e.enter(packed.out, y)
		e.product(t, d, vector.RowMajor(y, f), hi-lo, packed.out.forward, false)
		next := out[lo*d : hi*d]
		copy(next, x[lo*d:hi*d])
		e.Kernels.AddScaled(next, t, l.Scale[0])
	})
}

// normRows writes RMSNorm of every row.
func (e *engine) normRows(out, x, gain []float32) {
	d := len(gain)
	for lo := 0; lo < len(x); lo += d {
		e.Kernels.RMSNorm(out[lo:lo+d], x[lo:lo+d], gain, e.model.Config.RMSEps)
	}
}

// gateRows computes rows [lo, hi) of the convolution and the gate, with dropout.
// The convolution's go to conv unless it is nil.
//
//	h [rows, 2·d_ff]   conv, y [hi-lo, d_ff]
func (e *engine) gateRows(layer, lo, hi int, h, conv, y []float32, s *scratch) {
	f := e.model.Config.DFF
	w := e.model.Layers[layer].Conv
	for t := lo; t < hi; t++ {
		i := t - lo
		row := y[i*f : (i+1)*f]
		out := row
		if conv != nil {
			out = conv[i*f : (i+1)*f]
		}
		e.taps(s.taps, layer, t, h, 2*f)
		e.Kernels.Conv(out, s.taps, w)
		e.Vectors.Gate(row, out, h[t*2*f+f:(t+1)*2*f])
		e.dropout.apply(row, layer, t)
	}
}

// taps points at the rows that output row t of a layer's convolution reads: tap
// K-1 is the present row, those before the sequence are zeros.
//
//	from [rows, stride], of which the first numbers of a row count
func (e *engine) taps(taps [][]float32, layer, t int, from []float32, stride int) {
	c := e.model.Config
	width := c.ConvWidth()
	dilation, last := c.Dilation(layer), len(taps)-1
	first := t / e.acts.sequence * e.acts.sequence
	for k := range taps {
		at := t - (last-k)*dilation
		if at < first {
			taps[k] = e.zeros[:width]
			continue
		}
		taps[k] = from[at*stride:][:width]
	}
}

// dropout silences some of the gate's outputs, the same ones in the forward and
// the backward pass, and strengthens the others.
type dropout struct {
	rate float32 // 0: none
	seed uint64  // of this batch
}

// apply multiplies a row by 0 or 1/(1-rate).
func (d dropout) apply(row []float32, layer, t int) {
	if d.rate == 0 {
		return
	}
	keep := 1 / (1 - d.rate)
	below := uint64(d.rate * (1 << 16))
	start := tcn.Hash64(d.seed, uint64(layer)<<40|uint64(t))
	for c := 0; c < len(row); c += 4 {
		bits := tcn.Hash64(start, uint64(c))
		for i := c; i < min(c+4, len(row)); i++ {
			if bits&0xffff < below {
				row[i] = 0
			} else {
				row[i] *= keep
			}
			bits >>= 16
		}
	}
}
