package tcn

import "fmt"

// LayerF32 is the frozen weights of one layer as float32 numbers, row-major, in
// the order of [Layer].
type LayerF32 struct {
	In   []float32 // W_in [2·d_ff, d_model]
	Conv []float32 // [kernel_size, conv width]
	Out  []float32 // W_out [d_model, d_ff]
}

// NewBlockF32 makes block number b of a model of config c. The slices are used
// in place. Errors: [ErrConfig], [ErrRange], [ErrShape], [ErrNotFinite] for a
// conv; matrices are not read.
func NewBlockF32(c Config, b int, layers []LayerF32) (*Block, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkRange(Range{b, b + 1}, c.All()); err != nil {
		return nil, err
	}
	block := &Block{Layers: make([]Layer, len(layers))}
	for i, layer := range layers {
		in, err := NewMatrixF32(2*c.DFF, c.DModel, layer.In)
		if err != nil {
			return nil, fmt.Errorf("block %d layer %d W_in: %w", b, i, err)
		}
		out, err := NewMatrixF32(c.DModel, c.DFF, layer.Out)
		if err != nil {
			return nil, fmt.Errorf("block %d layer %d W_out: %w", b, i, err)
		}
		block.Layers[i] = Layer{In: in, Conv: layer.Conv, Out: out}
	}
	if err := block.Validate(c, b); err != nil {
		return nil, err
	}
	return block, nil
}

// SoulLayerF32 is the low-rank terms of one layer as float32 numbers,
// row-major, in the order of [SoulLayer]. An empty pair adds nothing.
type SoulLayerF32 struct {
	InA, InB   []float32 // A_in [rank, d_model], B_in [2·d_ff, rank]
	OutA, OutB []float32 // A_out [rank, d_ff], B_out [d_model, rank]
}

// NewSoulSliceF32 makes a Soul's slice for block number b of a model of config
// c. The slices are used in place. Errors: [ErrConfig], [ErrRange], [ErrShape].
func NewSoulSliceF32(c Config, b, rank int, layers []SoulLayerF32) (*SoulSlice, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkRange(Range{b, b + 1}, c.All()); err != nil {
		return nil, err
	}
	slice := &SoulSlice{Layers: make([]SoulLayer, len(layers))}
	for i, layer := range layers {
		made := &slice.Layers[i]
		for _, part := range []struct {
			name       string
			matrix     *Matrix
			rows, cols int
			w          []float32
		}{
			{"lora_in.A", &made.InA, rank, c.DModel, layer.InA},
			{"lora_in.B", &made.InB, 2 * c.DFF, rank, layer.InB},
			{"lora_out.A", &made.OutA, rank, c.DFF, layer.OutA},
			{"lora_out.B", &made.OutB, c.DModel, rank, layer.OutB},
		} {
			if len(part.w) == 0 {
				continue
			}
			m, err := NewMatrixF32(part.rows, part.cols, part.w)
			if err != nil {
				return nil, fmt.Errorf("block %d layer %d %s: %w", b, i, part.name, err)
			}
			*part.matrix = m
		}
	}
	if err := slice.check(c, b); err != nil {
		return nil, fmt.Errorf("block %d: %w", b, err)
	}
	return slice, nil
}
