package tcn

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/quant"
)

// SoulLayerQ8 is the low-rank terms of one layer as 8-bit matrices, in the order
// of [SoulLayer]. A pair of nil adds nothing.
type SoulLayerQ8 struct {
	InA, InB   *quant.Q8 // A_in [rank, d_model], B_in [2·d_ff, rank]
	OutA, OutB *quant.Q8 // A_out [rank, d_ff], B_out [d_model, rank]
}

// NewSoulSliceQ8 makes a Soul's slice for block number b of a model of config c.
// The matrices are used in place. What A reads is the row before rotation, turned
// into int8 numbers of its own scale; what A gives is turned into int8 numbers
// again for B. Errors: [ErrConfig], [ErrRange], [ErrShape].
func NewSoulSliceQ8(c Config, b, rank int, layers []SoulLayerQ8) (*SoulSlice, error) {
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
			name   string
			matrix *Matrix
			w      *quant.Q8
			rank   func(*quant.Q8) int
		}{
			{"lora_in.A", &made.InA, layer.InA, (*quant.Q8).Rows},
			{"lora_in.B", &made.InB, layer.InB, (*quant.Q8).Cols},
			{"lora_out.A", &made.OutA, layer.OutA, (*quant.Q8).Rows},
			{"lora_out.B", &made.OutB, layer.OutB, (*quant.Q8).Cols},
		} {
			if part.w == nil {
				continue
			}
			if got := part.rank(part.w); got != rank {
				return nil, fmt.Errorf("block %d layer %d %s: %w: rank %d, want %d", b, i, part.name, ErrShape, got, rank)
			}
			*part.matrix = NewMatrixQ8(part.w)
		}
	}
	if err := slice.check(c, b); err != nil {
		return nil, fmt.Errorf("block %d: %w", b, err)
	}
	return slice, nil
}
