package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// close reports whether got is within relative error of want, measured against
// size, the sum of the magnitudes that went in.
func closeTo(got float32, want, size, relative float64) bool {
	return math.Abs(float64(got)-want) <= relative*size+1e-37
}

func TestMatMulAgainstFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, cols := range widths() {
		const n, rows = 2, 3
		x, w, y := sources[0].row(r, n*cols), sources[0].row(r, rows*cols), make([]float32, n*rows)
		portableMatMul(y, x, w, n, rows, cols, 0, rows)
		for i := range n {
			for j := range rows {
				var want, size float64
				for c := range cols {
					p := float64(x[i*cols+c]) * float64(w[j*cols+c])
					want += p
					size += math.Abs(p)
				}
				if !closeTo(y[i*rows+j], want, size, 1e-6*math.Sqrt(float64(cols))) {
					t.Errorf("cols %d: y[%d, %d] is %v, want %v", cols, i, j, y[i*rows+j], want)
				}
			}
		}
	}
}

// TestDotFollowsTheRule compares Dot and Sum with the rule for sums written out
// as EXACT words it.
func TestDotFollowsTheRule(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	rule := func(n int, term func(i int) float32) float32 {
		var lane [32]float32
		for i := range n {
			lane[i%32] = lane[i%32] + term(i)
		}
		for _, half := range []int{16, 8, 4, 2, 1} {
			for j := range half {
				lane[j] = lane[j] + lane[j+half]
			}
		}
		return lane[0]
	}
	for _, src := range sources {
		for _, n := range append(widths(), 0) {
			a, b := src.row(r, n), src.row(r, n)
			if got, want := Dot(a, b), rule(n, func(i int) float32 { return float32(a[i] * b[i]) }); !same(got, want) {
				t.Fatalf("%s, n %d: Dot %v, want %v", src.name, n, got, want)
			}
			if got, want := Sum(a), rule(n, func(i int) float32 { return a[i] }); !same(got, want) {
				t.Fatalf("%s, n %d: Sum %v, want %v", src.name, n, got, want)
			}
		}
	}
}

func TestRMSNormAgainstFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, d := range widths() {
		x, gain, out := sources[0].row(r, d), sources[0].row(r, d), make([]float32, d)
		portableRMSNorm(out, x, gain, 1e-5)
		var squares float64
		for _, v := range x {
			squares += float64(v) * float64(v)
		}
		root := math.Sqrt(squares/float64(d) + 1e-5)
		for c := range out {
			want := float64(x[c]) / root * float64(gain[c])
			if !closeTo(out[c], want, math.Abs(want), 3e-6) {
				t.Fatalf("d %d: out[%d] is %v, want %v", d, c, out[c], want)
			}
		}
	}
}

func TestConvAgainstFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	const width = 9
	for count := 1; count <= 5; count++ {
		taps, out := make([][]float32, count), make([]float32, width)
		for k := range taps {
			taps[k] = sources[0].row(r, width)
		}
		w := sources[0].row(r, count*width)
		portableConv(out, taps, w)
		for c := range out {
			var want, size float64
			for k, tap := range taps {
				p := float64(tap[c]) * float64(w[k*width+c])
				want += p
				size += math.Abs(p)
			}
			if !closeTo(out[c], want, size, 1e-6) {
				t.Errorf("%d taps: out[%d] is %v, want %v", count, c, out[c], want)
			}
		}
	}
}

func TestGateAgainstFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	sigma := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	for range 2000 {
		a, g, y := float32(8*r.NormFloat64()), float32(8*r.NormFloat64()), []float32{0}
		portableGate(y, []float32{a}, []float32{g})
		want := float64(a) * sigma(float64(a)) * sigma(float64(g))
		if !closeTo(y[0], want, math.Abs(want), 1e-6) {
			t.Fatalf("gate of %v and %v is %v, want %v", a, g, y[0], want)
		}
	}
}

// TestGateAtTheEnds: far out the gate is a·1 or 0, never not-a-number.
func TestGateAtTheEnds(t *testing.T) {
	const most = math.MaxFloat32
	for _, c := range []struct{ a, g, want float32 }{
		{0, 0, 0}, {most, most, most}, {most, -most, 0}, {-most, most, 0}, {-most, -most, 0},
		{100, 100, 100}, {1, 200, Sigmoid(1)},
	} {
		y := []float32{7}
		portableGate(y, []float32{c.a}, []float32{c.g})
		if y[0] != c.want {
			t.Errorf("gate of %v and %v is %v, want %v", c.a, c.g, y[0], c.want)
		}
	}
}

func TestNotFiniteStaysSo(t *testing.T) {
	infinity, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, s := range Available() {
		t.Run(s.Name, func(t *testing.T) {
			for _, bad := range []float32{infinity, -infinity, nan} {
				row := []float32{1, 2, bad}
				if s.RoundBF16(row); finite(row[2]) {
					t.Errorf("RoundBF16(%v) is %v", bad, row[2])
				}
				row = []float32{1, 2, bad}
				if s.AddScaled(row, []float32{1, 1, 1}, 2); finite(row[2]) {
					t.Errorf("AddScaled to %v is %v", bad, row[2])
				}
				y := []float32{0}
				if s.MatMul(y, []float32{1, 2, bad}, []float32{1, 1, 1}, 1, 1, 3, 0, 1); finite(y[0]) {
					t.Errorf("MatMul with %v is %v", bad, y[0])
				}
			}
			y := []float32{0, 0}
			if s.Gate(y, []float32{nan, 1}, []float32{1, nan}); finite(y[0]) || finite(y[1]) {
				t.Errorf("Gate of not-a-number is %v", y)
			}
		})
	}
}

// TestRoundBF16 compares with the nearer of the two bfloat16 around v.
func TestRoundBF16(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	check := func(v float32) {
		t.Helper()
		bits := math.Float32bits(v)
		down, up := bits&^0xffff, bits&^0xffff+0x10000 // towards and away from zero
		want := down
		switch rest := bits & 0xffff; {
		case rest > 0x8000, rest == 0x8000 && down&0x10000 != 0:
			want = up
		}
		if got := math.Float32bits(RoundBF16(v)); got != want {
			t.Fatalf("RoundBF16(%08x) is %08x, want %08x", bits, got, want)
		}
	}
	for _, v := range extremes {
		check(v)
	}
	for range 20000 {
		v := finiteBits(r.Uint32())
		check(v)
		check(math.Float32frombits(math.Float32bits(v)&^0xffff | 0x8000)) // a tie
	}
}

// TestLawRanges: a product computed range by range is the whole product.
func TestLawRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	const n, rows, cols = 5, 41, 77
	x, w := sources[0].row(r, n*cols), sources[0].row(r, rows*cols)
	for _, s := range Available() {
		whole := make([]float32, n*rows)
		s.MatMul(whole, x, w, n, rows, cols, 0, rows)
		for range 200 {
			cut := make([]float32, n*rows)
			for lo := 0; lo < rows; {
				hi := lo + 1 + r.IntN(rows-lo)
				s.MatMul(cut, x, w, n, rows, cols, lo, hi)
				lo = hi
			}
			wantSame(t, s.Name, cut, whole)
		}
	}
}

// TestLawRows: each row of a product is the product of that row alone.
func TestLawRows(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	const n, rows, cols = 11, 13, 100
	x, w := sources[0].row(r, n*cols), sources[0].row(r, rows*cols)
	for _, s := range Available() {
		whole, one := make([]float32, n*rows), make([]float32, rows)
		s.MatMul(whole, x, w, n, rows, cols, 0, rows)
		for i := range n {
			s.MatMul(one, x[i*cols:(i+1)*cols], w, 1, rows, cols, 0, rows)
			wantSame(t, s.Name, one, whole[i*rows:(i+1)*rows])
		}
	}
}

// TestWrongLengthPanics: a slice that is too short panics before anything is
// written, in every Set.
func TestWrongLengthPanics(t *testing.T) {
	row := func(n int) []float32 { return make([]float32, n) }
	for _, s := range Available() {
		for name, call := range map[string]func(){
			"MatMul y":    func() { s.MatMul(row(5), row(8), row(12), 2, 3, 4, 0, 3) },
			"MatMul x":    func() { s.MatMul(row(6), row(7), row(12), 2, 3, 4, 0, 3) },
			"MatMul w":    func() { s.MatMul(row(6), row(8), row(11), 2, 3, 4, 0, 3) },
			"MatMul hi":   func() { s.MatMul(row(6), row(8), row(12), 2, 3, 4, 0, 4) },
			"MatMul lo":   func() { s.MatMul(row(6), row(8), row(12), 2, 3, 4, -1, 3) },
			"RMSNorm out": func() { s.RMSNorm(row(3), row(4), row(4), 1) },
			"RMSNorm w":   func() { s.RMSNorm(row(4), row(4), row(3), 1) },
			"Conv tap":    func() { s.Conv(row(4), [][]float32{row(4), row(3)}, row(8)) },
			"Conv w":      func() { s.Conv(row(4), [][]float32{row(4), row(4)}, row(7)) },
			"Gate a":      func() { s.Gate(row(4), row(3), row(4)) },
			"Gate g":      func() { s.Gate(row(4), row(4), row(3)) },
			"AddScaled t": func() { s.AddScaled(row(4), row(3), 1) },
		} {
			if recovered(call) == nil {
				t.Errorf("%s: %s too short: no panic", s.Name, name)
			}
		}
	}
}
