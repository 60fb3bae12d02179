package bench

import (
	"time"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Shapes of the figures: the matrices of a model with d_model 4,096 and d_ff
// 16,384, and square-ish ones for many rows.
var (
	decodeWide  = shape{cols: 4096, rows: 32768}
	decodeDeep  = shape{cols: 16384, rows: 4096}
	prefillCols = []int{4096, 16384}
	prefillRows = []int{64, 512}
)

const prefillOut = 4096

// Names is the groups of figures, in the order of Figures.
func Names() []string {
	return []string{"decode", "cache", "cache-masks", "prefill", "layer", "level-cache", "level-prefill", "fork-join", "idle", "quantize"}
}

// Figures lists what can be measured with the fastest kernels of this machine,
// and how the others compare with them.
func (l *Lab) Figures() []Measurement { return l.figures(levels()[:1], levels()) }

// AllFigures is Figures on every instruction level; it takes minutes.
func (l *Lab) AllFigures() []Measurement { return l.figures(levels(), levels()) }

func (l *Lab) figures(sets, all []*kernel.Set) []Measurement {
	var list []Measurement
	for _, set := range sets {
		list = append(list,
			l.decode(set, decodeWide, Goal{Least: 0.88, Aim: 0.95}, Goal{Least: 0.70, Aim: 0.85}),
			l.decode(set, decodeDeep, Goal{Least: 0.80, Aim: 0.92}, Goal{Least: 0.58, Aim: 0.80}),
			l.fromCache(set, "cache", "dot products", kernel.DotPeak, Goal{Least: 0.68, Aim: 0.85}),
			l.fromCache(set, "cache-masks", "dot products and masks", kernel.MaskedDotPeak, Goal{}),
		)
		for _, cols := range prefillCols {
			for _, n := range prefillRows {
				list = append(list, l.prefill(set, shape{cols, prefillOut, n}, Goal{Least: 0.55, Aim: 0.75}))
			}
		}
		for _, size := range []layerSize{{4096, 16384, 8}, {2048, 8192, 20}} {
			for _, soul := range []soulForm{soulQ8, soulF32} {
				list = append(list, l.layer(set, size, soul, Goal{Least: 0.88, Aim: 0.94}))
			}
		}
	}
	list = append(list, l.comparisons(all)...)
	list = append(list,
		l.forkJoin(0, Goal{Most: 1.5}),
		l.forkJoin(10*time.Microsecond, Goal{Most: 1.5}),
		l.forkJoin(100*time.Microsecond, Goal{}),
		l.idle(Goal{Most: 1}))
	for _, set := range sets {
		list = append(list, l.rowQuantizing(set, 4096), l.rowQuantizing(set, 16384))
	}
	return list
}

// comparisons is every other level beside the fastest.
func (l *Lab) comparisons(all []*kernel.Set) []Measurement {
	var list []Measurement
	for _, set := range all[1:] {
		goal := Goal{Least: 0.35, Aim: 0.5}
		if set.Name == kernel.Portable().Name {
			goal = Goal{Least: 0.02}
		}
		list = append(list, l.against("level-cache", set, all[0], cachedShape, 1, l.cached, goal))
		chunk := shape{4096, prefillOut, 64}
		list = append(list, l.against("level-prefill", set, all[0], chunk, l.pool.Width(),
			func(k *kernel.Set) (func(), error) { return l.many(k, chunk) }, goal))
	}
	return list
}
