package tcn

import (
	"math"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// SeededLayersQ2 makes the weights of block number b with 2-bit matrices; see
// [SeededLayerQ2].
func SeededLayersQ2(c Config, seed uint64, b int) ([]LayerQ2, error) {
	lo, hi := c.BlockLayers(b)
	layers := make([]LayerQ2, hi-lo)
	for i := range layers {
		var err error
		if layers[i], err = SeededLayerQ2(c, seed, lo+i); err != nil {
			return nil, err
		}
	}
	return layers, nil
}

// SeededLayerQ2 makes the weights of a layer, counted from the start of the
// model, with 2-bit matrices: codes and signs drawn evenly, one scale for a whole
// matrix, under which rows keep the size that [SeededLayers] gives them. c must
// be valid and layer one of its. Errors: those of package quant, which a valid
// config does not cause.
func SeededLayerQ2(c Config, seed uint64, layer int) (LayerQ2, error) {
	d, f := float64(c.DModel), float64(c.DFF)
	in, err := seededQ2(seed, seedInCodes, layer, 2*c.DFF, c.DModel, 0, 1.5/math.Sqrt(d))
	if err != nil {
		return LayerQ2{}, err
	}
	out, err := seededQ2(seed, seedOutCodes, layer, c.DModel, c.DFF, 1, 3/math.Sqrt(f)) // leaves dimension 0 alone
	if err != nil {
		return LayerQ2{}, err
	}
	return LayerQ2{
		In:   in,
		Conv: seeded(seed, seedConv, layer, c.KernelSize*c.ConvWidth(), 0, 1.5/math.Sqrt(float64(c.KernelSize))),
		Out:  out,
	}, nil
}

// seededQ2 makes a matrix of codes of a purpose and signs of the next one. The
// first silent rows have the scale 0; the others act like rows of numbers of a
// deviation: the levels' is √5, and the rotation lengthens a row by √block.
func seededQ2(seed uint64, purpose, layer, rows, cols, silent int, deviation float64) (*quant.Q2, error) {
	signs := seededBits(seed, purpose+1, layer, cols)
	m, err := quant.MakeQ2(rows, cols, signs)
	if err != nil {
		return nil, err
	}
	scale := float32(deviation / math.Sqrt(5*float64(kernel.HadamardBlock(cols))))
	start := Hash64(Hash64(seed, uint64(purpose)), uint64(layer))
	codes := make([]byte, cols)
	for r := range rows {
		first := Hash64(start, uint64(r))
		for c := range codes {
			if c%32 == 0 && c > 0 {
				first = Hash64(first, uint64(c))
			}
			codes[c] = byte(first >> (c % 32 * 2) & 3)
		}
		rowScale := scale
		if r < silent {
			rowScale = 0
		}
		if err := m.SetRow(r, codes, rowScale); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// seededBits packs n evenly drawn bits.
func seededBits(seed uint64, purpose, layer, n int) []byte {
	start := Hash64(Hash64(seed, uint64(purpose)), uint64(layer))
	packed := make([]byte, (n+7)/8)
	for i := range packed {
		packed[i] = byte(Hash64(start, uint64(i)))
	}
	if used := n % 8; used != 0 {
		packed[len(packed)-1] &= 1<<used - 1
	}
	return packed
}
