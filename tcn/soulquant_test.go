package tcn

import (
	"errors"
	"testing"
)

func TestNewSoulSliceQ8(t *testing.T) {
	const rank = 3
	c := smallConfig(CellRelease)
	make8 := func() SoulLayerQ8 {
		return SoulLayerQ8{
			InA: eighths(t, rank, c.DModel), InB: eighths(t, 2*c.DFF, rank),
			OutA: eighths(t, rank, c.DFF), OutB: eighths(t, c.DModel, rank),
		}
	}
	lo, hi := c.BlockLayers(0)
	layers := func(change func(*SoulLayerQ8)) []SoulLayerQ8 {
		all := make([]SoulLayerQ8, hi-lo)
		for i := range all {
			all[i] = make8()
		}
		change(&all[0])
		return all
	}
	whole := layers(func(*SoulLayerQ8) {})
	for _, r := range []struct {
		name   string
		config Config
		b      int
		rank   int
		layers []SoulLayerQ8
		want   error
	}{
		{"whole", c, 0, rank, whole, nil},
		{"no pairs", c, 0, rank, layers(func(l *SoulLayerQ8) { *l = SoulLayerQ8{} }), nil},
		{"zero config", Config{}, 0, rank, whole, ErrConfig},
		{"block past the end", c, c.Blocks(), rank, whole, ErrRange},
		{"too few layers", c, 0, rank, whole[1:], ErrShape},
		{"another rank", c, 0, rank + 1, whole, ErrShape},
		{"rank 0", c, 0, 0, whole, ErrShape},
		{"half a pair", c, 0, rank, layers(func(l *SoulLayerQ8) { l.OutB = nil }), ErrShape},
		{"B of another rank", c, 0, rank, layers(func(l *SoulLayerQ8) { l.InB = eighths(t, 2*c.DFF, rank+1) }), ErrShape},
		{"A of another width", c, 0, rank, layers(func(l *SoulLayerQ8) { l.InA = eighths(t, rank, c.DModel+1) }), ErrShape},
		{"pairs the wrong way round", c, 0, rank, layers(func(l *SoulLayerQ8) { l.InB, l.OutB = l.OutB, l.InB }), ErrShape},
	} {
		slice, err := NewSoulSliceQ8(r.config, r.b, r.rank, r.layers)
		if !errors.Is(err, r.want) || err == nil && len(slice.Layers) != len(r.layers) {
			t.Errorf("%s: error %v, want %v", r.name, err, r.want)
		}
	}
}
