package tcn

import "math"

// Seeded models: random weights that a config and a seed determine to the bit,
// made block by block. They are what a new model starts from and what tests and
// self-checks compute with. The deviations keep every row near unit size, so
// that a model of any depth is finite and lively; text is mostly printable,
// because dimension 0 of the residual stream carries nothing but "the last byte
// was printable" and the head reads it (see [SeededEnds]).

// What a stream of seeded numbers is for; part of its seed.
const (
	seedIn = iota
	seedConv
	seedOut
	seedGain
	seedEmb
	seedPos
	seedNormF
	seedInA
	seedInB
	seedOutA
	seedOutB
	seedInCodes
	seedInSigns
	seedOutCodes
	seedOutSigns
)

// seeded returns n numbers evenly spread over mean ± √3·deviation. The stream
// is Hash64 counted from 0, started at a hash of (seed, purpose, layer).
func seeded(seed uint64, purpose, layer, n int, mean, deviation float64) []float32 {
	start := Hash64(Hash64(seed, uint64(purpose)), uint64(layer))
	half := float32(deviation * math.Sqrt(3))
	values := make([]float32, n)
	for i := range values {
		signed := float32(int32(Hash64(start, uint64(i))>>40)-1<<23) * (1.0 / (1 << 23)) // [-1, 1), exact
		values[i] = float32(signed*half) + float32(mean)
	}
	return values
}

// SeededLayers makes the weights of block number b. c must be valid and b one
// of its blocks.
func SeededLayers(c Config, seed uint64, b int) []LayerF32 {
	d, f := float64(c.DModel), float64(c.DFF)
	lo, hi := c.BlockLayers(b)
	layers := make([]LayerF32, 0, hi-lo)
	for layer := lo; layer < hi; layer++ {
		l := LayerF32{
			In:   seeded(seed, seedIn, layer, 2*c.DFF*c.DModel, 0, 1.5/math.Sqrt(d)),
			Conv: seeded(seed, seedConv, layer, c.KernelSize*c.ConvWidth(), 0, 1.5/math.Sqrt(float64(c.KernelSize))),
			Out:  seeded(seed, seedOut, layer, c.DModel*c.DFF, 0, 3/math.Sqrt(f)),
		}
		clear(l.Out[:c.DFF]) // leaves dimension 0 alone
		layers = append(layers, l)
	}
	return layers
}

// SeededBlock is [SeededLayers], or [SeededLayersQ2] if c says so, as a Block.
// Errors: [ErrConfig], [ErrRange].
func SeededBlock(c Config, seed uint64, b int) (*Block, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkRange(Range{b, b + 1}, c.All()); err != nil {
		return nil, err
	}
	if c.Weights == WeightsQ2 {
		layers, err := SeededLayersQ2(c, seed, b)
		if err != nil {
			return nil, err
		}
		return NewBlockQ2(c, b, layers)
	}
	return NewBlockF32(c, b, SeededLayers(c, seed, b))
}

// SeededSmall makes the small parameters of block number b: gains near 1, scale
// 1, routing 1. c must be valid and b one of its blocks.
func SeededSmall(c Config, seed uint64, b int) *Small {
	lo, hi := c.BlockLayers(b)
	small := &Small{Routing: 1}
	for layer := lo; layer < hi; layer++ {
		gain := seeded(seed, seedGain, layer, c.DModel, 1, 0.1)
		gain[0] = 1
		if c.Cell == CellPaper {
			gain[0] = 2 // makes up for the norms of the residual, which shrink it
		}
		small.Layers = append(small.Layers, SmallLayer{NormGain: gain, Scale: 1})
	}
	return small
}

// SeededEnds makes the ends. Dimension 0 of emb is larger for the printable
// bytes of ASCII and newline; the final norm makes it the loudest, so that they
// are the likeliest to follow. c must be valid.
//
//	emb [256, d_model]   pos [max_positions, d_model], nil for 0   normF [d_model]
func SeededEnds(c Config, seed uint64) (emb, pos, normF []float32) {
	d := c.DModel
	spread := 1 / math.Sqrt(float64(d))
	emb = seeded(seed, seedEmb, 0, VocabSize*d, 0, spread)
	for b := range VocabSize {
		emb[b*d] = 0.125
		if b == '\n' || b >= ' ' && b <= '~' {
			emb[b*d] = 0.5
		}
	}
	if c.MaxPositions > 0 {
		pos = seeded(seed, seedPos, 0, c.MaxPositions*d, 0, spread/8)
		for p := range c.MaxPositions {
			pos[p*d] = 0
		}
	}
	normF = seeded(seed, seedNormF, 0, d, 2, 0.1)
	normF[0] = 1000
	return emb, pos, normF
}

// SeededSoulLayers makes a Soul's terms of a rank for block number b. c must be
// valid, b one of its blocks and rank at least 1.
func SeededSoulLayers(c Config, seed uint64, b, rank int) []SoulLayerF32 {
	d, f, r := math.Sqrt(float64(c.DModel)), math.Sqrt(float64(c.DFF)), math.Sqrt(float64(rank))
	lo, hi := c.BlockLayers(b)
	layers := make([]SoulLayerF32, 0, hi-lo)
	for layer := lo; layer < hi; layer++ {
		l := SoulLayerF32{
			InA:  seeded(seed, seedInA, layer, rank*c.DModel, 0, 1/d),
			InB:  seeded(seed, seedInB, layer, 2*c.DFF*rank, 0, 0.5/r),
			OutA: seeded(seed, seedOutA, layer, rank*c.DFF, 0, 1/f),
			OutB: seeded(seed, seedOutB, layer, c.DModel*rank, 0, 0.5/r),
		}
		clear(l.OutB[:rank])
		layers = append(layers, l)
	}
	return layers
}

// SeededSoulSlice is [SeededSoulLayers] as a slice. Errors: [ErrConfig],
// [ErrRange], [ErrShape] for a rank outside [1, MaxRank].
func SeededSoulSlice(c Config, seed uint64, b, rank int) (*SoulSlice, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkRange(Range{b, b + 1}, c.All()); err != nil {
		return nil, err
	}
	if rank < 1 || rank > MaxRank {
		return nil, errRank(rank)
	}
	return NewSoulSliceF32(c, b, rank, SeededSoulLayers(c, seed, b, rank))
}
