package cuda

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
)

// item is a part that several Variants may share.
type item struct {
	memory device.Pointer
	users  int               // outfits
	gains  []device.Pointer  // of a Small: norm gains of each layer
	terms  [][2]kernels.Term // of a Soul's slice: of W_in and W_out of each layer; rank 0 is none
}

// hold counts one more user of an item, and makes it for the first.
func hold[K comparable](w *wardrobe, items map[K]*item, key K, plan func(K, *arena) (*item, error)) error {
	if made, ok := items[key]; ok {
		made.users++
		return nil
	}
	b := w.stage.backend
	var a arena
	made, err := plan(key, &a)
	if err != nil {
		return err
	}
	if a.bytes > 0 {
		if made.memory, err = b.allocate(a.bytes); err == nil {
			err = a.copyTo(b.dresser, made.memory, nil)
		}
		if err != nil {
			if made.memory != 0 {
				_ = b.device.Free(made.memory) // the first error says more
			}
			return b.typed(err, w.stage.where("what a sequence wears"))
		}
	}
	made.settle()
	made.users = 1
	items[key] = made
	return nil
}

// settle makes the item's addresses real.
func (i *item) settle() {
	for n := range i.gains {
		settle(i.memory, &i.gains[n])
	}
	for n := range i.terms {
		for side := range i.terms[n] {
			t := &i.terms[n][side]
			settle(i.memory, &t.A, &t.AScale, &t.B, &t.BScale)
		}
	}
}

// planSmall lays out the norm gains of a block.
func planSmall(small *tcn.Small, a *arena) (*item, error) {
	made := &item{}
	for i := range small.Layers {
		made.gains = append(made.gains, planned(a.place(bytesOf(small.Layers[i].NormGain))))
	}
	return made, nil
}

// planSlice lays out a Soul's matrices for a block.
func planSlice(slice *tcn.SoulSlice, a *arena) (*item, error) {
	made := &item{terms: make([][2]kernels.Term, len(slice.Layers))}
	for i := range slice.Layers {
		l := &slice.Layers[i]
		for side, pair := range [2][2]tcn.Matrix{{l.InA, l.InB}, {l.OutA, l.OutB}} {
			if pair[0] == nil {
				continue
			}
			if err := planTerm(&made.terms[i][side], pair[0], pair[1], a); err != nil {
				return nil, fmt.Errorf("layer %d: %w", i, err)
			}
		}
	}
	return made, nil
}

// planTerm lays out the low-rank product of down, which reads a row, and up.
func planTerm(t *kernels.Term, down, up tcn.Matrix, a *arena) error {
	x, okX := tcn.StoredOf(down)
	y, okY := tcn.StoredOf(up)
	t.Rank = int32(down.Rows())
	switch {
	case !okX || !okY:
	case x.F32 != nil && y.F32 != nil:
		t.A, t.B = planned(a.place(bytesOf(x.F32))), planned(a.place(bytesOf(y.F32)))
		return nil
	case x.Q8 != nil && y.Q8 != nil:
		t.EightBit = 1
		t.A, t.AScale = planned(a.place(x.Q8.Codes())), planned(a.place(bytesOf(x.Q8.Scale())))
		t.B, t.BScale = planned(a.place(y.Q8.Codes())), planned(a.place(bytesOf(y.Q8.Scale())))
		return nil
	}
	return fmt.Errorf("%w: A and B are neither both float32 nor both 8-bit", ErrForm)
}

// let is the end of hold.
func let[K comparable](d device.Device, items map[K]*item, key K) error {
	i := items[key]
	if i.users--; i.users > 0 {
		return nil
	}
	delete(items, key)
	if i.memory == 0 {
		return nil
	}
	return d.Free(i.memory)
}
