package tcn

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// small is a config whose models take a few kilobytes.
func smallConfig(cell Cell) Config {
	return Config{
		Cell: cell, VocabSize: 256, DModel: 12, DFF: 20, Layers: 5, LayersPerBlock: 2, KernelSize: 3,
		Dilations: []int{1, 2, 4}, RMSEps: 1e-6, State: F32, Boundary: F32,
	}
}

// TestMultiplyIsTheSameHoweverShared: products small and large enough to be
// cut, alone and with helpers, are the dots of the rows.
func TestMultiplyIsTheSameHoweverShared(t *testing.T) {
	pool := kernel.NewPool(3)
	defer pool.Close()
	for _, size := range []struct{ rows, cols, n int }{{1, 1, 1}, {7, 33, 2}, {300, 257, 3}, {513, 200, 64}, {3, 40_000, 2}} {
		w := seeded(1, 0, 0, size.rows*size.cols, 0, 1)
		x := seeded(2, 0, 0, size.n*size.cols, 0, 1)
		m, err := NewMatrixF32(size.rows, size.cols, w)
		if err != nil {
			t.Fatal(err)
		}
		if m.Rows() != size.rows || m.Cols() != size.cols || m.Bytes() != int64(4*len(w)) {
			t.Errorf("%v: matrix [%d, %d] of %d bytes", size, m.Rows(), m.Cols(), m.Bytes())
		}
		for _, set := range kernel.Available() {
			for _, p := range []*kernel.Pool{nil, pool} {
				y := make([]float32, size.n*size.rows)
				m.Multiply(&Compute{Kernels: set, Pool: p}, y, x, size.n)
				for i := range size.n {
					for r := range size.rows {
						want := kernel.Dot(x[i*size.cols:(i+1)*size.cols], w[r*size.cols:(r+1)*size.cols])
						if got := y[i*size.rows+r]; math.Float32bits(got) != math.Float32bits(want) {
							t.Fatalf("%v %s: row %d output %d is %v, want %v", size, set.Name, i, r, got, want)
						}
					}
				}
			}
		}
	}
}

func TestNewMatrixF32Refuses(t *testing.T) {
	for _, c := range []struct {
		rows, cols, numbers int
		ok                  bool
	}{
		{1, MaxFanIn, MaxFanIn, true},
		{1, MaxFanIn + 1, MaxFanIn + 1, false},
		{0, 4, 0, false},
		{4, 0, 0, false},
		{-1, -4, 4, false},
		{2, 3, 5, false},
		{2, 3, 7, false},
		{math.MaxInt/4 + 1, 4, 0, false}, // the product wraps to 0
	} {
		_, err := NewMatrixF32(c.rows, c.cols, make([]float32, c.numbers))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrShape) {
			t.Errorf("[%d, %d] of %d numbers: error %v", c.rows, c.cols, c.numbers, err)
		}
	}
}

func TestEndsRefuse(t *testing.T) {
	c := smallConfig(CellRelease)
	c.MaxPositions = 10
	emb, pos, normF := SeededEnds(c, 1)
	spoilt := append([]float32(nil), pos...)
	spoilt[7] = float32(math.Inf(1))
	for _, r := range []struct {
		name            string
		emb, pos, normF []float32
		want            error
	}{
		{"emb", emb[1:], pos, normF, ErrShape},
		{"pos", emb, nil, normF, ErrShape},
		{"norm_f", emb, pos, nil, ErrShape},
		{"pos", emb, spoilt, normF, ErrNotFinite},
	} {
		_, err := NewEnds(c, r.emb, r.pos, r.normF)
		if !errors.Is(err, r.want) || !strings.Contains(err.Error(), r.name) {
			t.Errorf("bad %s: error %v", r.name, err)
		}
	}
	if _, err := NewEnds(Config{}, emb, pos, normF); !errors.Is(err, ErrConfig) {
		t.Errorf("zero config: error %v", err)
	}
	ends, err := NewEnds(c, emb, pos, normF)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, c.DModel)
	var logits [256]float32
	for _, r := range []struct {
		name string
		got  error
		want error
	}{
		{"last position", ends.Embed(9, 1, row), nil},
		{"one past it", ends.Embed(10, 1, row), ErrTooLong},
		{"below 0", ends.Embed(-1, 1, row), ErrPosition},
		{"short row", ends.Embed(0, 1, row[1:]), ErrShape},
		{"short row", ends.Logits(row[1:], &logits), ErrShape},
		{"not a number", ends.Logits(append([]float32{float32(math.NaN())}, row[1:]...), &logits), ErrNotFinite},
	} {
		if !errors.Is(r.got, r.want) {
			t.Errorf("%s: error %v, want %v", r.name, r.got, r.want)
		}
	}
}

// TestEndsValues: an embedded row is emb + pos rounded to the boundary type, and
// every level of kernels gives the same logits.
func TestEndsValues(t *testing.T) {
	c := smallConfig(CellRelease)
	c.MaxPositions, c.Boundary = 4, BF16
	emb, pos, normF := SeededEnds(c, 1)
	ends, err := NewEnds(c, emb, pos, normF)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, c.DModel)
	if err := ends.Embed(3, 'z', row); err != nil {
		t.Fatal(err)
	}
	for i, got := range row {
		if want := kernel.RoundBF16(emb['z'*c.DModel+i] + pos[3*c.DModel+i]); got != want {
			t.Errorf("column %d is %v, want %v", i, got, want)
		}
	}
	var want, got [256]float32
	if err := ends.Logits(row, &want); err != nil {
		t.Fatal(err)
	}
	for _, set := range kernel.Available() {
		if err := ends.WithCompute(&Compute{Kernels: set}).Logits(row, &got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: other logits", set.Name)
		}
	}
}

func TestVariantRefused(t *testing.T) {
	c := smallConfig(CellRelease)
	inf := float32(math.Inf(1))
	good := func() *Variant {
		v := &Variant{Range: Range{1, 3}, Souls: []SoulTerm{{Weight: 1}}}
		for b := 1; b < 3; b++ {
			slice, err := SeededSoulSlice(c, 1, b, 2)
			if err != nil {
				t.Fatal(err)
			}
			v.Small = append(v.Small, SeededSmall(c, 1, b))
			v.Souls[0].Slices = append(v.Souls[0].Slices, slice)
		}
		return v
	}
	one, err := NewMatrixF32(1, 1, []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		name  string
		spoil func(v *Variant)
		want  error
	}{
		{"nothing", func(*Variant) {}, nil},
		{"no Souls", func(v *Variant) { v.Souls = nil }, nil},
		{"a Soul that skips a block", func(v *Variant) { v.Souls[0].Slices[1] = nil }, nil},
		{"a layer without terms", func(v *Variant) { v.Souls[0].Slices[0].Layers[0] = SoulLayer{} }, nil},
		{"empty range", func(v *Variant) { v.Range.Hi = 1 }, ErrRange},
		{"range past the end", func(v *Variant) { v.Range = Range{2, 4} }, ErrRange},
		{"fewer small parameters", func(v *Variant) { v.Small = v.Small[1:] }, ErrShape},
		{"no small parameters of a block", func(v *Variant) { v.Small[0] = nil }, ErrShape},
		{"fewer layers", func(v *Variant) { v.Small[0].Layers = v.Small[0].Layers[1:] }, ErrShape},
		{"fewer gains", func(v *Variant) { v.Small[0].Layers[1].NormGain = nil }, ErrShape},
		{"infinite gain", func(v *Variant) { v.Small[1].Layers[0].NormGain[3] = inf }, ErrNotFinite},
		{"infinite scale", func(v *Variant) { v.Small[1].Layers[0].Scale = inf }, ErrNotFinite},
		{"infinite routing", func(v *Variant) { v.Small[0].Routing = inf }, ErrNotFinite},
		{"infinite weight", func(v *Variant) { v.Souls[0].Weight = -inf }, ErrNotFinite},
		{"fewer slices", func(v *Variant) { v.Souls[0].Slices = v.Souls[0].Slices[:1] }, ErrShape},
		{"fewer layers of a slice", func(v *Variant) { v.Souls[0].Slices[0].Layers = nil }, ErrShape},
		{"half a pair", func(v *Variant) { v.Souls[0].Slices[0].Layers[0].InB = nil }, ErrShape},
		{"A of other width", func(v *Variant) { v.Souls[0].Slices[0].Layers[0].InA = one }, ErrShape},
		{"B of other rank", func(v *Variant) { v.Souls[0].Slices[0].Layers[0].OutB = one }, ErrShape},
	} {
		v := good()
		r.spoil(v)
		if err := v.Validate(c); !errors.Is(err, r.want) {
			t.Errorf("%s: error %v, want %v", r.name, err, r.want)
		}
	}
}

// TestRankLimit takes a Soul to MaxRank and one past it.
func TestRankLimit(t *testing.T) {
	c := smallConfig(CellRelease)
	c.DModel, c.DFF, c.Layers = 1, 1, 1
	for _, r := range []struct {
		rank int
		want error
	}{{MaxRank, nil}, {MaxRank + 1, ErrShape}, {0, ErrShape}, {-1, ErrShape}} {
		if _, err := SeededSoulSlice(c, 1, 0, r.rank); !errors.Is(err, r.want) {
			t.Errorf("rank %d: error %v, want %v", r.rank, err, r.want)
		}
		n := max(r.rank, 0)
		layer := SoulLayerF32{make([]float32, n), make([]float32, 2*n), make([]float32, n), make([]float32, n)}
		if r.rank == 0 {
			continue // four empty parts add nothing, which is allowed
		}
		if _, err := NewSoulSliceF32(c, 0, r.rank, []SoulLayerF32{layer}); r.rank > 0 && !errors.Is(err, r.want) {
			t.Errorf("rank %d: error %v, want %v", r.rank, err, r.want)
		}
	}
}
