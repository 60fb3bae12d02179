package tcn

import (
	"errors"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// generator writes text with a seeded model of one stage.
type generator struct {
	stage   Stage
	variant *Variant
	ends    *Ends
	state   State
}

func newGenerator(t testing.TB, b Backend, c Config, seed uint64) *generator {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var blocks []*Block
	g := &generator{variant: &Variant{Range: c.All()}}
	for n := range c.Blocks() {
		block, err := SeededBlock(c, seed, n)
		check(err)
		blocks = append(blocks, block)
		g.variant.Small = append(g.variant.Small, SeededSmall(c, seed, n))
	}
	emb, pos, normF := SeededEnds(c, seed)
	var err error
	g.ends, err = NewEnds(c, emb, pos, normF)
	check(err)
	g.stage, err = b.Load(c, c.All(), blocks)
	check(err)
	g.state, err = g.stage.NewState(c.All(), 0)
	check(err)
	return g
}

// write returns n bytes drawn after a prompt.
func (g *generator) write(t testing.TB, prompt []byte, n int, s Sampling) []byte {
	t.Helper()
	text := slices.Clone(prompt)
	row := make([]float32, g.stage.Config().DModel)
	var logits [256]float32
	for len(text) < len(prompt)+n {
		p := g.state.Position()
		if err := g.ends.Embed(p, text[p], row); err != nil {
			t.Fatal(err)
		}
		w := &Work{State: g.state, Variant: g.variant, Rows: Rows{Position: p, Count: 1, Data: row}}
		if err := errors.Join(g.stage.Step([]*Work{w}), w.Err); err != nil {
			t.Fatal(err)
		}
		if p == len(text)-1 {
			if err := g.ends.Logits(row, &logits); err != nil {
				t.Fatal(err)
			}
			text = append(text, s.Next(p+1, &logits))
		}
	}
	return text[len(prompt):]
}

// TestLongTextKeepsItsState: after 100,000 rows the state has the bytes it began
// with and a Step allocates nothing, for either number type.
func TestLongTextKeepsItsState(t *testing.T) {
	for _, number := range []Number{F32, BF16} {
		c := smallConfig(CellRelease)
		c.DModel, c.DFF, c.Layers, c.State = 4, 6, 2, number
		g := newGenerator(t, NewCPU(nil), c, 3)
		rows, chunk := 100_000, 50
		if testing.Short() {
			rows = 10_000
		}
		before := g.state.Bytes()
		if want := c.StateBytes(c.All()); before != want {
			t.Errorf("%s: state of %d bytes, config says %d", number, before, want)
		}
		data := seeded(1, 0, 0, chunk*c.DModel, 0, 1)
		w := &Work{State: g.state, Variant: g.variant, Rows: Rows{Count: chunk, Data: slices.Clone(data)}}
		works := []*Work{w}
		allocations := testing.AllocsPerRun(rows/chunk-1, func() {
			copy(w.Rows.Data, data)
			w.Rows.Position = g.state.Position()
			if err := errors.Join(g.stage.Step(works), w.Err); err != nil {
				t.Fatal(err)
			}
		})
		if g.state.Position() != rows || g.state.Bytes() != before {
			t.Errorf("%s: at %d the state has %d bytes, at 0 it had %d", number, g.state.Position(), g.state.Bytes(), before)
		}
		if allocations != 0 {
			t.Errorf("%s: %v allocations a Step", number, allocations)
		}
	}
}

// TestStepAllocatesNothing, with Souls and products that are shared out.
func TestStepAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector sync.Pool forgets at random")
	}
	pool := kernel.NewPool(1)
	defer pool.Close()
	for _, shape := range []struct {
		cell    Cell
		weights Weights
		kernels *kernel.Set
	}{
		{CellRelease, "", kernel.Portable()},
		{CellPaper, "", kernel.Portable()},
		{CellRelease, WeightsQ2, kernel.Portable()},
		{CellPaper, WeightsQ2, kernel.Best()},
	} {
		c := smallConfig(shape.cell)
		c.DModel, c.DFF, c.Layers, c.State, c.Weights = 1100, 1030, 1, BF16, shape.weights
		g := newGenerator(t, NewCPU(&Compute{Kernels: shape.kernels, Pool: pool}), c, 3)
		slice, err := SeededSoulSlice(c, 1, 0, 4)
		if err != nil {
			t.Fatal(err)
		}
		g.variant.Souls = []SoulTerm{{Weight: 1, Slices: []*SoulSlice{slice}}}
		works := []*Work{{State: g.state, Variant: g.variant, Rows: Rows{Count: 2, Data: make([]float32, 2*c.DModel)}}}
		if got := testing.AllocsPerRun(10, func() {
			works[0].Rows.Position = g.state.Position()
			if err := errors.Join(g.stage.Step(works), works[0].Err); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("%s %s: %v allocations a Step", shape.cell, shape.weights, got)
		}
	}
}

func TestGroupByVariant(t *testing.T) {
	variants := []*Variant{{}, {}, {}, {}}
	for seed := range uint64(200) {
		var queue, want []*Work
		n := int(Hash64(seed, 0) % 12)
		for i := range n {
			queue = append(queue, &Work{Variant: variants[Hash64(seed, uint64(i+1))%4], Rows: Rows{Position: i}})
		}
		for i, w := range queue { // by first appearance of the Variant, then in order
			if !slices.ContainsFunc(queue[:i], func(o *Work) bool { return o.Variant == w.Variant }) {
				for _, o := range queue {
					if o.Variant == w.Variant {
						want = append(want, o)
					}
				}
			}
		}
		groupByVariant(queue)
		if !slices.Equal(queue, want) {
			t.Fatalf("seed %d: %d Works are not grouped in order", seed, n)
		}
	}
}

// TestSpoiltStateStaysRefused: after an overflow inside, the rings are worth
// nothing, and the state says so for good.
func TestSpoiltStateStaysRefused(t *testing.T) {
	g := newGenerator(t, NewCPU(nil), smallConfig(CellRelease), 1)
	for i := range g.variant.Small[1].Layers[0].NormGain {
		g.variant.Small[1].Layers[0].NormGain[i] = 3e38
	}
	for range 2 {
		w := &Work{State: g.state, Variant: g.variant, Rows: Rows{Count: 1, Data: seeded(1, 0, 0, 12, 0, 1)}}
		if err := g.stage.Step([]*Work{w}); err != nil || !errors.Is(w.Err, ErrNotFinite) {
			t.Fatalf("errors %v, %v, want ErrNotFinite", err, w.Err)
		}
		if g.state.Position() != 0 {
			t.Fatalf("position %d, want 0", g.state.Position())
		}
	}
}

// lying is a CPU whose kernels are wrong in one place.
func lying(spoil func(k *kernel.Set)) Backend {
	set := kernel.Portable()
	spoil(set)
	return NewCPU(&Compute{Kernels: set})
}

func TestSelfCheckFindsLies(t *testing.T) {
	if err := SelfCheck(NewCPU(nil)); err != nil {
		t.Fatal(err)
	}
	honest := kernel.Portable()
	for name, b := range map[string]Backend{
		"a fused product": lying(func(k *kernel.Set) {
			k.AddScaled = func(x, t []float32, scale float32) {
				for i := range x {
					x[i] = float32(float64(scale)*float64(t[i]) + float64(x[i]))
				}
			}
		}),
		"a sum in plain order": lying(func(k *kernel.Set) {
			k.MatMul = func(y, x, w []float32, n, rows, cols, lo, hi int) {
				for i := range n {
					for r := lo; r < hi; r++ {
						sum := float32(0)
						for c := range cols {
							sum += float32(x[i*cols+c] * w[r*cols+c])
						}
						y[i*rows+r] = sum
					}
				}
			}
		}),
		"bf16 cut off": lying(func(k *kernel.Set) {
			k.RoundBF16 = func(x []float32) {
				for i := range x {
					if r := kernel.RoundBF16(x[i]); r > x[i] && x[i] > 0 {
						x[i] = kernel.RoundBF16(x[i] - (r - x[i]))
					} else {
						x[i] = r
					}
				}
			}
		}),
		"the last tap forgotten": lying(func(k *kernel.Set) {
			k.Conv = func(out []float32, taps [][]float32, w []float32) {
				honest.Conv(out, taps[:2], w[:2*len(out)])
			}
		}),
	} {
		if err := SelfCheck(b); !errors.Is(err, ErrDigest) {
			t.Errorf("%s passes: error %v", name, err)
		}
		if err := SelfCheckCompute(b.(cpu).compute); !errors.Is(err, ErrDigest) {
			t.Errorf("%s passes as what a gateway computes with: error %v", name, err)
		}
	}
}

// TestSelfCheckComputeTriesTheHead: the blocks may be computed elsewhere, bytes are
// embedded and logits computed here.
func TestSelfCheckComputeTriesTheHead(t *testing.T) {
	if err := SelfCheckCompute(&Compute{Kernels: kernel.Best()}); err != nil {
		t.Fatal(err)
	}
	honest, set := kernel.Portable(), kernel.Portable()
	set.MatMul = func(y, x, w []float32, n, rows, cols, lo, hi int) {
		honest.MatMul(y, x, w, n, rows, cols, lo, hi)
		if rows == VocabSize { // no matrix of the suite's blocks
			y[255]++
		}
	}
	wrong := &Compute{Kernels: set}
	if err := SelfCheck(NewCPU(wrong)); err != nil {
		t.Errorf("the blocks are right: error %v", err)
	}
	if err := SelfCheckCompute(wrong); !errors.Is(err, ErrDigest) {
		t.Errorf("a wrong head passes: error %v", err)
	}
}
