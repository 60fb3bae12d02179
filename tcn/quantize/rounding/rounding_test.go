package rounding_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

var alone = rounding.Compute{Kernels: kernel.Best()}

// correlated adds rows to moments that lie mostly in a few directions.
func correlated(t testing.TB, r *rand.Rand, cols, rows int) *rounding.Moments {
	t.Helper()
	directions := make([]float32, 8*cols)
	for i := range directions {
		directions[i] = float32(r.NormFloat64())
	}
	m := rounding.NewMoments(cols)
	var q kernel.Int8Rows
	x := make([]float32, cols)
	for done := 0; done < rows; {
		n := min(100, rows-done)
		q.Reset(n, cols)
		for i := range n {
			for c := range x {
				x[c] = float32(0.3 * r.NormFloat64())
			}
			for d := range 8 {
				by := float32(r.NormFloat64())
				for c := range x {
					x[c] += by * directions[d*cols+c]
				}
			}
			if !alone.Kernels.QuantizeRow(&q, i, x) {
				t.Fatal("row is not finite")
			}
		}
		m.Add(alone, &q)
		done += n
	}
	return m
}

func gaussian(r *rand.Rand, rows, cols int) rounding.Matrix {
	m := rounding.Matrix{Rows: rows, Cols: cols, Values: make([]float32, rows*cols)}
	for i := range m.Values {
		m.Values[i] = float32(r.NormFloat64())
	}
	return m
}

func hessian(t testing.TB, m *rounding.Moments) *rounding.Hessian {
	t.Helper()
	h, err := rounding.NewHessian(context.Background(), alone, m, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func measure(t testing.TB, m rounding.Matrix, q *rounding.Codes, h *rounding.Hessian) rounding.Errors {
	t.Helper()
	e, err := rounding.Measure(context.Background(), alone, m, h, q)
	if err != nil {
		t.Fatal(err)
	}
	return e[0]
}

// TestCompensatedGains: each step of the method makes the output error smaller.
func TestCompensatedGains(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, cols := range []int{20, 64, 200} {
		m := gaussian(r, 70, cols)
		h := hessian(t, correlated(t, r, cols, 3000))
		nearest, err := rounding.Nearest(context.Background(), alone, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		last := measure(t, m, nearest, h)
		for _, sweeps := range []int{0, 1, rounding.Sweeps} {
			q, err := rounding.Compensated(context.Background(), alone, m, h, sweeps, nil)
			if err != nil {
				t.Fatal(err)
			}
			now := measure(t, m, q, h)
			t.Logf("%d columns, %d sweeps: output %.4f after %.4f, weights %.4f after %.4f",
				cols, sweeps, now.OutputError(), last.OutputError(), now.WeightError(), last.WeightError())
			if now.Output > last.Output {
				t.Errorf("%d columns, %d sweeps: error %v, before %v", cols, sweeps, now.Output, last.Output)
			}
			last = now
		}
	}
}

// TestExactRows: rows that are levels times a scale keep their codes.
func TestExactRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const rows, cols = 70, 96
	signs := quant.Signs(1, 2, quant.MatrixIn, cols)
	want, m := make([]byte, rows*cols), gaussian(r, rows, cols)
	for row := range rows {
		values := m.Values[row*cols : (row+1)*cols]
		for c := range values {
			want[row*cols+c] = byte(r.IntN(4))
			values[c] = 0.01 * float32(row+1) * float32(2*int(want[row*cols+c])-3)
		}
		rounding.Unrotate(alone.Kernels, values, values, signs) // as a model file has them
		for c := range values {
			values[c] = math.Float32frombits(math.Float32bits(values[c]) &^ 0xffff) // cut to bfloat16
		}
		rounding.Rotate(alone.Kernels, values, values, signs)
	}
	h := hessian(t, correlated(t, r, cols, 500))
	nearest, err1 := rounding.Nearest(context.Background(), alone, m, nil)
	compensated, err2 := rounding.Compensated(context.Background(), alone, m, h, rounding.Sweeps, nil)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for name, got := range map[string]*rounding.Codes{"nearest": nearest, "compensated": compensated} {
		if !slices.Equal(got.Codes, want) {
			t.Errorf("%s: other codes", name)
		}
		for row, s := range got.Scale {
			if ratio := float64(s) / (0.01 * float64(row+1)); math.Abs(ratio-1) > 0.01 {
				t.Errorf("%s: scale of row %d is off by %v", name, row, ratio)
			}
		}
	}
}
