package cuda

import (
	"errors"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// soulCase is a case with Souls.
func soulCase() backendtest.Case { return backendtest.Cases()[2] }

// once steps one row of a new state that wears v, and closes it.
func once(t *testing.T, s *stage, v *tcn.Variant) error {
	t.Helper()
	state, err := s.NewState(s.blocks, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := works(v, s.config.DModel, 1, state)
	if err := s.Step(list); err != nil {
		t.Fatal(err)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	return list[0].Err
}

// TestSoulsAreCopiedOnce: a Variant is copied when it is first worn, what Variants
// share with each other is not copied again.
func TestSoulsAreCopiedOnce(t *testing.T) {
	c := soulCase()
	s, f, m := loaded(t, c, Options{})
	all := c.Config.All()
	v := m.Variant(all, 1)
	copied := func(do func()) int {
		before := f.calls["allocate"]
		do()
		return f.calls["allocate"] - before
	}
	wear := func(v *tcn.Variant) func() {
		return func() {
			if err := once(t, s, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	blocks := all.Len()
	if got, want := copied(wear(v)), 1+2*blocks+1; got != want { // its table, Smalls and slices, room for terms
		t.Errorf("%d allocations for the first Variant, want %d", got, want)
	}
	if got := copied(wear(v)); got != 0 {
		t.Errorf("%d allocations for a Variant worn a moment ago, want 0", got)
	}
	if got, want := copied(wear(m.Variant(all, 1))), 1; got != want {
		t.Errorf("%d allocations for a Variant of the same parts, want %d", got, want)
	}
	if got, want := copied(wear(m.Variant(tcn.Range{Lo: 0, Hi: 6}, 2))), 1+blocks+1; got != want { // one Soul more
		t.Errorf("%d allocations for one Soul more, want %d", got, want)
	}
}

// TestIdleVariantsAreBounded: those that nobody wears go, the oldest first; those
// that are worn stay.
func TestIdleVariantsAreBounded(t *testing.T) {
	c := soulCase()
	s, _, m := loaded(t, c, Options{})
	all := c.Config.All()
	worn := m.Variant(all, 2)
	state := newState(t, s, all)
	step(t, s, works(worn, c.Config.DModel, 1, state))
	first := m.Variant(all, 1)
	for i := range 3 * maxIdle {
		v := first
		if i > 0 {
			v = m.Variant(all, i%3)
		}
		if err := once(t, s, v); err != nil {
			t.Fatal(err)
		}
		if got := len(s.wardrobe.outfits); got > maxIdle+1 {
			t.Fatalf("%d outfits, want %d idle ones at most", got, maxIdle)
		}
	}
	if s.wardrobe.outfits[worn] == nil || s.wardrobe.outfits[first] != nil {
		t.Error("the oldest idle Variant was kept, or a worn one dropped")
	}
	before := s.wardrobe.outfits[worn].memory
	step(t, s, works(worn, c.Config.DModel, 1, state))
	if s.wardrobe.outfits[worn].memory != before {
		t.Error("a worn Variant was copied again")
	}
}

// TestSoulWithoutRoom: a Soul that does not fit fails the Works that wear it; when
// others are no longer worn, their room is its.
func TestSoulWithoutRoom(t *testing.T) {
	c := soulCase()
	s, f, m := loaded(t, c, Options{})
	all, d := c.Config.All(), c.Config.DModel
	big := bigSoul(t, c, m)
	states := []tcn.State{newState(t, s, all), newState(t, s, all)}
	plain := m.Variant(all, 2)
	step(t, s, works(plain, d, 1, states[0]))

	f.free = 64 << 10 // of 512 ranks, 48 kB a block are not enough
	list := append(works(big, d, 1, states[1]), works(plain, d, 1, states[0])...)
	if err := s.Step(list); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(list[0].Err, tcn.ErrNoRoom) || !errors.Is(list[0].Err, device.ErrOutOfMemory) || list[1].Err != nil {
		t.Errorf("errors %v and %v, want want of memory and none", list[0].Err, list[1].Err)
	}
	if states[1].Position() != 0 || states[0].Position() != 2 || f.free != 64<<10 {
		t.Errorf("positions %d and %d, %d bytes free", states[1].Position(), states[0].Position(), f.free)
	}
	f.free = 8 << 20
	step(t, s, works(big, d, 1, states[1])) // the same state goes on
}

// bigSoul is a Variant with one Soul of a rank of its own.
func bigSoul(t *testing.T, c backendtest.Case, m *backendtest.Model) *tcn.Variant {
	t.Helper()
	all := c.Config.All()
	v := m.Variant(all, 0)
	term := tcn.SoulTerm{Weight: 1}
	for b := range all.Hi {
		slice, err := tcn.SeededSoulSlice(c.Config, 5, b, 512)
		if err != nil {
			t.Fatal(err)
		}
		term.Slices = append(term.Slices, slice)
	}
	v.Souls = []tcn.SoulTerm{term}
	return v
}

// TestIdleVariantsMakeRoom: what nobody wears goes when a stage that is loaded, or
// another stage's Soul, wants its memory.
func TestIdleVariantsMakeRoom(t *testing.T) {
	c := soulCase()
	s, f, m := loaded(t, c, Options{})
	if err := once(t, s, bigSoul(t, c, m)); err != nil {
		t.Fatal(err)
	}
	l, err := newLayout(c.Config, tcn.Range{Lo: 0, Hi: 1}, m.Blocks[:1])
	if err != nil {
		t.Fatal(err)
	}
	work := newWorkspace(c.Config, len(l.layers), MaxRows)
	f.free = l.weights.bytes + work.bytes + s.backend.options.StateBytes - 1
	second, err := s.backend.Load(c.Config, tcn.Range{Lo: 0, Hi: 1}, m.Blocks[:1])
	if err != nil {
		t.Fatalf("with an idle Soul in the way: %v", err)
	}
	if len(s.wardrobe.outfits) != 0 || len(s.wardrobe.smalls) != 0 || len(s.wardrobe.slices) != 0 {
		t.Error("the idle Variant was kept")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// TestSoulOfNoForm: a pair of matrices of two forms, or of none that is known, is
// refused; the Work beside it is not.
func TestSoulOfNoForm(t *testing.T) {
	c := soulCase()
	s, _, m := loaded(t, c, Options{})
	all, d := c.Config.All(), c.Config.DModel
	c8 := c
	c8.Souls8 = true
	m8 := c8.Model()
	for name, spoil := range map[string]func(l *tcn.SoulLayer){
		"A of float32, B of 8 bits": func(l *tcn.SoulLayer) { l.InA = m.Souls[0].Slices[2].Layers[1].InA },
		"A of 8 bits, B of float32": func(l *tcn.SoulLayer) { l.OutB = m.Souls[0].Slices[2].Layers[1].OutB },
		"a matrix of its own kind":  func(l *tcn.SoulLayer) { l.OutA = strange{l.OutA} },
	} {
		v := m8.Variant(all, 1)
		v.Souls[0].Slices = append([]*tcn.SoulSlice(nil), v.Souls[0].Slices...)
		spoilt := tcn.SoulSlice{Layers: append([]tcn.SoulLayer(nil), v.Souls[0].Slices[2].Layers...)}
		spoil(&spoilt.Layers[1])
		v.Souls[0].Slices[2] = &spoilt
		list := append(works(v, d, 1, newState(t, s, all)), works(m.Variant(all, 1), d, 1, newState(t, s, all))...)
		if err := s.Step(list); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(list[0].Err, ErrForm) || list[1].Err != nil {
			t.Errorf("%s: errors %v and %v, want ErrForm and none", name, list[0].Err, list[1].Err)
		}
	}
}

// strange is a Matrix that can only be asked to multiply.
type strange struct{ tcn.Matrix }
