package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// cpu is what every result is compared with.
var cpu = tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best()})

// TestRandomBatches: batches of 1 to 300 rows of sequences that differ in blocks,
// Souls, chunks and starts, cut into passes of several sizes: the CPU's bits.
func TestRandomBatches(t *testing.T) {
	for i, c := range backendtest.Cases() {
		for _, maxRows := range []int{0, 64, 5} {
			if testing.Short() && (i%3 > 0 || maxRows == 64) {
				continue
			}
			t.Run(fmt.Sprintf("%s, passes of %d", c.Name, maxRows), func(t *testing.T) {
				b, _ := openFake(t, Options{MaxRows: maxRows})
				newTwin(t, b, c, uint64(i)).run(12)
			})
		}
	}
}

// twin steps the same sequences through a stage of a device and one of the CPU.
type twin struct {
	t         *testing.T
	c         backendtest.Case
	m         *backendtest.Model
	random    *rand.Rand
	stages    [2]tcn.Stage // device, CPU
	variants  []*tcn.Variant
	sequences []*sequence
}

type sequence struct {
	states  [2]tcn.State
	variant *tcn.Variant
}

func newTwin(t *testing.T, b tcn.Backend, c backendtest.Case, seed uint64) *twin {
	t.Helper()
	w := &twin{t: t, c: c, m: c.Model(), random: rand.New(rand.NewPCG(seed, 7))}
	all := c.Config.All()
	held := tcn.Range{Lo: w.random.IntN(2), Hi: all.Hi - w.random.IntN(2)}
	for i, backend := range []tcn.Backend{b, cpu} {
		stage, err := backend.Load(c.Config, held, w.m.Blocks[held.Lo:held.Hi])
		if err != nil {
			t.Fatal(err)
		}
		w.stages[i] = stage
		t.Cleanup(func() {
			if err := stage.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	w.variants = []*tcn.Variant{w.m.Variant(all, 0), w.m.Variant(all, 1), w.m.Variant(all, 2), w.m.Variant(held, 2), w.mixed()}
	return w
}

// mixed wears Souls of both forms, in another order, one of them only here and there.
func (w *twin) mixed() *tcn.Variant {
	other := w.c
	other.Souls8 = !other.Souls8
	v := w.m.Variant(w.c.Config.All(), 1)
	souls := other.Model().Souls
	some := tcn.SoulTerm{Weight: 0.25, Slices: make([]*tcn.SoulSlice, len(souls[1].Slices))}
	for b := range some.Slices {
		if b%2 == 0 {
			slice := *souls[1].Slices[b]
			slice.Layers = append([]tcn.SoulLayer(nil), slice.Layers...)
			slice.Layers[0].InA, slice.Layers[0].InB = nil, nil
			some.Slices[b] = &slice
		}
	}
	v.Souls = append([]tcn.SoulTerm{some}, append(v.Souls, souls[0])...)
	return v
}

// run makes steps of random batches; sequences come and go.
func (w *twin) run(steps int) {
	for n := range steps {
		for len(w.sequences) < 2+w.random.IntN(7) {
			w.open()
		}
		w.step(n)
		if w.random.IntN(2) == 0 {
			i := w.random.IntN(len(w.sequences))
			w.close(i)
		}
	}
	for len(w.sequences) > 0 {
		w.close(0)
	}
}

func (w *twin) open() {
	held := w.stages[0].Range()
	lo := held.Lo + w.random.IntN(held.Len())
	sub := tcn.Range{Lo: lo, Hi: lo + 1 + w.random.IntN(held.Hi-lo)}
	start := w.random.IntN(2) * w.random.IntN(1_000_000)
	s := &sequence{variant: w.variants[w.random.IntN(len(w.variants))]}
	for i, stage := range w.stages {
		var err error
		if s.states[i], err = stage.NewState(sub, start); err != nil {
			w.t.Fatal(err)
		}
	}
	w.sequences = append(w.sequences, s)
}

func (w *twin) close(i int) {
	for _, state := range w.sequences[i].states {
		if err := state.Close(); err != nil {
			w.t.Error(err)
		}
	}
	w.sequences = append(w.sequences[:i], w.sequences[i+1:]...)
}

// step steps some of the sequences by chunks of random length.
func (w *twin) step(n int) {
	var works [2][]*tcn.Work
	left := 1 + w.random.IntN(300)
	for _, i := range w.random.Perm(len(w.sequences)) {
		s := w.sequences[i]
		count := min(left, 1+w.random.IntN([]int{1, 8, 40, 200}[w.random.IntN(4)]))
		if left -= count; count == 0 {
			break
		}
		position := s.states[0].Position()
		if back := w.random.IntN(tcn.DraftRows); w.random.IntN(3) == 0 {
			errs := [2]error{s.states[0].Truncate(position - back), s.states[1].Truncate(position - back)}
			if fmt.Sprint(errs[0]) != fmt.Sprint(errs[1]) {
				w.t.Fatalf("Truncate: %v on the device, %v on the CPU", errs[0], errs[1])
			}
			position = s.states[0].Position()
		}
		data := w.rows(count)
		for k := range works {
			rows := tcn.Rows{Position: position, Count: count, Data: append([]float32(nil), data...)}
			works[k] = append(works[k], &tcn.Work{State: s.states[k], Variant: s.variant, Rows: rows})
		}
	}
	for k, stage := range w.stages {
		if err := stage.Step(works[k]); err != nil {
			w.t.Fatal(err)
		}
	}
	compare(w.t, fmt.Sprintf("step %d", n), works[0], works[1])
}

// rows are count rows as a block boundary leaves them.
func (w *twin) rows(count int) []float32 {
	rows := make([]float32, count*w.c.Config.DModel)
	for i := range rows {
		rows[i] = float32(w.random.NormFloat64())
	}
	if w.c.Config.Boundary == tcn.BF16 {
		kernel.Portable().RoundBF16(rows)
	}
	return rows
}

// overflows compares where a device and the CPU find that numbers are no longer
// finite: a gain of every layer in turn is as large as can be.
func overflows(t *testing.T, b tcn.Backend, c backendtest.Case, layers ...int) {
	t.Helper()
	m, all := c.Model(), c.Config.All()
	m.Route(1, 0.5)
	stages := [2]tcn.Stage{}
	for i, backend := range []tcn.Backend{b, cpu} {
		stages[i] = must(backend.Load(c.Config, all, m.Blocks))
	}
	for _, layer := range layers {
		spoilt := m.Variant(all, c.Souls)
		spoilBy(spoilt, c, layer, c.Config.DModel)
		var lists [2][]*tcn.Work
		for i, s := range stages {
			bad, good := must(s.NewState(all, 3)), must(s.NewState(all, 0))
			lists[i] = append(works(spoilt, c.Config.DModel, 4, bad), works(m.Variant(all, c.Souls), c.Config.DModel, 5, good)...)
			for n, w := range lists[i] {
				copy(w.Rows.Data, m.Embed(backendtest.Text(uint64(n), w.Rows.Count)))
			}
			if err := s.Step(lists[i]); err != nil {
				t.Fatal(err)
			}
		}
		if !errors.Is(lists[1][0].Err, tcn.ErrNotFinite) || lists[1][1].Err != nil {
			t.Fatalf("layer %d on the CPU: %v and %v, want an overflow and none", layer, lists[1][0].Err, lists[1][1].Err)
		}
		compare(t, fmt.Sprintf("overflow in layer %d", layer), lists[0], lists[1])
		again := works(spoilt, c.Config.DModel, 1, lists[0][0].State)
		if err := stages[0].Step(again); err != nil || fmt.Sprint(again[0].Err) != fmt.Sprint(lists[1][0].Err) {
			t.Errorf("a spoilt state says %v, %v, want %v", err, again[0].Err, lists[1][0].Err)
		}
		for _, w := range slices.Concat(lists[0], lists[1]) {
			if err := w.State.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, s := range stages {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// spoilBy makes the gain of some channels of a layer as large as can be.
func spoilBy(v *tcn.Variant, c backendtest.Case, layer, channels int) {
	block, i := layer/c.Config.LayersPerBlock, layer%c.Config.LayersPerBlock
	small := *v.Small[block]
	small.Layers = slices.Clone(small.Layers)
	gain := slices.Clone(small.Layers[i].NormGain)
	for n := range channels {
		gain[n] = math.MaxFloat32
	}
	small.Layers[i].NormGain = gain
	v.Small = slices.Clone(v.Small)
	v.Small[block] = &small
}

// TestOverflows: the error names the place that the CPU names, and spoils nobody
// else's rows.
func TestOverflows(t *testing.T) {
	for _, c := range backendtest.Cases() {
		b, _ := openFake(t, Options{})
		overflows(t, b, c, 0, 1, 2, 4, 5, 15, 16)
	}
}

// TestOverflowsOfLongWorks: the error names the lowest layer that any row of a Work
// spoils, wherever that is cut and whoever is in the batch.
func TestOverflowsOfLongWorks(t *testing.T) {
	c := backendtest.Cases()[1] // the release cell, where a gain may spoil some rows only
	const rows, high = 150, 5
	m, all, d := c.Model(), c.Config.All(), c.Config.DModel
	v := m.Variant(all, c.Souls)
	spoilBy(v, c, 0, 1)    // the last rows alone have something in this channel
	spoilBy(v, c, high, d) // of every row
	for _, maxRows := range []int{-1, 256, 64, 16} {
		b := tcn.Backend(cpu)
		if maxRows > 0 {
			b, _ = openFake(t, Options{MaxRows: maxRows})
		}
		s := must(b.Load(c.Config, all, m.Blocks))
		for _, before := range []int{0, 30} {
			list := works(v, d, rows, newState(t, s, all))
			want := []string{"tcn: number is not finite: position 0, block 0 layer 0"}
			if before > 0 {
				list = append(works(v, d, before, newState(t, s, all)), list...)
				want = append([]string{"tcn: number is not finite: position 0, block 1 layer 2"}, want...)
			}
			for n, w := range list {
				copy(w.Rows.Data, m.Embed(backendtest.Text(uint64(n), w.Rows.Count)))
				for row := range w.Rows.Count {
					w.Rows.Data[row*d] = float32(row / 120)
				}
			}
			if err := s.Step(list); err != nil {
				t.Fatal(err)
			}
			for n, w := range list {
				if got := fmt.Sprint(w.Err); got != want[n] {
					t.Errorf("passes of %d after %d rows, Work %d: %s, want %s", maxRows, before, n, got, want[n])
				}
			}
		}
	}
}

// compare fails the test where two batches of Works differ.
func compare(t *testing.T, what string, got, want []*tcn.Work) {
	t.Helper()
	for i := range want {
		if fmt.Sprint(got[i].Err) != fmt.Sprint(want[i].Err) {
			t.Fatalf("%s, work %d: error %v, want %v", what, i, got[i].Err, want[i].Err)
		}
		if got[i].State.Position() != want[i].State.Position() {
			t.Fatalf("%s, work %d: position %d, want %d", what, i, got[i].State.Position(), want[i].State.Position())
		}
		if want[i].Err != nil {
			continue
		}
		for j, v := range want[i].Rows.Data {
			if g := got[i].Rows.Data[j]; math.Float32bits(g) != math.Float32bits(v) {
				t.Fatalf("%s, work %d: number %d is %v, want %v", what, i, j, g, v)
			}
		}
	}
}
