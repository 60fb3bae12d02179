package rounding

import (
	"context"
	"sync/atomic"
)

// blockCols is the columns that are rounded between two products with all that
// came before.
const blockCols = 64

// Sweeps bounds the rounds of coordinate descent that [Compensated] makes.
const Sweeps = 6

// settled is the share of the error that a round must gain to be followed by
// another.
const settled = 1e-3

// Compensated rounds with error compensation under h and refines; see the
// package documentation. sweeps is the most rounds of coordinate descent, 0 for
// none. done, if not nil, is told of rows as they are finished, one call at a
// time. Errors: the context's.
func Compensated(ctx context.Context, c Compute, m Matrix, h *Hessian, sweeps int, done func(rows int)) (*Codes, error) {
	out := newCodes(m.Rows, m.Cols)
	var exact atomic.Int64
	err := forTiles(ctx, c, m.Rows, done, func(lo, hi int) {
		t := newTile(c, h, m, lo, hi)
		t.start()
		t.compensate()
		t.refine(sweeps)
		for i := range t.rows {
			t.store(i, out)
			if t.exact[i] {
				exact.Add(1)
			}
		}
	})
	out.Exact = int(exact.Load())
	return out, err
}

// tile is a run of rows on their way.
type tile struct {
	c          Compute
	h          *Hessian
	lo, rows   int
	cols       int
	u          []float32 // [rows, cols]
	e          []float32 // [rows, cols], u - scale·w
	w          []float32 // [rows, cols], levels
	scale      []float32 // [rows]
	exact      []bool    // rows that are as they should be
	uu, uw, ww []float64 // [rows], u·H·uᵀ, u·H·wᵀ, w·H·wᵀ
	codes      []byte    // [cols], room
	y          []float32 // [rows, blockCols], room
	packed     []float32 // [rows, cols], room
	packedRows []float32 // [blockCols, cols], room
}

func newTile(c Compute, h *Hessian, m Matrix, lo, hi int) *tile {
	n := (hi - lo) * m.Cols
	sums := make([]float64, 3*(hi-lo))
	return &tile{
		uu: sums[:hi-lo], uw: sums[hi-lo : 2*(hi-lo)], ww: sums[2*(hi-lo):],
		c: c, h: h, lo: lo, rows: hi - lo, cols: m.Cols,
		u: m.Values[lo*m.Cols : hi*m.Cols],
		e: make([]float32, n), w: make([]float32, n),
		scale: make([]float32, hi-lo), exact: make([]bool, hi-lo),
		codes: make([]byte, m.Cols), y: make([]float32, (hi-lo)*blockCols),
		packed: make([]float32, n), packedRows: make([]float32, blockCols*m.Cols),
	}
}

// start finds the rows that are representable and the others' first scales.
func (t *tile) start() {
	var order scaleOrder
	for i := range t.rows {
		u := t.u[i*t.cols:][:t.cols]
		if t.scale[i], t.exact[i] = Exact(u, t.codes); t.exact[i] {
			for k, code := range t.codes {
				t.set(i, k, levelOf(code))
			}
			continue
		}
		t.scale[i] = order.best(u, t.h.diag)
	}
}

// set makes column k of row i level w.
func (t *tile) set(i, k int, w float32) {
	at := i*t.cols + k
	t.w[at] = w
	t.e[at] = t.u[at] - t.scale[i]*w
}

// compensate rounds all columns, the last first.
func (t *tile) compensate() {
	for b := t.cols; b > 0; b = max(0, b-blockCols) {
		a := max(0, b-blockCols)
		t.before(a, b)
		for i := range t.rows {
			if !t.exact[i] {
				t.compensateRow(i, a, b)
			}
		}
	}
}

// before computes what the columns from b on did to the columns [a, b): y.
func (t *tile) before(a, b int) {
	width, known := b-a, t.cols-b
	y := t.y[:t.rows*width]
	if known == 0 {
		clear(y)
		return
	}
	for i := range t.rows {
		copy(t.packed[i*known:(i+1)*known], t.e[i*t.cols+b:])
	}
	for k := range width {
		copy(t.packedRows[k*known:(k+1)*known], t.h.m[(a+k)*t.cols+b:])
	}
	t.c.Kernels.MatMul(y, t.packed[:t.rows*known], t.packedRows[:width*known], t.rows, width, known, 0, width)
}

// compensateRow rounds columns [a, b) of row i.
func (t *tile) compensateRow(i, a, b int) {
	e, y := t.e[i*t.cols:][:t.cols], t.y[i*(b-a):]
	for k := b - 1; k >= a; k-- {
		target := t.u[i*t.cols+k] + y[k-a]
		m := t.h.m[k*t.cols:]
		for j, error := range e[k+1 : b] {
			target += error * m[k+1+j]
		}
		t.set(i, k, level(target, t.scale[i]))
	}
}

// refine fits the scales, and then in turn changes codes and fits them again.
func (t *tile) refine(sweeps int) {
	t.products(t.u, func(i, k int, y float32) { t.uu[i] += float64(y) * float64(t.u[i*t.cols+k]) })
	last := t.refit()
	for range sweeps {
		t.descend()
		now := t.refit()
		if now > last*(1-settled) {
			return
		}
		last = now
	}
}

// refit gives every row the scale that makes its error under H least for its
// codes, and returns the sum of those errors.
func (t *tile) refit() float64 {
	clear(t.uw)
	clear(t.ww)
	t.products(t.w, func(i, k int, y float32) {
		at := i*t.cols + k
		t.uw[i] += float64(y) * float64(t.u[at])
		t.ww[i] += float64(y) * float64(t.w[at])
	})
	total := 0.0
	for i := range t.rows {
		uw, ww := t.uw[i], t.ww[i]
		if !t.exact[i] && uw > 0 && ww > 0 { // a scale that is not positive would turn the codes round
			t.scale[i] = float32(uw / ww)
			for k := range t.cols {
				t.set(i, k, t.w[i*t.cols+k])
			}
		}
		s := float64(t.scale[i])
		total += max(0, t.uu[i]-2*s*uw+s*s*ww)
	}
	return total
}

// products calls each with the elements of x·H.
//
//	x [rows, cols]
func (t *tile) products(x []float32, each func(i, k int, y float32)) {
	for a := 0; a < t.cols; a += blockCols {
		width := t.block(x, a)
		for i := range t.rows {
			for k, y := range t.y[i*width:][:width] {
				each(i, a+k, y)
			}
		}
	}
}

// block makes y columns [a, a+width) of x·H, and returns the width.
func (t *tile) block(x []float32, a int) (width int) {
	width = min(blockCols, t.cols-a)
	rows := t.h.h[a*t.cols : (a+width)*t.cols] // H is symmetric
	t.c.Kernels.MatMul(t.y[:t.rows*width], x, rows, t.rows, width, t.cols, 0, width)
	return width
}

// descend goes through all codes once and changes each, the others as they are,
// to what makes the error under H least.
func (t *tile) descend() {
	for a := 0; a < t.cols; a += blockCols {
		width := t.block(t.e, a)
		for i := range t.rows {
			if !t.exact[i] {
				t.descendRow(i, a, t.y[i*width:][:width])
			}
		}
	}
}

// descendRow is descend for columns from a on of row i; g is their part of e·H,
// which it keeps right.
func (t *tile) descendRow(i, a int, g []float32) {
	const rounds = 2
	scale := t.scale[i]
	for range rounds {
		changed := false
		for k := range g {
			at := i*t.cols + a + k
			w := t.w[at]
			better := level(scale*w+g[k]/t.h.diag[a+k], scale)
			if better == w {
				continue
			}
			changed = true
			step := scale * (w - better) // of e
			t.set(i, a+k, better)
			h := t.h.h[(a+k)*t.cols+a:]
			for j := range g {
				g[j] += step * h[j]
			}
		}
		if !changed {
			return
		}
	}
}

// store writes row i to its place.
func (t *tile) store(i int, out *Codes) {
	r := t.lo + i
	out.Scale[r] = t.scale[i]
	codes := out.Row(r)
	for k, w := range t.w[i*t.cols:][:t.cols] {
		codes[k] = codeOf(w)
	}
}
