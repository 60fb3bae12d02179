package cuda

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// Needs is what a stage takes of a device's memory, in bytes.
type Needs struct {
	Weights int64 // each once, however many blocks share it
	Work    int64 // room for one pass, and the rows of the next
	State   int64 // one sequence's state over all blocks
}

// NeedsOf counts what [Backend.Load] of the same arguments would take, with
// o.MaxRows rows of a pass. Errors: [ErrOptions], those of Load that are not the
// device's.
func NeedsOf(c tcn.Config, r tcn.Range, blocks []*tcn.Block, o Options) (Needs, error) {
	o, err := o.complete()
	if err != nil {
		return Needs{}, err
	}
	if err := check(c, r, blocks); err != nil {
		return Needs{}, err
	}
	l, err := newLayout(c, r, blocks)
	if err != nil {
		return Needs{}, err
	}
	w := newWorkspace(c, len(l.layers), o.MaxRows)
	return Needs{Weights: l.weights.bytes, Work: w.bytes, State: l.ring}, nil
}

// check is what the CPU's Load checks, in its words.
func check(c tcn.Config, r tcn.Range, blocks []*tcn.Block) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := checkRange(r, c.All()); err != nil {
		return err
	}
	if len(blocks) != r.Len() {
		return fmt.Errorf("%w: %d blocks for [%d, %d)", tcn.ErrShape, len(blocks), r.Lo, r.Hi)
	}
	for i, block := range blocks {
		if err := block.Validate(c, r.Lo+i); err != nil {
			return err
		}
	}
	return nil
}

// checkRange reports an ErrRange unless r is a range of at least one block within
// outer.
func checkRange(r, outer tcn.Range) error {
	if r.Lo >= r.Hi || !outer.Contains(r) {
		return fmt.Errorf("%w: [%d, %d) in [%d, %d)", tcn.ErrRange, r.Lo, r.Hi, outer.Lo, outer.Hi)
	}
	return nil
}
