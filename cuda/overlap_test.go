package cuda

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// TestOverlap: Steps of many passes give the CPU's bits in whatever order a device
// does what streams leave it free to do.
func TestOverlap(t *testing.T) {
	for i, c := range backendtest.Cases() {
		if testing.Short() && i%4 > 0 {
			continue
		}
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s, order %d", c.Name, seed), func(t *testing.T) {
				b, f := openFake(t, Options{MaxRows: 8 + 8*int(seed%2)})
				f.chance = rand.New(rand.NewPCG(seed, uint64(i)))
				newTwin(t, b, c, seed).run(2)
			})
		}
	}
}

// TestOverlapNeedsItsOrder: a device that does not heed one of the orders between the
// streams computes other bits, or finds none: so a forgotten one shows.
func TestOverlapNeedsItsOrder(t *testing.T) {
	c := backendtest.Cases()[13]
	const rows, maxRows = 20, 8
	passes := (rows + maxRows - 1) / maxRows
	want := passesOf(t, cpu, c, rows)
	for deaf := range 2*passes + 1 {
		f := newFake(1 << 30)
		b, err := New(f, Options{StateBytes: 16 << 20, MaxRows: maxRows})
		if err != nil {
			t.Fatal(err)
		}
		if deaf > 0 {
			f.deaf = 2*passes + deaf // of the second Step
		}
		if got := passesOf(t, b, c, rows); slices.Equal(got, want) != (deaf == 0) {
			t.Errorf("deaf to order %d of %d: the CPU's bits: %v", deaf, 2*passes, deaf != 0)
		}
		if err := b.Close(); err != nil || f.calls["after"] != 2*2*passes {
			t.Errorf("%d orders for %d passes; Close: %v", f.calls["after"], 2*passes, err)
		}
	}
}

// TestOverlapOnEmulator: passes one after another through the kernels themselves.
func TestOverlapOnEmulator(t *testing.T) {
	if slow(false) {
		t.Skip("slow")
	}
	c := backendtest.Cases()[13]
	const rows = 11
	b, err := New(emulator.New(emulator.Options{Strict: true}), Options{StateBytes: 16 << 20, MaxRows: 4})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(passesOf(t, b, c, rows), passesOf(t, cpu, c, rows)) {
		t.Error("other bits than the CPU's")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// passesOf is what a backend makes of so many rows in one Step, after another that
// recorded its graphs. No zero of either sign and nothing that is no number is among
// them, unless the backend is wrong.
func passesOf(t *testing.T, b tcn.Backend, c backendtest.Case, rows int) []float32 {
	t.Helper()
	m, all := c.Model(), c.Config.All()
	s := must(b.Load(c.Config, all, m.Blocks))
	var made []float32
	for seed := range uint64(2) {
		state := must(s.NewState(all, 0))
		list := works(m.Variant(all, c.Souls), c.Config.DModel, rows, state)
		made = list[0].Rows.Data
		copy(made, m.Embed(backendtest.Text(seed, rows)))
		if err := s.Step(list); err != nil {
			t.Fatal(err)
		}
		if list[0].Err != nil {
			made = nil
		}
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return made
}
