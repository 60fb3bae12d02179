package tcn

import "fmt"

// Validate reports whether v fits a model of config c: [ErrRange] when its
// range is not one of the model's, [ErrShape] when a part is missing or has
// other sizes than the config gives it, [ErrNotFinite] when a gain, scale,
// routing scalar or weight is not finite.
func (v *Variant) Validate(c Config) error {
	if v == nil {
		return fmt.Errorf("%w: no variant", ErrShape)
	}
	if err := checkRange(v.Range, c.All()); err != nil {
		return err
	}
	if len(v.Small) != v.Range.Len() {
		return fmt.Errorf("%w: small parameters of %d blocks, want %d", ErrShape, len(v.Small), v.Range.Len())
	}
	for i, small := range v.Small {
		if err := small.check(c, v.Range.Lo+i); err != nil {
			return fmt.Errorf("block %d: %w", v.Range.Lo+i, err)
		}
	}
	for n, term := range v.Souls {
		if err := term.check(c, v.Range); err != nil {
			return fmt.Errorf("soul %d: %w", n, err)
		}
	}
	return nil
}

func (s *Small) check(c Config, b int) error {
	lo, hi := c.BlockLayers(b)
	if s == nil || len(s.Layers) != hi-lo {
		return fmt.Errorf("%w: want small parameters of %d layers", ErrShape, hi-lo)
	}
	if !finite([]float32{s.Routing}) {
		return fmt.Errorf("%w: routing scalar", ErrNotFinite)
	}
	for i := range s.Layers {
		layer := &s.Layers[i]
		if got := len(layer.NormGain); got != c.DModel {
			return fmt.Errorf("layer %d: %w: %d norm gains, want %d", i, ErrShape, got, c.DModel)
		}
		if !finite(layer.NormGain) || !finite([]float32{layer.Scale}) {
			return fmt.Errorf("layer %d: %w: norm gains or scale", i, ErrNotFinite)
		}
	}
	return nil
}

func (t SoulTerm) check(c Config, r Range) error {
	if !finite([]float32{t.Weight}) {
		return fmt.Errorf("%w: weight", ErrNotFinite)
	}
	if len(t.Slices) != r.Len() {
		return fmt.Errorf("%w: slices of %d blocks, want %d", ErrShape, len(t.Slices), r.Len())
	}
	for i, slice := range t.Slices {
		if slice == nil { // a Soul that leaves this block alone
			continue
		}
		if err := slice.check(c, r.Lo+i); err != nil {
			return fmt.Errorf("block %d: %w", r.Lo+i, err)
		}
	}
	return nil
}

func (s *SoulSlice) check(c Config, b int) error {
	lo, hi := c.BlockLayers(b)
	if len(s.Layers) != hi-lo {
		return fmt.Errorf("%w: slice of %d layers, want %d", ErrShape, len(s.Layers), hi-lo)
	}
	for i, layer := range s.Layers {
		if err := checkPair(layer.InA, layer.InB, c.DModel, 2*c.DFF); err != nil {
			return fmt.Errorf("layer %d lora_in: %w", i, err)
		}
		if err := checkPair(layer.OutA, layer.OutB, c.DFF, c.DModel); err != nil {
			return fmt.Errorf("layer %d lora_out: %w", i, err)
		}
	}
	return nil
}

// checkPair wants A [rank, in] and B [out, rank], or neither.
func checkPair(a, b Matrix, in, out int) error {
	if a == nil && b == nil {
		return nil
	}
	if a == nil || b == nil {
		return fmt.Errorf("%w: one of A and B is missing", ErrShape)
	}
	if rank := a.Rows(); rank < 1 || rank > MaxRank {
		return errRank(rank)
	}
	if a.Cols() != in || b.Rows() != out || a.Rows() != b.Cols() {
		return fmt.Errorf("%w: A [%d, %d] and B [%d, %d], want [rank, %d] and [%d, rank]",
			ErrShape, a.Rows(), a.Cols(), b.Rows(), b.Cols(), in, out)
	}
	return nil
}

func errRank(rank int) error {
	return fmt.Errorf("%w: rank %d outside [1, %d]", ErrShape, rank, MaxRank)
}

// Bytes is the memory the weights of b take: its matrices, as they are stored, and
// the taps of its convolutions.
func (b *Block) Bytes() int64 {
	total := int64(0)
	for i := range b.Layers {
		layer := &b.Layers[i]
		total += layer.In.Bytes() + 4*int64(len(layer.Conv)) + layer.Out.Bytes()
	}
	return total
}

// Validate reports an [ErrShape] unless b has the sizes that c gives block
// number index.
func (b *Block) Validate(c Config, index int) error {
	lo, hi := c.BlockLayers(index)
	if b == nil || len(b.Layers) != hi-lo {
		return fmt.Errorf("block %d: %w: want %d layers", index, ErrShape, hi-lo)
	}
	for i, layer := range b.Layers {
		at := func(name string, m Matrix, rows, cols int) error {
			if m == nil || m.Rows() != rows || m.Cols() != cols {
				return fmt.Errorf("block %d layer %d: %w: %s is not [%d, %d]", index, i, ErrShape, name, rows, cols)
			}
			return nil
		}
		if err := at("W_in", layer.In, 2*c.DFF, c.DModel); err != nil {
			return err
		}
		if err := at("W_out", layer.Out, c.DModel, c.DFF); err != nil {
			return err
		}
		if got, want := len(layer.Conv), c.KernelSize*c.ConvWidth(); got != want {
			return fmt.Errorf("block %d layer %d: %w: conv has %d numbers, want %d", index, i, ErrShape, got, want)
		}
		if !finite(layer.Conv) {
			return fmt.Errorf("block %d layer %d: %w: conv", index, i, ErrNotFinite)
		}
	}
	return nil
}
