package tcn

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Ends is what stands before the first and after the last block: the embedding,
// which is also the head, the learned positions and the final norm. A gateway
// holds it. Ends is immutable and safe for concurrent use.
type Ends struct {
	config  Config
	emb     []float32 // [256, d_model]
	pos     []float32 // [max_positions, d_model]; nil without positions
	normF   []float32 // [d_model]
	kernels *kernel.Set
}

// NewEnds makes the ends of a model of config c. The slices are used in place.
// Errors: [ErrConfig]; [ErrShape] when a slice does not have the numbers given
// here; [ErrNotFinite].
//
//	emb [256, d_model]   pos [max_positions, d_model] or nil   normF [d_model]
func NewEnds(c Config, emb, pos, normF []float32) (*Ends, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name   string
		values []float32
		rows   int
	}{
		{"emb", emb, VocabSize},
		{"pos", pos, c.MaxPositions},
		{"norm_f", normF, 1},
	} {
		if len(part.values) != part.rows*c.DModel {
			return nil, fmt.Errorf("%w: %s has %d numbers, want %d of %d",
				ErrShape, part.name, len(part.values), part.rows, c.DModel)
		}
		if !finite(part.values) {
			return nil, fmt.Errorf("%w: %s", ErrNotFinite, part.name)
		}
	}
	return &Ends{config: c, emb: emb, pos: pos, normF: normF, kernels: kernel.Portable()}, nil
}

// WithCompute returns the same ends computing with c instead of the portable
// kernels. The numbers are the same.
func (e *Ends) WithCompute(c *Compute) *Ends {
	other := *e
	other.kernels = c.Kernels
	return &other
}

// Config is the blueprint the ends belong to.
func (e *Ends) Config() Config { return e.config }

// Embed writes the input row of block 0 for byte b at a position of the text:
// emb[b] + pos[position], rounded to the boundary type. Errors: [ErrPosition]
// for a position below 0, [ErrTooLong] from max_positions on, [ErrShape].
//
//	row [d_model]
func (e *Ends) Embed(position int, b byte, row []float32) error {
	d := e.config.DModel
	switch {
	case len(row) != d:
		return fmt.Errorf("%w: row of %d numbers, want %d", ErrShape, len(row), d)
	case position < 0:
		return fmt.Errorf("%w: %d", ErrPosition, position)
	case e.config.MaxPositions > 0 && position >= e.config.MaxPositions:
		return fmt.Errorf("%w: position %d of %d", ErrTooLong, position, e.config.MaxPositions)
	}
	copy(row, e.emb[int(b)*d:])
	if e.config.MaxPositions > 0 {
		for c, v := range e.pos[position*d : (position+1)*d] {
			row[c] += v
		}
	}
	if e.config.Boundary == BF16 {
		e.kernels.RoundBF16(row)
	}
	return nil
}

// Logits writes the prediction that follows an output row of the last block:
// the final norm, then the product with emb. Errors: [ErrShape]; [ErrNotFinite]
// when the row or a logit is not finite.
//
//	row [d_model]   out [256]
func (e *Ends) Logits(row []float32, out *[VocabSize]float32) error {
	d := e.config.DModel
	if len(row) != d {
		return fmt.Errorf("%w: row of %d numbers, want %d", ErrShape, len(row), d)
	}
	if !finite(row) {
		return fmt.Errorf("%w: output row", ErrNotFinite)
	}
	normed := make([]float32, d)
	e.kernels.RMSNorm(normed, row, e.normF, e.config.RMSEps)
	e.kernels.MatMul(out[:], normed, e.emb, 1, VocabSize, d, 0, VocabSize)
	if !finite(out[:]) {
		return fmt.Errorf("%w: logits", ErrNotFinite)
	}
	return nil
}
