package tcn

import "fmt"

// runBlock takes the shares of s.batch, rows in all, through Fractal Block b.
// With r the routing scalar: x = F(x) when r is 1, else x + r·(F(x) - x); then
// x is rounded to the boundary type.
func (s *cpuStage) runBlock(b, rows int) {
	d := s.config.DModel
	s.room.reserve(s.config, rows)
	for i := range s.batch {
		h := &s.batch[i]
		if h.small(b).Routing != 1 {
			copy(s.room.saved[h.packed*d:], h.x)
		}
	}
	lo, hi := s.config.BlockLayers(b)
	for s.layer = lo; s.layer < hi; s.layer++ {
		if s.config.Cell == CellPaper {
			s.paperLayer(b, s.layer-lo, rows)
		} else {
			s.releaseLayer(b, s.layer-lo, rows)
		}
		s.noteFailures(b, s.layer-lo)
	}
	for i := range s.batch {
		h := &s.batch[i]
		if r := h.small(b).Routing; r != 1 {
			s.route(h, r)
		}
		if s.config.Boundary == BF16 {
			s.kernels.RoundBF16(h.x)
		}
		if !s.kernels.Finite(h.x) {
			h.state.bad.Store(true)
		}
	}
	s.noteFailures(b, hi-lo-1)
}

// route turns F(x) into x + r·(F(x) - x).
func (s *cpuStage) route(h *share, r float32) {
	x := s.room.saved[h.packed*s.config.DModel:][:len(h.x)]
	for c, f := range h.x {
		h.x[c] = f - x[c]
	}
	s.kernels.AddScaled(x, h.x, r)
	copy(h.x, x)
}

// noteFailures names the place where a sequence's numbers ceased to be finite: the
// lowest layer of any row of its Work, so that it does not matter how that is cut.
func (s *cpuStage) noteFailures(b, i int) {
	for n := range s.batch {
		state := s.batch[n].state
		if !state.bad.Load() {
			continue
		}
		state.bad.Store(false)
		lo, _ := s.config.BlockLayers(b)
		if state.failure == nil || lo+i < state.spoilt {
			state.failure = fmt.Errorf("%w: position %d, block %d layer %d", ErrNotFinite, state.position, b, i)
			state.spoilt = lo + i
		}
	}
}

// releaseLayer is layer i of block b in the published inference code:
//
//	u    [rows, d]   u = RMSNorm(x)
//	a, g [rows, f]   [a, g] = W_in u + Σ weight·B_in(A_in u)
//	y    [rows, f]   y = SiLU(conv(a))·σ(g)
//	t    [rows, d]   t = W_out y + Σ weight·B_out(A_out y)
//	x    [rows, d]   x = x + scale·t
//
// It hands work out three or four times: W_in with every A_in; B_in, the
// convolution and the gate, segment by segment; W_out with every A_out; B_out and
// the residual, if there is enough of it.
func (s *cpuStage) releaseLayer(b, i, rows int) {
	d, room, layer := s.config.DModel, &s.room, s.frozen()
	for n := range s.batch {
		h := &s.batch[n]
		gain := h.small(b).Layers[i].NormGain
		for r := range h.count {
			s.kernels.RMSNorm(h.row(room.u, r, d), h.x[r*d:(r+1)*d], gain, s.config.RMSEps)
		}
	}
	s.project(b, i, soulIn, layer.in, room.h, room.u, rows)
	s.shareOut(rows*(1+room.terms.count()), s.config.DFF, s.runConv)
	s.finish(b, i, rows)
}

// paperLayer is layer i of block b as §3.2 of the paper writes it:
//
//	c    [rows, d]   c = conv(x)
//	g, v [rows, f]   [g, v] = W c + Σ weight·B_in(A_in c)
//	y    [rows, f]   y = σ(g)·SiLU(v)
//	t    [rows, d]   t = W_o y + Σ weight·B_out(A_out y)
//	x    [rows, d]   x = RMSNorm(x + scale·t)
func (s *cpuStage) paperLayer(b, i, rows int) {
	d, room, layer := s.config.DModel, &s.room, s.frozen()
	for n := range s.batch {
		h := &s.batch[n]
		copy(room.u[h.packed*d:], h.x) // the conv rounds its input; x stays
	}
	s.shareOut(rows, d, s.runConv)
	s.project(b, i, soulIn, layer.in, room.h, room.c, rows)
	s.shareOut(rows*(1+room.terms.count()), s.config.DFF, s.runGate)
	s.finish(b, i, rows)
	for n := range s.batch {
		h := &s.batch[n]
		gain := h.small(b).Layers[i].NormGain
		for r := range h.count {
			x := h.x[r*d : (r+1)*d]
			s.kernels.RMSNorm(x, x, gain, s.config.RMSEps)
		}
	}
}

// finish is the end of a layer in either cell, up to x + scale·t.
func (s *cpuStage) finish(b, i, rows int) {
	s.project(b, i, soulOut, s.frozen().out, s.room.t, s.room.y, rows)
	s.block, s.layerOfBlock = b, i
	s.shareOut(2*rows*s.room.terms.count(), s.config.DModel, s.runResidual)
}

// residualSegment computes channels [i·segmentChannels, …) of x + scale·t for
// every row of the batch, once the Souls' terms are in t.
func (s *cpuStage) residualSegment(i int) {
	d := s.config.DModel
	lo := i * segmentChannels
	hi := min(lo+segmentChannels, d)
	s.room.terms.add(s.kernels, s.room.t, lo, hi)
	for n := range s.batch {
		h := &s.batch[n]
		scale := h.small(s.block).Layers[s.layerOfBlock].Scale
		for r := range h.count {
			s.kernels.AddScaled(h.x[r*d+lo:r*d+hi], h.row(s.room.t, r, d)[lo:hi], scale)
		}
	}
}

// frozen is the weights of the present layer.
func (s *cpuStage) frozen() *cpuLayer {
	first, _ := s.config.BlockLayers(s.blocks.Lo)
	return &s.layers[s.layer-first]
}

// aloneChannels is how many channels of convolution and gate are computed
// sooner than helpers are at hand.
const aloneChannels = 4 << 10

// shareOut runs a job on every segment of width channels. rows is what a channel
// costs, in rows of convolution and gate.
func (s *cpuStage) shareOut(rows, width int, segment func(i int)) {
	n := (width + segmentChannels - 1) / segmentChannels
	if n == 1 || rows*width <= aloneChannels {
		for i := range n {
			segment(i)
		}
		return
	}
	s.compute.Pool.Run(n, segment)
}

// convSegment computes channels [i·segmentChannels, …) of the convolution for
// every row of the batch, and in the release cell of the Souls' terms before and
// the gate after it.
// Nothing else touches these channels of the rings, so the rows of a sequence
// pass through them one after the other however many come at once.
func (s *cpuStage) convSegment(i int) {
	c, room := &s.config, &s.room
	lo := i * segmentChannels
	hi := min(lo+segmentChannels, c.ConvWidth())
	weights := s.frozen().conv[i]
	if c.Cell == CellRelease {
		room.terms.add(s.kernels, room.h, lo, hi)
		room.terms.add(s.kernels, room.h, c.DFF+lo, c.DFF+hi)
	}
	for n := range s.batch {
		h := &s.batch[n]
		for r := range h.count {
			if c.Cell == CellPaper {
				present := h.row(room.u, r, c.DModel)[lo:hi]
				s.convRow(h, r, i, present, h.row(room.c, r, c.DModel)[lo:hi], weights)
				continue
			}
			both := h.row(room.h, r, 2*c.DFF)
			present, gate := both[lo:hi], both[c.DFF+lo:c.DFF+hi]
			y := h.row(room.y, r, c.DFF)[lo:hi]
			s.convRow(h, r, i, present, y, weights)
			if !s.kernels.Finite(gate) {
				h.state.bad.Store(true)
			}
			s.kernels.Gate(y, y, gate)
		}
	}
}

// convRow rounds and keeps segment i of row r of a share, and convolves it with
// the rows kept before.
//
//	present, out [channels]   weights [kernel_size, channels]
func (s *cpuStage) convRow(h *share, r, i int, present, out, weights []float32) {
	c, room := &s.config, &s.room
	channels, lo, last := len(present), i*segmentChannels, c.KernelSize-1
	first, _ := c.BlockLayers(h.state.sub.Lo)
	ring := &h.state.rings[s.layer-first]
	if !s.kernels.Finite(present) {
		h.state.bad.Store(true)
	}
	if c.State == BF16 {
		s.kernels.RoundBF16(present)
	}
	position := h.position + r
	ring.store(position, lo, present)
	taps := room.taps[i*c.KernelSize : (i+1)*c.KernelSize]
	for k := range last {
		at := position - (last-k)*c.Dilation(s.layer)
		if at < h.state.start {
			taps[k] = room.zero[:channels]
			continue
		}
		var wide []float32
		if c.State == BF16 {
			wide = room.wide[c.KernelSize*lo+k*channels:]
		}
		taps[k] = ring.load(at, lo, channels, wide)
	}
	taps[last] = present
	s.kernels.Conv(out, taps, weights)
}

// gateSegment computes channels [i·segmentChannels, …) of the paper cell's gate
// for every row of the batch, and of the Souls' terms before it.
func (s *cpuStage) gateSegment(i int) {
	f := s.config.DFF
	lo := i * segmentChannels
	hi := min(lo+segmentChannels, f)
	s.room.terms.add(s.kernels, s.room.h, lo, hi)
	s.room.terms.add(s.kernels, s.room.h, f+lo, f+hi)
	for n := range s.batch {
		h := &s.batch[n]
		for r := range h.count {
			both := h.row(s.room.h, r, 2*f)
			gate, value := both[lo:hi], both[f+lo:f+hi]
			if !s.kernels.Finite(gate) || !s.kernels.Finite(value) {
				h.state.bad.Store(true)
			}
			s.kernels.Gate(h.row(s.room.y, r, f)[lo:hi], value, gate)
		}
	}
}
