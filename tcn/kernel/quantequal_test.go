package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/cpu"
)

// everyQuantized runs check with every Set of this machine and, where it has the
// newer instructions, with the products that a machine without them gets.
func everyQuantized(t *testing.T, check func(t *testing.T, s *Set)) {
	t.Helper()
	sets := Available()
	if len(sets) > 2 && cpu.X86.HasAVX512VNNI {
		old := *sets[0]
		old.Name, old.MatMulQ2, old.MatMulQ8 = "avx512 without vnni", sets[1].MatMulQ2, sets[1].MatMulQ8
		sets = append(sets, &old)
	}
	for _, s := range sets {
		t.Run(s.Name, func(t *testing.T) { check(t, s) })
	}
}

// signsOf packs one random bit for each of n columns.
func signsOf(r *rand.Rand, n int) []byte {
	signs := make([]byte, (n+7)/8)
	for i := range signs {
		signs[i] = byte(r.Uint32())
	}
	if n%8 != 0 {
		signs[len(signs)-1] &= 1<<(n%8) - 1
	}
	return signs
}

// naiveHadamard transforms by halves: the transform of a block is that of its
// halves, then their sums and differences. Strides come in the same order.
func naiveHadamard(x []float32, signs []byte) []float32 {
	out := make([]float32, 0, len(x))
	for c, v := range x {
		if signs[c/8]&(1<<(c%8)) != 0 {
			v = -v
		}
		out = append(out, v)
	}
	block := 1
	for len(x)%(2*block) == 0 && 2*block <= 1024 {
		block *= 2
	}
	var halves func(x []float32) []float32
	halves = func(x []float32) []float32 {
		if len(x) == 1 {
			return x
		}
		a, b := halves(x[:len(x)/2]), halves(x[len(x)/2:])
		var sums, differences []float32
		for i := range a {
			sums, differences = append(sums, a[i]+b[i]), append(differences, a[i]-b[i])
		}
		return append(sums, differences...)
	}
	for lo := 0; lo < len(x); lo += block {
		copy(out[lo:], halves(out[lo:lo+block:lo+block]))
	}
	return out
}

// naiveInt8 is EXACT's rule for a row of finite numbers, in float64 where that
// rounds once.
func naiveInt8(x []float32) (q []int8, scale float32) {
	largest := 0.0
	for _, v := range x {
		largest = max(largest, math.Abs(float64(v)))
	}
	q = make([]int8, len(x))
	scale = float32(largest / 127)
	if scale < 0x1p-126 {
		return q, 0
	}
	for c, v := range x {
		q[c] = int8(max(-127, min(127, math.RoundToEven(float64(float32(float64(v)/float64(scale)))))))
	}
	return q, scale
}

// quantWidths adds to widths those with whole rotation blocks of every size.
func quantWidths() []int {
	all := append(widths(), 192, 320, 384, 640, 768, 1536, 2560, 3072, 5120, 8192, longRow)
	return append(all, 0)
}

func TestHadamard(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, src := range sources {
			for _, width := range quantWidths() {
				checkHadamard(t, s, fmt.Sprintf("%s, width %d", src.name, width), src.row(r, width), signsOf(r, width))
			}
		}
	})
}

func checkHadamard(t *testing.T, s *Set, what string, x []float32, signs []byte) {
	t.Helper()
	want := naiveHadamard(x, signs)
	in, out := newGuarded(x), newGuarded(make([]float32, len(x)))
	s.Hadamard(out.part, in.part, signs)
	wantSame(t, "Hadamard, "+what, out.part, want)
	out.check(t, "Hadamard, "+what)
	s.Hadamard(in.part, in.part, signs)
	wantSame(t, "Hadamard in place, "+what, in.part, want)
	in.check(t, "Hadamard in place, "+what)
}

// TestHadamardTwice: the transform of a transform is the row times the block.
func TestHadamardTwice(t *testing.T) {
	for _, width := range []int{1, 6, 48, 1024, 4096, 4097} {
		x, signs := make([]float32, width), make([]byte, (width+7)/8)
		for c := range x {
			x[c] = float32(c%17 - 8)
		}
		out := make([]float32, width)
		Best().Hadamard(out, x, signs)
		Best().Hadamard(out, out, signs)
		for c := range x {
			if out[c] != x[c]*float32(HadamardBlock(width)) {
				t.Fatalf("width %d: [%d] is %v, want %v times %d", width, c, out[c], x[c], HadamardBlock(width))
			}
		}
	}
}

func TestHadamardBlock(t *testing.T) {
	for width, want := range map[int]int{
		0: 0, 1: 1, 2: 2, 3: 1, 12: 4, 768: 256, 1024: 1024, 2048: 1024, 4096: 1024, 4097: 1, 1536: 512, 3 << 20: 1024,
	} {
		if got := HadamardBlock(width); got != want {
			t.Errorf("HadamardBlock(%d) is %d, want %d", width, got, want)
		}
	}
}

// quantSources are sources with rows that try the scale: ties, one outlier, the
// ends of the normal numbers.
var quantSources = append([]source{
	{"ties", func(r *rand.Rand, i int) float32 {
		if i == 0 {
			return 127
		}
		return float32(r.IntN(508)-254) / 2
	}},
	{"near ties", func(r *rand.Rand, i int) float32 {
		if i == 0 {
			return 127 * 0.3
		}
		tie := math.Float32bits(float32(2*r.IntN(127)+1) * (0.15 - 0.3*float32(r.IntN(2))))
		return math.Float32frombits(tie + uint32(r.IntN(9)) - 4) // some steps beside it
	}},
	{"outlier", func(r *rand.Rand, i int) float32 {
		if i == 0 {
			return 1e30
		}
		return float32(r.NormFloat64())
	}},
	{"around the smallest scale", func(r *rand.Rand, _ int) float32 {
		return math.Float32frombits(uint32(127<<16) + uint32(r.IntN(16<<23)))
	}},
	{"positive zeros", func(*rand.Rand, int) float32 { return 0 }},
}, sources...)

func TestQuantizeRow(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, src := range quantSources {
			for _, width := range quantWidths() {
				checkQuantizeRow(t, s, r, fmt.Sprintf("%s, width %d", src.name, width), src.row(r, width))
			}
		}
	})
}

// checkQuantizeRow quantizes x as one row among others, which must stay.
func checkQuantizeRow(t *testing.T, s *Set, r *rand.Rand, what string, x []float32) {
	t.Helper()
	n := 1 + r.IntN(4)
	i := r.IntN(n)
	var rows Int8Rows
	rows.Reset(n, len(x))
	for k := range rows.Q {
		rows.Q[k] = 99
	}
	if !s.QuantizeRow(&rows, i, newGuarded(x).part) {
		t.Fatalf("%s: a row of finite numbers was refused", what)
	}
	want, scale := naiveInt8(x)
	sum := int32(0)
	for c, v := range want {
		if rows.At(i, c) != v {
			t.Fatalf("%s: [%d] = %v over %v is %d, want %d", what, c, x[c], scale, rows.At(i, c), v)
		}
		sum += int32(v)
	}
	if rows.Scale[i] != scale || rows.Sum[i] != sum {
		t.Fatalf("%s: scale %v and sum %d, want %v and %d", what, rows.Scale[i], rows.Sum[i], scale, sum)
	}
	for k, v := range rows.Q {
		column := k/(n*LineCols)*LineCols + k%LineCols
		switch {
		case k/LineCols%n != i:
			if v != 99 {
				t.Fatalf("%s: wrote into another row at %d", what, k)
			}
		case column >= len(x) && v != 0:
			t.Fatalf("%s: column %d past the end is %d", what, column, v)
		}
	}
}

// TestNotFinite: such a row is refused, and all its results are not a number.
func TestNotFinite(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		for _, width := range []int{1, 15, 16, 31, 32, 33, 64, 100, 1000} {
			for _, bad := range []float64{math.Inf(1), math.Inf(-1), math.NaN()} {
				for _, at := range []int{0, width / 2, width - 1} {
					x := make([]float32, width)
					x[at] = float32(bad)
					var rows Int8Rows
					rows.Reset(2, width)
					if s.QuantizeRow(&rows, 0, x) || !s.QuantizeRow(&rows, 1, make([]float32, width)) {
						t.Fatalf("width %d: %v at %d was not refused, or zeros were", width, bad, at)
					}
					y := make([]float32, 2*20)
					s.MatMulQ2(y, &rows, make([]byte, 2*Groups(width)*GroupBytesQ2), ones(20), 20, 0, 20)
					for k, v := range y {
						if k < 20 == (v == v) {
							t.Fatalf("width %d: result %d is %v", width, k, v)
						}
					}
				}
			}
		}
	})
}

// naiveProduct is the quantized product by its definition; weight(r, c) is the
// integer weight.
func naiveProduct(x *Int8Rows, rows int, scale []float32, weight func(r, c int) int) []float32 {
	y := make([]float32, x.N*rows)
	for i := range x.N {
		for r := range rows {
			acc := int64(0)
			for c := range x.Cols {
				acc += int64(x.At(i, c)) * int64(weight(r, c))
			}
			y[i*rows+r] = float32(float32(acc)*x.Scale[i]) * scale[r]
		}
	}
	return y
}

// Where the layout keeps the weight of row r and column c of a matrix of cols
// columns.
func weightQ2(codes []byte, cols, r, c int) int {
	line := codes[(r/16*Groups(cols)+c/16)*64:]
	return 2*int(line[r%16*4+c%4]>>(c%16/4*2)&3) - 3
}

func weightQ8(codes []byte, cols, r, c int) int {
	group := codes[(r/16*Groups(cols)+c/16)*256:]
	return int(int8(group[c%16/4*64+r%16*4+c%4]))
}

// bytesOf makes n codes.
type bytesOf struct {
	name string
	next func(r *rand.Rand) byte
}

var codeSources = []bytesOf{
	{"random", func(r *rand.Rand) byte { return byte(r.Uint32()) }},
	{"all ones", func(*rand.Rand) byte { return 0xff }},
	{"zeros", func(*rand.Rand) byte { return 0 }},
	{"extremes", func(r *rand.Rand) byte { return []byte{0x7f, 0x81, 0x80, 0xc0, 0x03}[r.IntN(5)] }},
}

// int8Sources fill a row of int8 numbers.
var int8Sources = map[string]func(r *rand.Rand) int8{
	"random":   func(r *rand.Rand) int8 { return int8(r.IntN(255) - 127) },
	"largest":  func(*rand.Rand) int8 { return 127 },
	"smallest": func(*rand.Rand) int8 { return -127 },
	"ends":     func(r *rand.Rand) int8 { return int8(254*r.IntN(2) - 127) },
}

// int8Rows makes n rows of cols numbers with a scale each.
func int8Rows(r *rand.Rand, n, cols int, next func(r *rand.Rand) int8) *Int8Rows {
	x := new(Int8Rows)
	x.Reset(n, cols)
	clear(x.Q)
	for i := range n {
		x.Scale[i], x.Sum[i] = float32(r.NormFloat64()), 0
		for c := range cols {
			v := next(r)
			x.group(c/LineCols, i)[c%LineCols] = v
			x.Sum[i] += int32(v)
		}
	}
	return x
}

func TestProducts(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(9, 10))
		for _, codes := range codeSources {
			for name, next := range int8Sources {
				for range 20 {
					checkProducts(t, s, r, name, codes, next, r.IntN(60), 1+r.IntN(50), 1+r.IntN(60))
				}
			}
		}
		for n := range 60 {
			checkProducts(t, s, r, "random", codeSources[0], int8Sources["random"], n, 1+r.IntN(50), 1+r.IntN(60))
		}
		for _, cols := range quantWidths() {
			checkProducts(t, s, r, "ends", codeSources[0], int8Sources["ends"], 1+r.IntN(3), 1+r.IntN(40), cols)
		}
		// Sizes past those at which work is cut into panels and calls.
		checkProducts(t, s, r, "random", codeSources[0], int8Sources["random"], 27, 700, 1100)
	})
}

// TestWidestProducts: the largest sums there can be fit.
func TestWidestProducts(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(11, 12))
		for name, next := range int8Sources {
			for _, codes := range codeSources {
				for _, n := range []int{1, 2} { // one row alone has sums of its own at some levels
					checkProducts(t, s, r, name, codes, next, n, 3, MaxFanIn)
				}
			}
		}
	})
}

// checkProducts compares both products over a random range of rows, by blocks.
func checkProducts(t *testing.T, s *Set, r *rand.Rand, name string, from bytesOf, next func(*rand.Rand) int8, n, rows, cols int) {
	t.Helper()
	x := int8Rows(r, n, cols, next)
	blocks := (rows + LineRows - 1) / LineRows
	scale := newGuarded(sources[0].row(r, rows)).part
	lo := r.IntN(blocks+1) * LineRows
	hi := min(lo+r.IntN(blocks+1)*LineRows, rows)
	if lo > hi || r.IntN(2) == 0 {
		lo, hi = 0, rows
	}
	for _, format := range []struct {
		name       string
		groupBytes int
		run        func([]float32, *Int8Rows, []byte, []float32, int, int, int)
		weight     func(codes []byte, cols, r, c int) int
	}{
		{"MatMulQ2", GroupBytesQ2, s.MatMulQ2, weightQ2},
		{"MatMulQ8", GroupBytesQ8, s.MatMulQ8, weightQ8},
	} {
		codes := make([]byte, blocks*Groups(cols)*format.groupBytes)
		for i := range codes {
			codes[i] = from.next(r)
		}
		all := naiveProduct(x, rows, scale, func(r, c int) int { return format.weight(codes, cols, r, c) })
		got := newGuarded(ones(n * rows))
		want := ones(n * rows) // what is outside the range stays
		for i := range n {
			copy(want[i*rows+lo:i*rows+hi], all[i*rows+lo:])
		}
		format.run(got.part, x, codes, scale, rows, lo, hi)
		what := fmt.Sprintf("%s of %s codes and %s rows, n %d, rows %d, cols %d, range %d-%d",
			format.name, from.name, name, n, rows, cols, lo, hi)
		wantSame(t, what, got.part, want)
		got.check(t, what)
	}
}

// TestProductsRefuse: sizes that do not fit panic before anything is read.
func TestProductsRefuse(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(13, 14))
		wide := int8Rows(r, 1, MaxFanIn+1, int8Sources["random"])
		for name, run := range map[string]func(x *Int8Rows){
			"range within a block": func(x *Int8Rows) { s.MatMulQ2(ones(40), x, make([]byte, 192), ones(40), 40, 8, 40) },
			"end within a block":   func(x *Int8Rows) { s.MatMulQ2(ones(40), x, make([]byte, 192), ones(40), 40, 0, 24) },
			"range past the end":   func(x *Int8Rows) { s.MatMulQ2(ones(40), x, make([]byte, 192), ones(40), 40, 0, 48) },
			"range reversed":       func(x *Int8Rows) { s.MatMulQ2(ones(40), x, make([]byte, 192), ones(40), 40, 32, 16) },
			"few codes":            func(x *Int8Rows) { s.MatMulQ2(ones(40), x, make([]byte, 191), ones(40), 40, 0, 40) },
			"few 8-bit codes":      func(x *Int8Rows) { s.MatMulQ8(ones(40), x, make([]byte, 767), ones(40), 40, 0, 40) },
			"few scales":           func(x *Int8Rows) { s.MatMulQ2(ones(40), x, make([]byte, 192), ones(39), 40, 0, 40) },
			"few results":          func(x *Int8Rows) { s.MatMulQ2(ones(39), x, make([]byte, 192), ones(40), 40, 0, 40) },
			"too wide":             func(*Int8Rows) { s.MatMulQ2(ones(1), wide, make([]byte, 64*Groups(wide.Cols)), ones(1), 1, 0, 1) },
			"rows without Reset": func(x *Int8Rows) {
				s.MatMulQ2(ones(40), &Int8Rows{N: 1, Cols: 16}, make([]byte, 192), ones(40), 40, 0, 40)
			},
			"row past the last":    func(x *Int8Rows) { s.QuantizeRow(x, 1, ones(16)) },
			"row of another width": func(x *Int8Rows) { s.QuantizeRow(x, 0, ones(17)) },
			"few signs":            func(*Int8Rows) { s.Hadamard(ones(64), ones(64), make([]byte, 7)) },
		} {
			x := int8Rows(r, 1, 16, int8Sources["random"])
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", name)
					}
				}()
				run(x)
			}()
		}
	})
}

// TestQuantizedAllocatesNothing: scratch is the caller's.
func TestQuantizedAllocatesNothing(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		const n, rows, cols = 3, 40, 1030
		x, y, scale, signs := ones(cols), ones(n*rows), ones(rows), make([]byte, (cols+7)/8)
		q2, q8 := make([]byte, 3*Groups(cols)*GroupBytesQ2), make([]byte, 3*Groups(cols)*GroupBytesQ8)
		var int8s Int8Rows
		if allocations := testing.AllocsPerRun(10, func() {
			int8s.Reset(n, cols)
			s.Hadamard(x, x, signs)
			for i := range n {
				s.QuantizeRow(&int8s, i, x)
			}
			s.MatMulQ2(y, &int8s, q2, scale, rows, 0, rows)
			s.MatMulQ8(y, &int8s, q8, scale, rows, 0, rows)
		}); allocations != 0 {
			t.Errorf("%v allocations", allocations)
		}
	})
}
