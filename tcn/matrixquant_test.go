package tcn

import (
	"errors"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// eighths makes an 8-bit matrix of a seed.
func eighths(t testing.TB, rows, cols int) *quant.Q8 {
	t.Helper()
	m, err := quant.MakeQ8(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]int8, cols)
	for r := range rows {
		for c := range row {
			row[c] = int8(Hash64(uint64(r), uint64(c))%255) - 127
		}
		if err := m.SetRow(r, row, float32(r+1)/1024); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestQuantizedMultiplyIsTheSameHoweverShared: products small and large enough
// to be cut, alone and with helpers, are those of the kernels on one row.
func TestQuantizedMultiplyIsTheSameHoweverShared(t *testing.T) {
	pool := kernel.NewPool(3)
	defer pool.Close()
	for _, size := range []struct{ rows, cols, n int }{
		{1, 1, 1}, {7, 33, 2}, {300, 257, 3}, {530, 512, 64}, {3, 40_000, 2}, {2100, 2048, 1}, {40, 1024, 30}, {17, 30_000, 60},
	} {
		q2, err := seededQ2(1, seedInCodes, 0, size.rows, size.cols, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		q8 := eighths(t, size.rows, size.cols)
		x := seeded(2, 0, 0, size.n*size.cols, 0, 1)
		before := append([]float32(nil), x...)
		for _, form := range []struct {
			name  string
			m     Matrix
			alone integers
			codes int
		}{
			{"q2", NewMatrixQ2(q2), q2, len(q2.Codes()) + len(q2.Signs())},
			{"q8", NewMatrixQ8(q8), q8, len(q8.Codes())},
		} {
			if form.m.Rows() != size.rows || form.m.Cols() != size.cols || form.m.Bytes() != int64(form.codes+4*size.rows) {
				t.Errorf("%s %v: matrix [%d, %d] of %d bytes", form.name, size, form.m.Rows(), form.m.Cols(), form.m.Bytes())
			}
			want := aloneRows(t, form.alone, x, size.rows, size.cols)
			for _, set := range kernel.Available() {
				for _, p := range []*kernel.Pool{nil, pool} {
					y := make([]float32, size.n*size.rows)
					form.m.Multiply(&Compute{Kernels: set, Pool: p}, y, x, size.n)
					for i := range y {
						if math.Float32bits(y[i]) != math.Float32bits(want[i]) {
							t.Fatalf("%s %v %s: result %d is %v, want %v", form.name, size, set.Name, i, y[i], want[i])
						}
					}
				}
			}
		}
		for i := range x {
			if x[i] != before[i] {
				t.Fatalf("%v: a product changed its input", size)
			}
		}
	}
}

// aloneRows multiplies row by row with the normative kernels.
func aloneRows(t *testing.T, m integers, x []float32, rows, cols int) []float32 {
	t.Helper()
	var out []float32
	var q kernel.Int8Rows
	for ; len(x) > 0; x = x[cols:] {
		q.Reset(1, cols)
		if err := m.Quantize(kernel.Portable(), &q, 0, x[:cols], make([]float32, cols)); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, rows)
		m.MultiplyRows(kernel.Portable(), y, &q, 0, rows)
		out = append(out, y...)
	}
	return out
}

// TestNotFiniteRowsStayAlone: the results of a row that is not finite are not a
// number, those of its mates are theirs.
func TestNotFiniteRowsStayAlone(t *testing.T) {
	q2, err := seededQ2(1, seedInCodes, 0, 20, 64, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Matrix{NewMatrixQ2(q2), NewMatrixQ8(eighths(t, 20, 64))} {
		x := seeded(2, 0, 0, 3*64, 0, 1)
		want, got := make([]float32, 3*20), make([]float32, 3*20)
		compute := &Compute{Kernels: kernel.Best()}
		m.Multiply(compute, want, x, 3)
		x[64+5] = float32(math.Inf(1))
		m.Multiply(compute, got, x, 3)
		for i := range got {
			switch row := i / 20; {
			case row == 1 && got[i] == got[i]:
				t.Fatalf("result %d of the bad row is %v", i-20, got[i])
			case row != 1 && got[i] != want[i]:
				t.Fatalf("result %d of row %d is %v, want %v", i%20, row, got[i], want[i])
			}
		}
	}
}

func TestNewBlockQ2Refuses(t *testing.T) {
	c := smallConfig(CellRelease)
	c.Weights = WeightsQ2
	layers, err := SeededLayersQ2(c, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	floats := c
	floats.Weights = ""
	wider := c
	wider.DModel++
	missing := []LayerQ2{{}, {}}
	for _, r := range []struct {
		name   string
		config Config
		b      int
		layers []LayerQ2
		want   error
	}{
		{"zero config", Config{}, 0, layers, ErrConfig},
		{"config of float32", floats, 0, layers, ErrConfig},
		{"block past the end", c, c.Blocks(), layers, ErrRange},
		{"too few layers", c, 0, layers[:1], ErrShape},
		{"no matrices", c, 0, missing, ErrShape},
		{"other widths", wider, 0, layers, ErrShape},
	} {
		if _, err := NewBlockQ2(r.config, r.b, r.layers); !errors.Is(err, r.want) {
			t.Errorf("%s: error %v, want %v", r.name, err, r.want)
		}
	}
	if _, err := NewBlockQ2(c, 0, layers); err != nil {
		t.Error(err)
	}
}
