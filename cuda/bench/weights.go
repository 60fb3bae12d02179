package bench

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// seed of all that is random here.
const seed = 1

// line is the bytes by which one matrix begins after another, and the alignment
// of each.
const line = 64

// pool is random bytes, or equal scales, that matrices share: each has its own
// place in it, so that a backend takes it for a matrix of its own.
type pool[T any] struct {
	items []T
	step  int // items between two places
	next  int // where the next place begins
}

// newPool makes a pool of places whose longest has so many items.
func newPool[T any](longest, places int) *pool[T] {
	var item T
	step := line / int(unsafe.Sizeof(item))
	return &pool[T]{items: make([]T, longest+step*places), step: step}
}

// take is the next n items.
func (p *pool[T]) take(n int) []T {
	at := p.next
	p.next += p.step
	return p.items[at : at+n : at+n]
}

// fillRandom fills memory with random bits. Its length is a multiple of 8.
func fillRandom(memory []byte) {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/8)
	bits := uint64(seed)
	for i := range words { // xorshift: any codes will do, but all kinds of them
		bits ^= bits << 13
		bits ^= bits >> 7
		bits ^= bits << 17
		words[i] = bits
	}
}

// weights is a model of random weights: as many layers and Souls as its config
// and maker say, in little host memory.
type weights struct {
	config tcn.Config
	blocks []*tcn.Block
	souls  []tcn.SoulTerm // each over all blocks
}

// checkConfig wants a model of 2-bit matrices whose widths are whole groups.
func checkConfig(c tcn.Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Cell != tcn.CellRelease || c.Weights != tcn.WeightsQ2 || c.DModel%group != 0 || c.DFF%group != 0 {
		return fmt.Errorf("%w: %s cell, weights %q, widths %d and %d: want the release cell in 2-bit weights, widths of multiples of %d",
			ErrOptions, c.Cell, c.Weights, c.DModel, c.DFF, group)
	}
	return nil
}

// newWeights makes the blocks of c, under scales that keep rows near unit size as
// seeded models do, and Souls of 8-bit rows.
func newWeights(c tcn.Config, souls, rank int) (*weights, error) {
	d, f := c.DModel, c.DFF
	codes := newPool[byte](max(kernel.GroupBytesQ2*(2*f/group)*(d/group), line), 4*c.Layers)
	fillRandom(codes.items)
	in := scales(2*f, c.Layers, 1.5/math.Sqrt(float64(d)), d)
	out := scales(d, c.Layers, 3/math.Sqrt(float64(f)), f)
	conv := newPool[float32](c.KernelSize*f, c.Layers)
	for i := range conv.items {
		conv.items[i] = float32(1.5 * math.Sqrt(3/float64(c.KernelSize)) * (2*float64(tcn.Uniform(seed, i)) - 1))
	}
	matrix := func(rows, cols int, scale *pool[float32]) (*quant.Q2, error) {
		return quant.NewQ2(rows, cols, codes.take(rows*cols/4), scale.take(rows), codes.take(cols/8))
	}
	w := &weights{config: c}
	for b := range c.Blocks() {
		lo, hi := c.BlockLayers(b)
		layers := make([]tcn.LayerQ2, hi-lo)
		for i := range layers {
			var err error
			layers[i].Conv = conv.take(c.KernelSize * f)
			if layers[i].In, err = matrix(2*f, d, in); err != nil {
				return nil, err
			}
			if layers[i].Out, err = matrix(d, f, out); err != nil {
				return nil, err
			}
		}
		block, err := tcn.NewBlockQ2(c, b, layers)
		if err != nil {
			return nil, err
		}
		w.blocks = append(w.blocks, block)
	}
	return w, w.addSouls(souls, rank)
}

// scales are those of matrices of 2-bit weights that act like numbers of a
// deviation: the levels' is √5, and the rotation lengthens a row by √block.
func scales(rows, matrices int, deviation float64, cols int) *pool[float32] {
	p := newPool[float32](rows, matrices)
	for i := range p.items {
		p.items[i] = float32(deviation / math.Sqrt(5*float64(kernel.HadamardBlock(cols))))
	}
	return p
}

// addSouls makes Souls of 8-bit rows.
func (w *weights) addSouls(souls, rank int) error {
	if souls == 0 {
		return nil
	}
	c := w.config
	d, f, places := c.DModel, c.DFF, 4*souls*c.Layers
	codes := newPool[byte](rank*max(2*f, d), places)
	fillRandom(codes.items)
	for i, b := range codes.items {
		if b == 0x80 { // -128 is no weight
			codes.items[i] = 0x81
		}
	}
	scale := newPool[float32](max(2*f, d, rank), places)
	for i := range scale.items { // results of a tenth of the frozen products'
		scale.items[i] = float32(0.1 / (73 * math.Sqrt(float64(max(d, f)))))
	}
	matrix := func(rows, cols int) (*quant.Q8, error) {
		return quant.NewQ8(rows, cols, codes.take(rows*cols), scale.take(rows))
	}
	for range souls {
		term := tcn.SoulTerm{Weight: 1}
		for b := range c.Blocks() {
			lo, hi := c.BlockLayers(b)
			layers := make([]tcn.SoulLayerQ8, hi-lo)
			for i := range layers {
				for _, part := range []struct {
					to         **quant.Q8
					rows, cols int
				}{
					{&layers[i].InA, rank, d}, {&layers[i].InB, 2 * f, rank},
					{&layers[i].OutA, rank, f}, {&layers[i].OutB, d, rank},
				} {
					var err error
					if *part.to, err = matrix(part.rows, part.cols); err != nil {
						return err
					}
				}
			}
			slice, err := tcn.NewSoulSliceQ8(c, b, rank, layers)
			if err != nil {
				return err
			}
			term.Slices = append(term.Slices, slice)
		}
		w.souls = append(w.souls, term)
	}
	return nil
}

// variants are what sequences wear: one with each Soul, or one without.
func (w *weights) variants() []*tcn.Variant {
	all := w.config.All()
	var small []*tcn.Small
	for b := range all.Hi {
		small = append(small, tcn.SeededSmall(w.config, seed, b))
	}
	if len(w.souls) == 0 {
		return []*tcn.Variant{{Range: all, Small: small}}
	}
	var list []*tcn.Variant
	for _, term := range w.souls {
		list = append(list, &tcn.Variant{Range: all, Small: small, Souls: []tcn.SoulTerm{term}})
	}
	return list
}

// rowsOf is input rows [rows, width]: numbers that either boundary type holds
// exactly.
func rowsOf(rows, width int) []float32 {
	x := make([]float32, rows*width)
	for i := range x {
		x[i] = float32(int8(tcn.Hash64(seed, uint64(i)))) / 64
	}
	return x
}
