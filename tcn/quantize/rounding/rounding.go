package rounding

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Compute is what the work is done with. Kernels must be set; a nil Pool means
// no helpers.
type Compute struct {
	Kernels *kernel.Set
	Pool    *kernel.Pool
}

// Matrix is rotated weights, row-major: what codes are chosen for.
type Matrix struct {
	Rows, Cols int
	Values     []float32 // [Rows, Cols]
}

// row is row r.
func (m Matrix) row(r int) []float32 { return m.Values[r*m.Cols : (r+1)*m.Cols] }

// Codes is what was chosen: row r is approximately Scale[r]·(2·Codes[r, c] - 3).
type Codes struct {
	Rows, Cols int
	Codes      []byte    // [Rows, Cols], 0 to 3
	Scale      []float32 // [Rows], not negative; 0 for a row of zeros
	Exact      int       // rows that were representable
}

func newCodes(rows, cols int) *Codes {
	return &Codes{Rows: rows, Cols: cols, Codes: make([]byte, rows*cols), Scale: make([]float32, rows)}
}

// Row is the codes of row r.
func (q *Codes) Row(r int) []byte { return q.Codes[r*q.Cols : (r+1)*q.Cols] }

// Rotate turns a row of a matrix as products with rotated rows want it: with D
// the signs and T the transform of [kernel.HadamardBlock] B, out = w·D·T/B.
//
//	out, w [cols]   signs [⌈cols/8⌉]   out may be w
func Rotate(set *kernel.Set, out, w []float32, signs []byte) {
	set.Hadamard(out, w, signs)
	factor := 1 / float32(kernel.HadamardBlock(len(w))) // a power of two
	for c := range out {
		out[c] *= factor
	}
}

// Unrotate is the inverse of Rotate: what acts on a row before rotation as w does
// after it is w·T·D, and Rotate(w·T·D) = w.
func Unrotate(set *kernel.Set, out, w []float32, signs []byte) {
	set.Hadamard(out, w, make([]byte, len(signs)))
	for c := range out {
		if signs[c/8]>>(c%8)&1 != 0 {
			out[c] = -out[c]
		}
	}
}

// tileRows is the rows that one worker takes at a time: enough to outweigh
// reading H once for them.
const tileRows = 64

// forTiles calls work for runs of rows [lo, hi), on all workers, and done, if
// any, after each. Errors: the context's.
func forTiles(ctx context.Context, c Compute, rows int, done func(rows int), work func(lo, hi int)) error {
	var turn sync.Mutex
	c.Pool.Run((rows+tileRows-1)/tileRows, func(i int) {
		if ctx.Err() != nil {
			return
		}
		lo, hi := i*tileRows, min((i+1)*tileRows, rows)
		work(lo, hi)
		if done != nil {
			turn.Lock()
			defer turn.Unlock()
			done(hi - lo)
		}
	})
	return ctx.Err()
}

// level is the weight nearest to t under scale s: -3, -1, 1 or 3.
func level(t, s float32) float32 {
	magnitude := float32(1)
	if t > 2*s || t < -2*s {
		magnitude = 3
	}
	if t < 0 {
		return -magnitude
	}
	return magnitude
}

// codeOf is the code of a level.
func codeOf(level float32) byte { return byte((int(level) + 3) / 2) }

// levelOf is the level of a code.
func levelOf(code byte) float32 { return float32(2*int(code) - 3) }

// Nearest rounds every row to the nearest levels under the scale that makes the
// sum of the squared errors least. done, if not nil, is told of rows as they are
// finished, one call at a time. Errors: the context's.
func Nearest(ctx context.Context, c Compute, m Matrix, done func(rows int)) (*Codes, error) {
	out := newCodes(m.Rows, m.Cols)
	var exact atomic.Int64
	err := forTiles(ctx, c, m.Rows, done, func(lo, hi int) {
		var order scaleOrder
		for r := lo; r < hi; r++ {
			u, codes := m.row(r), out.Row(r)
			if scale, ok := Exact(u, codes); ok {
				out.Scale[r] = scale
				exact.Add(1)
				continue
			}
			scale := order.best(u, nil)
			out.Scale[r] = scale
			for k, v := range u {
				codes[k] = codeOf(level(v, scale))
			}
		}
	})
	out.Exact = int(exact.Load())
	return out, err
}

// exactTolerance is how far, in scales, a number may be from its level in a row
// that counts as representable: what is left of rows that were stored in bf16.
const exactTolerance = 0.05

// Exact finds the codes of a row that already is s·{-3, -1, 1, 3} up to rounding
// noise, as a model trained with quantization in mind leaves it. ok is false for
// every other row; the codes are then undefined. A row of zeros has scale 0.
//
//	u [cols]   codes [cols]
func Exact(u []float32, codes []byte) (scale float32, ok bool) {
	least, largest := math.Inf(1), 0.0
	for _, v := range u {
		least, largest = min(least, math.Abs(float64(v))), max(largest, math.Abs(float64(v)))
	}
	if largest == 0 {
		for k := range codes {
			codes[k] = codeOf(1)
		}
		return 0, true
	}
	if largest > 4*least { // 3 levels, and noise; most rows end here
		return 0, false
	}
	// The least is a level 1, or all are level 3, which is the same row as level
	// 1 under three times the scale.
	over, under := 0.0, 0.0
	for k, v := range u {
		w := level(v, float32(least))
		codes[k] = codeOf(w)
		over += float64(v) * float64(w)
		under += float64(w) * float64(w)
	}
	s := over / under
	for k, v := range u {
		if math.Abs(float64(v)-s*float64(levelOf(codes[k]))) > exactTolerance*s {
			return 0, false
		}
	}
	return float32(s), true
}
