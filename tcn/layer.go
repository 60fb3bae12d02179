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
		if !finite(h.x) {
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

// noteFailures names the place where a sequence's numbers ceased to be finite.
func (s *cpuStage) noteFailures(b, i int) {
	for n := range s.batch {
		if state := s.batch[n].state; state.bad.Load() && state.failure == nil {
			state.failure = fmt.Errorf("%w: position %d, block %d layer %d", ErrNotFinite, state.position, b, i)
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
func (s *cpuStage) releaseLayer(b, i, rows int) {
	d, room, layer := s.config.DModel, &s.room, s.frozen()
	for n := range s.batch {
		h := &s.batch[n]
		gain := h.small(b).Layers[i].NormGain
		for r := range h.count {
			s.kernels.RMSNorm(h.row(room.u, r, d), h.x[r*d:(r+1)*d], gain, s.config.RMSEps)
		}
	}
	layer.in.Multiply(s.compute, room.h, room.u, rows)
	s.addSouls(b, i, soulIn, room.h, room.u)
	s.shareOut(rows, s.config.DFF, s.runConv)
	layer.out.Multiply(s.compute, room.t, room.y, rows)
	s.addSouls(b, i, soulOut, room.t, room.y)
	for n := range s.batch {
		h := &s.batch[n]
		s.kernels.AddScaled(h.x, room.t[h.packed*d:][:len(h.x)], h.small(b).Layers[i].Scale)
	}
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
	layer.in.Multiply(s.compute, room.h, room.c, rows)
	s.addSouls(b, i, soulIn, room.h, room.c)
	s.shareOut(rows, s.config.DFF, s.runGate)
	layer.out.Multiply(s.compute, room.t, room.y, rows)
	s.addSouls(b, i, soulOut, room.t, room.y)
	for n := range s.batch {
		h := &s.batch[n]
		small := &h.small(b).Layers[i]
		s.kernels.AddScaled(h.x, room.t[h.packed*d:][:len(h.x)], small.Scale)
		for r := range h.count {
			x := h.x[r*d : (r+1)*d]
			s.kernels.RMSNorm(x, x, small.NormGain, s.config.RMSEps)
		}
	}
}

// frozen is the weights of the present layer.
func (s *cpuStage) frozen() *cpuLayer {
	first, _ := s.config.BlockLayers(s.blocks.Lo)
	return &s.layers[s.layer-first]
}

// The two products of a layer that a Soul adds to.
func soulIn(l *SoulLayer) (a, b Matrix)  { return l.InA, l.InB }
func soulOut(l *SoulLayer) (a, b Matrix) { return l.OutA, l.OutB }

// addSouls adds weight·B(A u) to t for every Soul of every Variant in turn.
//
//	t [rows, outputs]   u [rows, inputs]
func (s *cpuStage) addSouls(b, i int, pair func(*SoulLayer) (a, b Matrix), t, u []float32) {
	for first := 0; first < len(s.batch); {
		variant, lo := s.batch[first].variant, s.batch[first].packed
		hi := lo
		for first < len(s.batch) && s.batch[first].variant == variant {
			hi += s.batch[first].count
			first++
		}
		for n := range variant.Souls {
			slice := variant.Souls[n].Slices[b-variant.Range.Lo]
			if slice == nil {
				continue
			}
			down, up := pair(&slice.Layers[i])
			if down == nil {
				continue
			}
			room, rows, outputs := &s.room, hi-lo, up.Rows()
			room.low = grown(room.low, rows*down.Rows())
			room.term = grown(room.term, rows*outputs)
			down.Multiply(s.compute, room.low, u[lo*down.Cols():hi*down.Cols()], rows)
			up.Multiply(s.compute, room.term, room.low, rows)
			s.kernels.AddScaled(t[lo*outputs:hi*outputs], room.term, variant.Souls[n].Weight)
		}
	}
}

// aloneChannels is how many channels of convolution and gate are computed
// sooner than helpers are woken.
const aloneChannels = 4 << 10

// shareOut runs a job on every segment of width channels, over all rows.
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
// every row of the batch, and in the release cell of the gate that follows it.
// Nothing else touches these channels of the rings, so the rows of a sequence
// pass through them one after the other however many come at once.
func (s *cpuStage) convSegment(i int) {
	c, room := &s.config, &s.room
	lo := i * segmentChannels
	hi := min(lo+segmentChannels, c.ConvWidth())
	weights := s.frozen().conv[i]
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
			if !finite(gate) {
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
	if !finite(present) {
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
// for every row of the batch.
func (s *cpuStage) gateSegment(i int) {
	f := s.config.DFF
	lo := i * segmentChannels
	hi := min(lo+segmentChannels, f)
	for n := range s.batch {
		h := &s.batch[n]
		for r := range h.count {
			both := h.row(s.room.h, r, 2*f)
			gate, value := both[lo:hi], both[f+lo:f+hi]
			if !finite(gate) || !finite(value) {
				h.state.bad.Store(true)
			}
			s.kernels.Gate(h.row(s.room.y, r, f)[lo:hi], value, gate)
		}
	}
}
