package vector

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

//go:generate go -C asm run . -level avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg vector
//go:generate go -C asm run . -level avx2 -out ../avx2_amd64.s -stubs ../avx2_amd64.go -pkg vector

// ErrLevel: the machine lacks the instruction level, or there is none of the name.
var ErrLevel = errors.New("vector: no such instruction level")

// Set is the operations at one instruction level.
type Set struct {
	// Name is that of the level: "portable", "avx2", "avx512".
	Name string

	columns int    // of a panel
	tiles   []tile // from the tallest to one of a single row
	rows    rowFuncs
	peak    func(rounds int) // nil: none
	lanes   int              // of a register; 0: no assembly
}

// tile computes rows rows of a panel at a time.
type tile struct {
	rows int
	run  tileFunc
}

// tileFunc computes c[i, j] = Σ a[i, k]·b[k, j] for the rows i of a tile, the
// columns j of a panel and terms k, at least one; with add it adds to c. Rows of c
// lie cRow bytes apart, numbers of a aRow and aTerm bytes along the two
// directions.
type tileFunc func(c *float32, cRow uintptr, a *float32, aRow, aTerm uintptr, b *float32, terms int, add bool)

// rowFuncs are the operations on rows of n numbers, n a multiple of the lanes. A
// set without them computes in Go.
type rowFuncs struct {
	dot          func(x, y *float32, n int) float32
	tripleDot    func(x, y, z *float32, n int) float32
	addProduct   func(sum, x, y *float32, n int)
	multiply     func(out, x, y *float32, n int)
	normBackward func(dx, dgain, dy, x, gain *float32, n int, inverse, shrink float32)
	largest      func(x *float32, n int) float32
	toSteps      func(out, x *float32, n int, step float32)
	gate         func(y, a, g *float32, n int)
	gateBackward func(da, dg, dy, a, g *float32, n int)
	exponentials func(out, x *float32, n int, shift float32) float32
}

// Available lists the sets of this machine, the fastest first; the last is
// portable.
func Available() []*Set { return append(native(), portable()) }

// Best is the fastest set of this machine.
func Best() *Set { return Available()[0] }

// Named is the set of a name. Errors: [ErrLevel], which lists those there are.
func Named(name string) (*Set, error) {
	var names []string
	for _, s := range Available() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("%w: %q; this machine has %s", ErrLevel, name, strings.Join(names, ", "))
}

// FusedPeak does rounds of fused multiply-adds in the registers of one processor,
// the most it can do. ok is false if the set has no assembly.
func (s *Set) FusedPeak(rounds int) (multiplications int64, ok bool) {
	if s.peak == nil || rounds < 1 {
		return 0, false
	}
	s.peak(rounds)
	const chains = 12
	return int64(rounds) * chains * int64(s.lanes), true
}

// whole is how many of n numbers the assembly takes; the rest is computed in Go.
func (s *Set) whole(n int) int {
	if s.lanes == 0 {
		return 0
	}
	return n &^ (s.lanes - 1)
}

// Dot returns Σ x[c]·y[c].
//
//	x, y [n]
func (s *Set) Dot(x, y []float32) float32 {
	y = y[:len(x)]
	n, sum := s.whole(len(x)), float32(0)
	if n > 0 {
		sum = s.rows.dot(&x[0], &y[0], n)
	}
	for c := n; c < len(x); c++ {
		sum += x[c] * y[c]
	}
	return sum
}

// TripleDot returns Σ x[c]·y[c]·z[c].
//
//	x, y, z [n]
func (s *Set) TripleDot(x, y, z []float32) float32 {
	y, z = y[:len(x)], z[:len(x)]
	n, sum := s.whole(len(x)), float32(0)
	if n > 0 {
		sum = s.rows.tripleDot(&x[0], &y[0], &z[0], n)
	}
	for c := n; c < len(x); c++ {
		sum += x[c] * y[c] * z[c]
	}
	return sum
}

// AddProduct computes sum[c] += x[c]·y[c].
//
//	sum, x, y [n]
func (s *Set) AddProduct(sum, x, y []float32) {
	x, y = x[:len(sum)], y[:len(sum)]
	n := s.whole(len(sum))
	if n > 0 {
		s.rows.addProduct(&sum[0], &x[0], &y[0], n)
	}
	for c := n; c < len(sum); c++ {
		sum[c] += x[c] * y[c]
	}
}

// Multiply computes out[c] = x[c]·y[c].
//
//	out, x, y [n]; out may be x or y
func (s *Set) Multiply(out, x, y []float32) {
	x, y = x[:len(out)], y[:len(out)]
	n := s.whole(len(out))
	if n > 0 {
		s.rows.multiply(&out[0], &x[0], &y[0], n)
	}
	for c := n; c < len(out); c++ {
		out[c] = x[c] * y[c]
	}
}

// NormBackward adds the gradients of y = x·inverse·gain, where inverse is
// 1/√(Σx²/n + eps), to dx and dgain.
//
//	dx, dgain, dy, x, gain [n]
func (s *Set) NormBackward(dx, dgain, dy, x, gain []float32, inverse float32) {
	dgain, dy, x, gain = dgain[:len(dx)], dy[:len(dx)], x[:len(dx)], gain[:len(dx)]
	shrink := s.TripleDot(dy, gain, x) * inverse * inverse * inverse / float32(len(x))
	n := s.whole(len(dx))
	if n > 0 {
		s.rows.normBackward(&dx[0], &dgain[0], &dy[0], &x[0], &gain[0], n, inverse, shrink)
	}
	for c := n; c < len(dx); c++ {
		slope := dy[c] * inverse
		dgain[c] += slope * x[c]
		dx[c] += slope*gain[c] - x[c]*shrink
	}
}

// ToInt8Steps rounds a row to what int8 numbers with one scale can say: the
// quantization of activations, kept as float32 numbers.
//
//	out, x [n]; out may be x
func (s *Set) ToInt8Steps(out, x []float32) {
	out = out[:len(x)]
	n, most := s.whole(len(x)), float32(0)
	if n > 0 {
		most = s.rows.largest(&x[0], n)
	}
	for _, v := range x[n:] {
		most = max(most, float32(math.Abs(float64(v))))
	}
	step := most / 127
	if step < 0x1p-126 {
		clear(out)
		return
	}
	if n > 0 {
		s.rows.toSteps(&out[0], &x[0], n, step)
	}
	for c := n; c < len(x); c++ {
		out[c] = step * float32(math.RoundToEven(float64(x[c]/step)))
	}
}

// Gate computes y = SiLU(a)·σ(g).
//
//	y, a, g [n]; y may be a or g
func (s *Set) Gate(y, a, g []float32) {
	a, g = a[:len(y)], g[:len(y)]
	n := s.whole(len(y))
	if n > 0 {
		s.rows.gate(&y[0], &a[0], &g[0], n)
	}
	for c := n; c < len(y); c++ {
		y[c] = a[c] * sigmoid(a[c]) * sigmoid(g[c])
	}
}

// GateBackward computes the gradients of y = SiLU(a)·σ(g) from that of y.
//
//	da, dg, dy, a, g [n]; da may be dy or a, dg may be g
func (s *Set) GateBackward(da, dg, dy, a, g []float32) {
	dg, dy, a, g = dg[:len(da)], dy[:len(da)], a[:len(da)], g[:len(da)]
	n := s.whole(len(da))
	if n > 0 {
		s.rows.gateBackward(&da[0], &dg[0], &dy[0], &a[0], &g[0], n)
	}
	for c := n; c < len(da); c++ {
		left, right := sigmoid(a[c]), sigmoid(g[c])
		slope, in := dy[c]*left*right, a[c]
		da[c] = slope * (1 + in*(1-left))
		dg[c] = slope * in * (1 - right)
	}
}

// Exponentials computes out[c] = e^(x[c]-shift) and returns their sum.
//
//	out, x [n]; out may be x
func (s *Set) Exponentials(out, x []float32, shift float32) float32 {
	out = out[:len(x)]
	n, sum := s.whole(len(x)), float32(0)
	if n > 0 {
		sum = s.rows.exponentials(&out[0], &x[0], n, shift)
	}
	for c := n; c < len(x); c++ {
		out[c] = exp(x[c] - shift)
		sum += out[c]
	}
	return sum
}

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

func sigmoid(x float32) float32 { return 1 / (1 + exp(-x)) }
