//go:build amd64 || arm64

package kernel

import (
	"fmt"
	"sync"
)

// assembly is the functions of one instruction level. The generated files say
// what each does.
type assembly struct {
	name string
	// tiles[i] takes i+1 input rows at a time.
	tiles []tile
	// single takes one input row and one weight row.
	single    tileFunc
	normalize func(out, x, gain *float32, n int, root float32)
	conv      func(out *float32, taps *[]float32, w *float32, width, count int)
	gate      func(y, a, g *float32, n int)
	addScaled func(x, t *float32, n int, scale float32)
	roundBF16 func(x *float32, n int)
}

// tile is a function that multiplies a few input rows with weightRows weight
// rows at a time.
type tile struct {
	weightRows int
	run        tileFunc
}

// tileFunc multiplies the input rows of a tile with weightRows·tiles weight rows
// of cols numbers each. Input rows lie xRow bytes apart and weight rows wRow. A
// result goes yRow bytes behind that of the input row before and yCol bytes
// behind that of the weight row before.
//
// If to is not nil the lanes go there, unfolded, in place of results to y; if
// from is not nil they start from what lies there rather than from +0:
// [tiles][input row][weight row][Lanes].
type tileFunc func(y, x, w *float32, cols, tiles int, yRow, yCol, xRow, wRow uintptr, from, to *float32)

// set dresses the functions as a Set: it checks lengths, as the assembly does
// not, and keeps each call short.
func (a *assembly) set() *Set {
	return &Set{
		Name:      a.name,
		MatMul:    a.matMul,
		RMSNorm:   a.rmsNorm,
		Conv:      a.convRow,
		Gate:      a.gateRow,
		AddScaled: a.addScaledRow,
		RoundBF16: a.roundBF16Row,
	}
}

const (
	// floatBytes is the size of a float32.
	floatBytes = 4
	// panelFloats is how many weights a panel of MatMul holds: 256 KiB, which
	// stays in the second-level cache while every input row passes over it.
	panelFloats = 64 << 10
	// stretchFloats is how many columns a tile goes along before the next tile
	// gets its turn, if the rows are longer and more than one: the input rows'
	// stretches, 4 KiB each, stay in the first-level cache while the weights
	// pass over them. A multiple of Lanes, so that no lane changes its place.
	stretchFloats = 1 << 10
	// panelRows is the least number of weight rows in a panel, however long:
	// whole tiles at every level.
	panelRows = 12
	// runFloats is how many numbers one call works on at most. The Go scheduler
	// cannot interrupt assembly, so calls last microseconds, not milliseconds.
	runFloats = 16 << 10
)

func (a *assembly) matMul(y, x, w []float32, n, rows, cols, lo, hi int) {
	if n <= 0 || lo >= hi {
		return
	}
	y, x, w = first(y, n*rows), first(x, n*cols), first(w, rows*cols)
	_ = y[lo:hi:rows] // panics unless 0 <= lo and hi <= rows
	if cols == 0 {
		portableMatMul(y, x, w, n, rows, cols, lo, hi)
		return
	}
	panel := max(panelFloats/cols, panelRows)
	for r := lo; r < hi; r += panel {
		a.panel(y, x, w, n, rows, cols, r, min(r+panel, hi))
	}
}

// panel multiplies every input row with the weight rows [lo, hi).
func (a *assembly) panel(y, x, w []float32, n, rows, cols, lo, hi int) {
	for i := 0; i < n; {
		in := a.inputRows(n - i)
		t := a.tiles[in-1]
		a.strip(t, in, y[i*rows:], x[i*cols:], w, rows, cols, lo, hi)
		i += in
	}
}

// inputRows is how many of left input rows to take next: the tallest tile that
// fits, but no single row after it if two smaller tiles do as well.
func (a *assembly) inputRows(left int) int {
	most := len(a.tiles)
	if left > most && left < 2*most {
		return (left + 1) / 2
	}
	return min(left, most)
}

// strip multiplies in input rows with the weight rows [lo, hi). What is left of
// the range after whole tiles is taken by one more tile that ends with the
// range and computes some results twice, to the same bits.
func (a *assembly) strip(t tile, in int, y, x, w []float32, rows, cols, lo, hi int) {
	yRow, xRow := uintptr(rows*floatBytes), uintptr(cols*floatBytes)
	if hi-lo < t.weightRows {
		for i := range in {
			a.single(&y[i*rows+lo], &x[i*cols], &w[lo*cols], cols, hi-lo, yRow, floatBytes, xRow, xRow, nil, nil)
		}
		return
	}
	run := func(lo, tiles int) {
		if in == 1 || cols < 2*stretchFloats {
			t.run(&y[lo], &x[0], &w[lo*cols], cols, tiles, yRow, floatBytes, xRow, xRow, nil, nil)
			return
		}
		t.stretches(y[lo:], x, w[lo*cols:], cols, tiles, yRow, xRow)
	}
	tiles := (hi - lo) / t.weightRows
	run(lo, tiles)
	if lo+tiles*t.weightRows < hi {
		run(hi-t.weightRows, 1)
	}
}

// stretches runs tiles stretch by stretch and keeps the lanes in between.
func (t tile) stretches(y, x, w []float32, cols, tiles int, yRow, xRow uintptr) {
	kept := keptLanes.Get().(*[keptFloats]float32)
	defer keptLanes.Put(kept)
	lanes := &kept[0]
	var from *float32
	for c := 0; c < cols; c += stretchFloats {
		to, width := lanes, stretchFloats
		if c+stretchFloats >= cols {
			to, width = nil, cols-c
		}
		t.run(&y[0], &x[c], &w[c], width, tiles, yRow, floatBytes, xRow, xRow, from, to)
		from = lanes
	}
}

// keptFloats is the most lanes that stretches keeps: those of four input rows
// with a panel of rows as short as it takes.
const keptFloats = 4 * (panelFloats / (2 * stretchFloats)) * Lanes

var keptLanes = sync.Pool{New: func() any { return new([keptFloats]float32) }}

func (a *assembly) rmsNorm(out, x, gain []float32, eps float32) {
	n := len(x)
	out, gain = first(out, n), first(gain, n)
	if n == 0 {
		return
	}
	// A variable whose address goes to a function value would be allocated, so
	// the sum comes by way of out, which may be x.
	head := x[0]
	a.single(&out[0], &x[0], &x[0], n, 1, 0, 0, 0, 0, nil, nil)
	root := rootOfMean(out[0], n, eps)
	out[0] = head
	eachRun(n, func(lo, hi int) {
		a.normalize(&out[lo], &x[lo], &gain[lo], hi-lo, root)
	})
}

func (a *assembly) convRow(out []float32, taps [][]float32, w []float32) {
	width := len(out)
	for _, tap := range taps {
		first(tap, width)
	}
	w = first(w, len(taps)*width)
	if width == 0 || len(taps) == 0 {
		return
	}
	a.conv(&out[0], &taps[0], &w[0], width, len(taps))
}

func (a *assembly) gateRow(y, left, right []float32) {
	left, right = first(left, len(y)), first(right, len(y))
	eachRun(len(y), func(lo, hi int) {
		a.gate(&y[lo], &left[lo], &right[lo], hi-lo)
	})
}

func (a *assembly) addScaledRow(x, t []float32, scale float32) {
	t = first(t, len(x))
	eachRun(len(x), func(lo, hi int) {
		a.addScaled(&x[lo], &t[lo], hi-lo, scale)
	})
}

func (a *assembly) roundBF16Row(x []float32) {
	eachRun(len(x), func(lo, hi int) {
		a.roundBF16(&x[lo], hi-lo)
	})
}

// first returns the first n numbers of a slice. Unlike slicing it panics also if
// the slice is shorter but its memory goes on.
func first(s []float32, n int) []float32 {
	if n > len(s) {
		panic(fmt.Sprintf("kernel: slice of %d numbers, want %d", len(s), n))
	}
	return s[:n]
}

// eachRun cuts [0, n) into runs of at most runFloats.
func eachRun(n int, run func(lo, hi int)) {
	for lo := 0; lo < n; lo += runFloats {
		run(lo, min(lo+runFloats, n))
	}
}
