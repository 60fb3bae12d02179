package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// everyNative runs check with every Set of this machine that is not the
// normative one.
func everyNative(t *testing.T, check func(t *testing.T, s *Set)) {
	t.Helper()
	sets := native()
	if len(sets) == 0 {
		t.Skip("this machine has only the portable level")
	}
	for _, s := range sets {
		t.Run(s.Name, func(t *testing.T) { check(t, s) })
	}
}

// same reports whether two results are equal to the bit; numbers that are not
// finite are equal to one another.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || !finite(a) && !finite(b)
}

func finite(v float32) bool { return math.Float32bits(v)&0x7f800000 != 0x7f800000 }

// wantSame fails at the first number that differs, and if anything outside
// [0, len(want)) of the guarded slice was written.
func wantSame(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if !same(got[i], want[i]) {
			t.Fatalf("%s: [%d] is %x (%v), want %x (%v)", what, i,
				math.Float32bits(got[i]), got[i], math.Float32bits(want[i]), want[i])
		}
	}
}

// guarded is a slice with marked numbers before and behind, at an address that
// no vector instruction finds aligned.
type guarded struct{ all, part []float32 }

const guard = 37

func newGuarded(values []float32) *guarded {
	all := make([]float32, len(values)+2*guard)
	for i := range all {
		all[i] = -12345
	}
	part := all[guard : guard+len(values) : guard+len(values)]
	copy(part, values)
	return &guarded{all, part}
}

func (g *guarded) check(t *testing.T, what string) {
	t.Helper()
	for i := range guard {
		if g.all[i] != -12345 || g.all[len(g.all)-1-i] != -12345 {
			t.Fatalf("%s: wrote outside its slice, near %d", what, i)
		}
	}
}

// source names a way to fill a row.
type source struct {
	name string
	next func(r *rand.Rand, i int) float32
}

// extremes are numbers at the edges of float32 and of Exp's range.
var extremes = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1,
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
	1.1754944e-38, -1.1754942e-38, 1e-40, -3e-42,
	math.MaxFloat32, -math.MaxFloat32, 3e38, -2e19, 1.8446744e19,
	88.72283, -88.72284, 89, -89, 90, -103.97, -104, -105, 1000, -1000, 0.34657359, -0.34657359,
}

var sources = []source{
	{"normal", func(r *rand.Rand, _ int) float32 { return float32(r.NormFloat64()) }},
	{"bits", func(r *rand.Rand, _ int) float32 { return finiteBits(r.Uint32()) }},
	{"extremes", func(r *rand.Rand, _ int) float32 { return extremes[r.IntN(len(extremes))] }},
	{"denormal", func(r *rand.Rand, _ int) float32 {
		return math.Float32frombits(r.Uint32()&0x807fffff | uint32(r.IntN(2))<<23)
	}},
	{"mixed sizes", func(r *rand.Rand, _ int) float32 {
		return float32(math.Ldexp(r.NormFloat64(), r.IntN(60)-30))
	}},
	{"all equal", func(*rand.Rand, int) float32 { return 0.1 }},
	{"alternating", func(_ *rand.Rand, i int) float32 { return float32(1 - 2*(i%2)) }},
	{"zeros", func(r *rand.Rand, _ int) float32 { return float32(math.Copysign(0, r.NormFloat64())) }},
}

// finiteBits makes any pattern of bits a finite number.
func finiteBits(bits uint32) float32 {
	if bits&0x7f800000 == 0x7f800000 {
		bits ^= 0x40000000
	}
	return math.Float32frombits(bits)
}

func (s source) row(r *rand.Rand, n int) []float32 {
	row := make([]float32, n)
	for i := range row {
		row[i] = s.next(r, i)
	}
	return row
}

// widths go through every tail of a group of 32 lanes, and some sizes of models.
func widths() []int {
	var all []int
	last, step := 140, 1
	if testing.Short() { // fewer, but still every tail of 32
		last, step = 31*9+1, 9
	}
	for w := 1; w <= last; w += step {
		all = append(all, w)
	}
	return append(all, 255, 256, 257, 511, 512, 1000, 1023, 1024, 2048, 4095, 4096, 4097)
}

// Sizes past those at which the Sets in assembly cut their work in pieces.
const (
	longRow  = 16<<10 + 5
	manyRows = 4<<10 + 20 // of 16 columns
)

func TestRowsEqualPortable(t *testing.T) {
	everyNative(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, src := range sources {
			for _, width := range append(widths(), longRow) {
				equalRows(t, s, fmt.Sprintf("%s, width %d", src.name, width), width,
					func() []float32 { return src.row(r, width) })
			}
		}
	})
}

// equalRows compares every operation on rows between s and Portable; row makes
// an input.
func equalRows(t *testing.T, s *Set, what string, width int, row func() []float32) {
	t.Helper()
	normative := Portable()
	compare := func(name string, in []float32, run func(s *Set, inOut []float32)) {
		t.Helper()
		want, got := newGuarded(in), newGuarded(in)
		run(normative, want.part)
		run(s, got.part)
		wantSame(t, name+", "+what, got.part, want.part)
		got.check(t, name+", "+what)
	}
	blank := make([]float32, width)
	a, b := newGuarded(row()).part, newGuarded(row()).part
	compare("RMSNorm", blank, func(s *Set, out []float32) { s.RMSNorm(out, a, b, 1e-6) })
	compare("RMSNorm in place", a, func(s *Set, x []float32) { s.RMSNorm(x, x, b, 1e-6) })
	compare("RMSNorm without eps", blank, func(s *Set, out []float32) { s.RMSNorm(out, a, b, 0) })
	compare("Gate", blank, func(s *Set, y []float32) { s.Gate(y, a, b) })
	compare("Gate onto a", a, func(s *Set, y []float32) { s.Gate(y, y, b) })
	compare("Gate onto g", b, func(s *Set, y []float32) { s.Gate(y, a, y) })
	compare("AddScaled", a, func(s *Set, x []float32) { s.AddScaled(x, b, 0.3) })
	compare("RoundBF16", a, func(s *Set, x []float32) { s.RoundBF16(x) })
	for count := range 5 {
		taps := make([][]float32, count)
		w := make([]float32, 0, count*width)
		for k := range taps {
			taps[k] = newGuarded(row()).part
			w = append(w, row()...)
		}
		compare(fmt.Sprintf("Conv of %d", count), blank, func(s *Set, out []float32) { s.Conv(out, taps, w) })
	}
}

func TestMatMulEqualsPortable(t *testing.T) {
	everyNative(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, src := range sources {
			for _, cols := range widths() {
				n, rows := 1+r.IntN(9), 1+r.IntN(14)
				equalMatMul(t, s, src, r, n, rows, cols)
			}
			for n := range 9 {
				for rows := range 9 {
					equalMatMul(t, s, src, r, n+1, rows+1, 45)
				}
			}
		}
		for _, cols := range widths() { // every tile, of up to four rows, meets every tail
			for n := range 4 {
				for range 2 {
					equalMatMul(t, s, sources[0], r, n+1, 13, cols)
				}
			}
		}
		equalMatMul(t, s, sources[0], r, 3, manyRows, 16)
		equalMatMul(t, s, sources[0], r, 2, 0, 7)
		equalMatMul(t, s, sources[0], r, 0, 7, 7)
		equalMatMul(t, s, sources[0], r, 2, 3, 0)
	})
}

// equalMatMul compares one product over a random range of weight rows.
func equalMatMul(t *testing.T, s *Set, src source, r *rand.Rand, n, rows, cols int) {
	t.Helper()
	x, w := newGuarded(src.row(r, n*cols)), newGuarded(src.row(r, rows*cols))
	before := src.row(r, n*rows)
	want, got := newGuarded(before), newGuarded(before)
	lo := r.IntN(rows + 1)
	hi := lo + r.IntN(rows-lo+1)
	if r.IntN(2) == 0 {
		lo, hi = 0, rows
	}
	portableMatMul(want.part, x.part, w.part, n, rows, cols, lo, hi)
	s.MatMul(got.part, x.part, w.part, n, rows, cols, lo, hi)
	what := fmt.Sprintf("MatMul, %s, n %d, rows %d, cols %d, range %d-%d", src.name, n, rows, cols, lo, hi)
	wantSame(t, what, got.part, want.part)
	got.check(t, what)
}
