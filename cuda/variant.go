package cuda

import (
	"errors"
	"fmt"
	"sync"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
)

// wardrobe is what the sequences of a stage wear, on the device: every Variant
// once, and what several Variants share once. It is used under the Backend's lock,
// but for change.
type wardrobe struct {
	stage   *stage
	outfits map[*tcn.Variant]*outfit
	smalls  map[*tcn.Small]*item
	slices  map[*tcn.SoulSlice]*item

	mu    sync.Mutex // uses and idle of outfits, and clock
	clock uint64
}

// outfit is a Variant on the device.
type outfit struct {
	variant *tcn.Variant
	memory  device.Pointer // kernels.VariantLayer of each layer of the stage, then terms
	smalls  []*tcn.Small   // whose items it holds
	slices  []*tcn.SoulSlice

	terms int  // of one product at most
	rank  int  // of one term at most
	eight bool // some of them are 8-bit

	active blockSet // blocks that are not skipped
	half   blockSet // of these, the ones whose r is not 1

	uses int    // states that wear it
	idle uint64 // when the last of them let go
}

// wear makes v what a state wears. Errors: [ErrForm], [tcn.ErrNoRoom], those of the
// device.
func (w *wardrobe) wear(s *state, v *tcn.Variant) error {
	if s.outfit != nil && s.outfit.variant == v {
		return nil
	}
	o, ok := w.outfits[v]
	if !ok {
		var err error
		if o, err = w.make(v); err != nil {
			return err
		}
	}
	w.change(s, o)
	return nil
}

// change hands a state another outfit, or none. It may be called at any time.
func (w *wardrobe) change(s *state, to *outfit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.outfit != nil {
		s.outfit.uses--
		w.clock++
		s.outfit.idle = w.clock
	}
	if s.outfit = to; to != nil {
		to.uses++
	}
}

// make copies a Variant to the device.
func (w *wardrobe) make(v *tcn.Variant) (*outfit, error) {
	if w.outfits == nil {
		w.outfits, w.smalls, w.slices = map[*tcn.Variant]*outfit{}, map[*tcn.Small]*item{}, map[*tcn.SoulSlice]*item{}
	}
	w.dropIdle(maxIdle - 1)
	o := &outfit{variant: v}
	err := w.collect(o)
	if err == nil {
		err = w.table(o)
	}
	if err != nil {
		_ = w.drop(o) // the first error says more
		return nil, err
	}
	w.outfits[v] = o
	return o, nil
}

// blocks is the blocks of a Variant that the stage holds.
func (w *wardrobe) blocks(v *tcn.Variant) tcn.Range {
	held := w.stage.blocks
	return tcn.Range{Lo: max(v.Range.Lo, held.Lo), Hi: min(v.Range.Hi, held.Hi)}
}

// collect readies the parts of an outfit.
func (w *wardrobe) collect(o *outfit) error {
	v, s := o.variant, w.stage
	r := w.blocks(v)
	for b := r.Lo; b < r.Hi; b++ {
		small := v.Small[b-v.Range.Lo]
		if small.Routing != 0 {
			o.active |= s.blockSet(b-s.blocks.Lo, b-s.blocks.Lo+1)
			if small.Routing != 1 {
				o.half |= s.blockSet(b-s.blocks.Lo, b-s.blocks.Lo+1)
			}
		}
		if err := hold(w, w.smalls, small, planSmall); err != nil {
			return fmt.Errorf("small parameters of block %d: %w", b, err)
		}
		o.smalls = append(o.smalls, small)
		for n := range v.Souls {
			slice := v.Souls[n].Slices[b-v.Range.Lo]
			if slice == nil {
				continue
			}
			if err := hold(w, w.slices, slice, planSlice); err != nil {
				return fmt.Errorf("soul %d, block %d: %w", n, b, err)
			}
			o.slices = append(o.slices, slice)
		}
	}
	return nil
}

// table makes the table that kernels find everything of an outfit by.
func (w *wardrobe) table(o *outfit) error {
	s, b, v := w.stage, w.stage.backend, o.variant
	layers := make([]kernels.VariantLayer, len(s.layout.layers))
	var terms []kernels.Term
	r, inBlock, previous := w.blocks(v), 0, -1
	for i := range layers {
		block := s.blocks.Lo + s.layout.layers[i].block
		if inBlock++; block != previous {
			inBlock, previous = 0, block
		}
		if block < r.Lo || block >= r.Hi {
			continue
		}
		small := v.Small[block-v.Range.Lo]
		made := &layers[i]
		made.Gain = w.smalls[small].gains[inBlock]
		made.Scale, made.Routing = small.Layers[inBlock].Scale, small.Routing
		for side, to := range [2]struct {
			at    *device.Pointer
			count *int32
		}{{&made.In, &made.InCount}, {&made.Out, &made.OutCount}} {
			first := len(terms)
			terms = w.termsOf(o, terms, block, inBlock, side)
			if n := len(terms) - first; n > 0 {
				*to.at, *to.count = planned(int64(first)*termBytes), int32(n)
				o.terms = max(o.terms, n)
			}
		}
	}
	return b.typed(o.write(b, layers, terms), s.where("what a sequence wears"))
}

// termBytes is the size of a [kernels.Term].
const termBytes = 48

// termsOf appends the terms of one product of a layer, in the order of the Souls.
func (w *wardrobe) termsOf(o *outfit, terms []kernels.Term, block, inBlock, side int) []kernels.Term {
	for n := range o.variant.Souls {
		soul := &o.variant.Souls[n]
		slice := soul.Slices[block-o.variant.Range.Lo]
		if slice == nil {
			continue
		}
		t := w.slices[slice].terms[inBlock][side]
		if t.Rank == 0 {
			continue
		}
		t.Weight = soul.Weight
		o.rank, o.eight = max(o.rank, int(t.Rank)), o.eight || t.EightBit != 0
		terms = append(terms, t)
	}
	return terms
}

// write takes the memory of the table and copies it in.
func (o *outfit) write(b *Backend, layers []kernels.VariantLayer, terms []kernels.Term) (err error) {
	var a arena
	a.place(bytesOf(layers))
	first := device.Pointer(a.bytes) // of the terms
	if len(terms) > 0 {
		a.place(bytesOf(terms))
	}
	if o.memory, err = b.allocate(a.bytes); err != nil {
		return err
	}
	for i := range layers {
		settle(o.memory+first, &layers[i].In, &layers[i].Out)
	}
	return a.copyTo(b.dresser, o.memory, nil)
}

// dropIdle gives back outfits that no state wears, the ones idle for longest first,
// until at most keep are left. It reports whether it dropped any.
func (w *wardrobe) dropIdle(keep int) bool {
	dropped := false
	for {
		var oldest *outfit
		idle := 0
		w.mu.Lock()
		for _, o := range w.outfits {
			if o.uses > 0 {
				continue
			}
			idle++
			if oldest == nil || o.idle < oldest.idle {
				oldest = o
			}
		}
		w.mu.Unlock()
		if idle <= keep {
			return dropped
		}
		if err := w.drop(oldest); err != nil {
			_ = w.stage.backend.typed(err, w.stage.where("memory of what no sequence wears")) // noted, if fatal
		}
		dropped = true
	}
}

// drop gives back the memory of an outfit and its part of what it shares.
func (w *wardrobe) drop(o *outfit) error {
	delete(w.outfits, o.variant)
	d := w.stage.backend.device
	var errs []error
	if o.memory != 0 {
		errs = append(errs, d.Free(o.memory))
	}
	for _, small := range o.smalls {
		errs = append(errs, let(d, w.smalls, small))
	}
	for _, slice := range o.slices {
		errs = append(errs, let(d, w.slices, slice))
	}
	return errors.Join(errs...)
}

// end gives back everything.
func (w *wardrobe) end() error {
	var errs []error
	for _, o := range w.outfits {
		errs = append(errs, w.drop(o))
	}
	return errors.Join(errs...)
}
