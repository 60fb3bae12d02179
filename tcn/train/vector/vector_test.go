package vector_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// randomRow draws n numbers.
func randomRow(random *rand.Rand, n int) []float32 {
	row := make([]float32, n)
	for i := range row {
		row[i] = float32(random.NormFloat64())
	}
	return row
}

// near fails unless got is within a few roundings of want, whose terms have the
// given size.
func near(t *testing.T, what string, got float32, want, size float64) {
	t.Helper()
	if diff := math.Abs(float64(got) - want); !(diff <= 2e-6*(size+1)) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// each runs a test on every level of the machine.
func each(t *testing.T, test func(t *testing.T, s *vector.Set)) {
	for _, s := range vector.Available() {
		t.Run(s.Name, func(t *testing.T) { test(t, s) })
	}
}

func TestProduct(t *testing.T) {
	shapes := [][3]int{{1, 1, 1}, {12, 32, 8}, {13, 33, 9}, {5, 16, 288}, {25, 70, 600}, {11, 31, 289}, {40, 192, 17}}
	each(t, func(t *testing.T, s *vector.Set) {
		random := rand.New(rand.NewPCG(1, 2))
		for _, shape := range shapes {
			for _, turned := range []bool{false, true} {
				for _, byColumn := range []bool{false, true} {
					for _, add := range []bool{false, true} {
						checkProduct(t, s, random, shape[0], shape[1], shape[2], turned, byColumn, add)
					}
				}
			}
		}
	})
}

// checkProduct compares one product with a naive one.
func checkProduct(t *testing.T, s *vector.Set, random *rand.Rand, rows, columns, terms int, turned, byColumn, add bool) {
	t.Helper()
	a, b, c := randomRow(random, rows*terms), randomRow(random, terms*columns), randomRow(random, rows*columns)
	before := append([]float32(nil), c...)
	left := vector.RowMajor(a, terms)
	if turned {
		left = vector.Turned(a, rows)
	}
	right := s.NewPanels(terms+1, columns+40)
	right.Reset(terms, columns)
	if byColumn {
		for j := range columns {
			column := make([]float32, terms)
			for k := range column {
				column[k] = b[k*columns+j]
			}
			right.SetColumn(j, column)
		}
		right.ClearTail()
	} else {
		for k := range terms {
			right.SetTerm(k, b[k*columns:])
		}
	}
	s.Product(c, columns, left, rows, right, add)
	for i := range rows {
		for j := range columns {
			want, size := 0.0, 0.0
			if add {
				want = float64(before[i*columns+j])
			}
			for k := range terms {
				p := float64(a[i*left.Row+k*left.Term]) * float64(b[k*columns+j])
				want, size = want+p, size+math.Abs(p)
			}
			near(t, fmt.Sprintf("[%d %d %d] turned %v add %v at %d, %d", rows, columns, terms, turned, add, i, j),
				c[i*columns+j], want, size)
		}
	}
}

func TestProductOfRowsIsTheSameHoweverShared(t *testing.T) {
	each(t, func(t *testing.T, s *vector.Set) {
		random := rand.New(rand.NewPCG(3, 4))
		const rows, columns, terms = 29, 40, 300
		a, right := randomRow(random, rows*terms), s.NewPanels(terms, columns)
		for k := range terms {
			right.SetTerm(k, randomRow(random, columns))
		}
		whole, parts := make([]float32, rows*columns), make([]float32, rows*columns)
		left := vector.RowMajor(a, terms)
		s.Product(whole, columns, left, rows, right, false)
		for lo := 0; lo < rows; {
			n := min(1+random.IntN(14), rows-lo)
			s.Product(parts[lo*columns:], columns, left.From(lo), n, right, false)
			lo += n
		}
		for i, v := range whole {
			if parts[i] != v {
				t.Fatalf("element %d: %v in parts, %v whole", i, parts[i], v)
			}
		}
	})
}

func TestRows(t *testing.T) {
	each(t, func(t *testing.T, s *vector.Set) {
		random := rand.New(rand.NewPCG(5, 6))
		for _, n := range []int{1, 7, 8, 16, 31, 48, 65, 192} {
			checkSums(t, s, random, n)
			checkGate(t, s, random, n)
			checkNorm(t, s, random, n)
			checkSteps(t, s, random, n)
		}
	})
}

func checkSums(t *testing.T, s *vector.Set, random *rand.Rand, n int) {
	t.Helper()
	x, y, z := randomRow(random, n), randomRow(random, n), randomRow(random, n)
	var dot, triple, size, exps float64
	for c := range n {
		dot += float64(x[c]) * float64(y[c])
		triple += float64(x[c]) * float64(y[c]) * float64(z[c])
		size += math.Abs(float64(x[c])) * (1 + math.Abs(float64(y[c]))) * (1 + math.Abs(float64(z[c])))
		exps += math.Exp(float64(x[c]) - 1)
	}
	near(t, "dot", s.Dot(x, y), dot, size)
	near(t, "triple dot", s.TripleDot(x, y, z), triple, size)
	out, sum := make([]float32, n), append([]float32(nil), z...)
	near(t, "sum of exponentials", s.Exponentials(out, x, 1), exps, exps)
	for c := range n {
		near(t, "exponential", out[c], math.Exp(float64(x[c])-1), 1)
	}
	s.AddProduct(sum, x, y)
	s.Multiply(out, x, y)
	for c := range n {
		near(t, "sum of products", sum[c], float64(z[c])+float64(x[c])*float64(y[c]), 4)
		near(t, "product", out[c], float64(x[c])*float64(y[c]), 4)
	}
}

func checkGate(t *testing.T, s *vector.Set, random *rand.Rand, n int) {
	t.Helper()
	gate := func(a, g float64) float64 { return a / (1 + math.Exp(-a)) / (1 + math.Exp(-g)) }
	a, g, dy := randomRow(random, n), randomRow(random, n), randomRow(random, n)
	a[0] = -200 // where e^-a would be infinite
	da, dg := make([]float32, n), make([]float32, n)
	s.GateBackward(da, dg, dy, a, g)
	y := make([]float32, n)
	s.Gate(y, a, g)
	const h = 1e-5
	for c := range n {
		at, gate0, slope := float64(a[c]), float64(g[c]), float64(dy[c])
		near(t, "gate", y[c], gate(at, gate0), 4)
		near(t, "da", da[c], slope*(gate(at+h, gate0)-gate(at-h, gate0))/(2*h), 4)
		near(t, "dg", dg[c], slope*(gate(at, gate0+h)-gate(at, gate0-h))/(2*h), 4)
	}
}

func checkNorm(t *testing.T, s *vector.Set, random *rand.Rand, n int) {
	t.Helper()
	const eps, h = 1e-6, 1e-5
	x, gain, dy := randomRow(random, n), randomRow(random, n), randomRow(random, n)
	inverseOf := func(changed int, by float64) float64 {
		sum := 0.0
		for c, v := range x {
			v := float64(v)
			if c == changed {
				v += by
			}
			sum += v * v
		}
		return 1 / math.Sqrt(sum/float64(n)+eps)
	}
	loss := func(changed int, by float64) float64 {
		inverse, sum := inverseOf(changed, by), 0.0
		for c, v := range x {
			v := float64(v)
			if c == changed {
				v += by
			}
			sum += float64(dy[c]) * float64(gain[c]) * v * inverse
		}
		return sum
	}
	dx, dgain := randomRow(random, n), make([]float32, n)
	before := append([]float32(nil), dx...)
	inverse := inverseOf(-1, 0)
	s.NormBackward(dx, dgain, dy, x, gain, float32(inverse))
	for c := range n {
		near(t, "dx", dx[c], float64(before[c])+(loss(c, h)-loss(c, -h))/(2*h), 100)
		near(t, "dgain", dgain[c], float64(dy[c])*float64(x[c])*inverse, 4)
	}
}

func checkSteps(t *testing.T, s *vector.Set, random *rand.Rand, n int) {
	t.Helper()
	x := randomRow(random, n)
	x[n-1] = -5
	out := make([]float32, n)
	s.ToInt8Steps(out, x)
	most := 0.0
	for _, v := range x {
		most = max(most, math.Abs(float64(v)))
	}
	step := float64(float32(most) / 127)
	for c := range n {
		near(t, "steps", out[c], step*math.RoundToEven(float64(x[c])/step), step)
	}
	clear(x)
	s.ToInt8Steps(out, x)
	for c := range n {
		if out[c] != 0 {
			t.Fatalf("steps of zeros: %v", out)
		}
	}
}

func TestNamed(t *testing.T) {
	if s, err := vector.Named("portable"); err != nil || s.Name != "portable" {
		t.Fatalf("portable: %v, %v", s, err)
	}
	if _, err := vector.Named("abacus"); !errors.Is(err, vector.ErrLevel) {
		t.Fatalf("abacus: %v", err)
	}
}

// The product [1, 2; 3, 4] · [5, 6; 7, 8].
func Example() {
	set := vector.Best()
	right := set.NewPanels(2, 2)
	right.SetTerm(0, []float32{5, 6})
	right.SetTerm(1, []float32{7, 8})
	c := make([]float32, 4)
	set.Product(c, 2, vector.RowMajor([]float32{1, 2, 3, 4}, 2), 2, right, false)
	fmt.Println(c)
	// Output:
	// [19 22 43 50]
}

// peakOf is the multiplications a second of all processors, in registers: each
// takes the best of many short bursts.
func peakOf(set *vector.Set) float64 {
	const rounds, bursts = 1 << 14, 200
	var group sync.WaitGroup
	best := make([]float64, runtime.GOMAXPROCS(0))
	for i := range best {
		group.Go(func() {
			for range bursts {
				began := time.Now()
				n, _ := set.FusedPeak(rounds)
				best[i] = max(best[i], float64(n)/time.Since(began).Seconds())
			}
		})
	}
	group.Wait()
	sum := 0.0
	for _, rate := range best {
		sum += rate
	}
	return sum
}

// BenchmarkProduct measures the three products of a layer of width 256 beside the
// processors' peak.
func BenchmarkProduct(b *testing.B) {
	const tokens, d, f = 2048, 256, 768
	for _, s := range vector.Available() {
		if _, ok := s.FusedPeak(1); !ok {
			continue
		}
		for _, shape := range []struct {
			name                 string
			rows, columns, terms int
			turned               bool
		}{
			{"forward", tokens, 2 * f, d, false},
			{"backward", tokens, d, 2 * f, false},
			{"weights", 2 * f, d, tokens, true},
		} {
			b.Run(s.Name+"/"+shape.name, func(b *testing.B) {
				peak := peakOf(s)
				random := rand.New(rand.NewPCG(7, 8))
				left := vector.RowMajor(randomRow(random, shape.rows*shape.terms), shape.terms)
				if shape.turned {
					left = vector.Turned(left.Values, shape.rows)
				}
				right := s.NewPanels(shape.terms, shape.columns)
				for k := range shape.terms {
					right.SetTerm(k, randomRow(random, shape.columns))
				}
				c := make([]float32, shape.rows*shape.columns)
				workers := runtime.GOMAXPROCS(0)
				b.ResetTimer()
				for range b.N {
					var group sync.WaitGroup
					for w := range workers {
						lo, hi := shape.rows*w/workers, shape.rows*(w+1)/workers
						group.Go(func() {
							for i := lo; i < hi; i += 96 {
								s.Product(c[i*shape.columns:], shape.columns, left.From(i), min(96, hi-i), right, false)
							}
						})
					}
					group.Wait()
				}
				rate := float64(shape.rows) * float64(shape.columns) * float64(shape.terms) * float64(b.N) / b.Elapsed().Seconds()
				b.ReportMetric(2*rate/1e9, "GFLOP/s")
				b.ReportMetric(100*rate/peak, "%peak")
			})
		}
	}
}
