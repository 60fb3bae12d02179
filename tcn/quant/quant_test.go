package quant_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// shapes have whole and broken blocks, groups, bytes of signs and rotations.
var shapes = [][2]int{{1, 1}, {16, 16}, {17, 15}, {5, 33}, {40, 64}, {31, 100}, {16, 1030}, {48, 2048}, {3, 4097}}

// randomQ2 fills a matrix with codes, scales and signs, and returns its codes
// row-major.
func randomQ2(t testing.TB, r *rand.Rand, rows, cols int) (m *quant.Q2, codes []byte) {
	t.Helper()
	signs := make([]byte, (cols+7)/8)
	for c := range cols {
		signs[c/8] |= byte(r.IntN(2)) << (c % 8)
	}
	m, err := quant.MakeQ2(rows, cols, signs)
	if err != nil {
		t.Fatal(err)
	}
	codes = make([]byte, rows*cols)
	for i := range codes {
		codes[i] = byte(r.IntN(4))
	}
	for row := range rows {
		if err := m.SetRow(row, codes[row*cols:(row+1)*cols], float32(r.NormFloat64())); err != nil {
			t.Fatal(err)
		}
	}
	return m, codes
}

func randomQ8(t testing.TB, r *rand.Rand, rows, cols int) (m *quant.Q8, weights []int8) {
	t.Helper()
	m, err := quant.MakeQ8(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	weights = make([]int8, rows*cols)
	for i := range weights {
		weights[i] = int8(r.IntN(255) - 127)
	}
	for row := range rows {
		if err := m.SetRow(row, weights[row*cols:(row+1)*cols], float32(math.Abs(r.NormFloat64()))); err != nil {
			t.Fatal(err)
		}
	}
	return m, weights
}

// TestRoundTrip: rows come back, sizes are as announced, and a matrix of the
// same parts is taken.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, shape := range shapes {
		rows, cols := shape[0], shape[1]
		m2, codes := randomQ2(t, r, rows, cols)
		size, err := quant.SizeQ2(rows, cols)
		if err != nil || int(size.Codes) != len(m2.Codes()) || int(size.Scale) != 4*len(m2.Scale()) || int(size.Signs) != len(m2.Signs()) {
			t.Errorf("%v: 2-bit size %+v (%v) for %d codes, %d scales, %d signs",
				shape, size, err, len(m2.Codes()), len(m2.Scale()), len(m2.Signs()))
		}
		if _, err := quant.NewQ2(rows, cols, m2.Codes(), m2.Scale(), m2.Signs()); err != nil {
			t.Errorf("%v: %v", shape, err)
		}
		m8, weights := randomQ8(t, r, rows, cols)
		size, err = quant.SizeQ8(rows, cols)
		if err != nil || int(size.Codes) != len(m8.Codes()) || size.Bytes() != int64(len(m8.Codes())+4*rows) {
			t.Errorf("%v: 8-bit size %+v (%v) for %d codes", shape, size, err, len(m8.Codes()))
		}
		if _, err := quant.NewQ8(rows, cols, m8.Codes(), m8.Scale()); err != nil {
			t.Errorf("%v: %v", shape, err)
		}
		for row := range rows {
			got2, got8 := make([]byte, cols), make([]int8, cols)
			scale2, err2 := m2.Row(row, got2)
			scale8, err8 := m8.Row(row, got8)
			if err2 != nil || err8 != nil || scale2 != m2.Scale()[row] || scale8 != m8.Scale()[row] ||
				!bytes.Equal(got2, codes[row*cols:(row+1)*cols]) || !slices.Equal(got8, weights[row*cols:(row+1)*cols]) {
				t.Fatalf("%v: row %d is not what was set: %v, %v", shape, row, err2, err8)
			}
		}
	}
}

// TestLayout holds the drawing in the package documentation: where a code of
// each column goes.
func TestLayout(t *testing.T) {
	m, err := quant.MakeQ2(33, 40, make([]byte, 5))
	if err != nil {
		t.Fatal(err)
	}
	const row, column = 16 + 5, 16 + 14 // block 1, group 1: byte 5·4 + 2, bits 6-7
	codes := make([]byte, 40)
	codes[column] = 2
	if err := m.SetRow(row, codes, 1); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3*3*64)
	want[(1*3+1)*64+5*4+2] = 2 << 6
	if !bytes.Equal(m.Codes(), want) {
		t.Error("the 2-bit code is not where the drawing has it")
	}
	m8, err := quant.MakeQ8(33, 40)
	if err != nil {
		t.Fatal(err)
	}
	weights := make([]int8, 40)
	weights[column] = -7
	if err := m8.SetRow(row, weights, 1); err != nil {
		t.Fatal(err)
	}
	want = make([]byte, 3*3*256)
	want[(1*3+1)*256+3*64+5*4+2] = 0xf9
	if !bytes.Equal(m8.Codes(), want) {
		t.Error("the 8-bit weight is not where the drawing has it")
	}
}

// TestProduct compares whole products with their definition: rotation, int8
// numbers, integer sums, scales.
func TestProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, set := range kernel.Available() {
		for _, shape := range shapes {
			rows, cols := shape[0], shape[1]
			m2, codes := randomQ2(t, r, rows, cols)
			m8, weights := randomQ8(t, r, rows, cols)
			x, room := make([]float32, cols), make([]float32, cols)
			for c := range x {
				x[c] = float32(r.NormFloat64())
			}
			var q kernel.Int8Rows
			y := make([]float32, rows)

			q.Reset(1, cols)
			if err := m2.Quantize(set, &q, 0, x, room); err != nil {
				t.Fatal(err)
			}
			m2.MultiplyRows(set, y, &q, 0, rows)
			checkProduct(t, set.Name, &q, y, m2.Scale(), func(i int) int { return 2*int(codes[i]) - 3 })

			q.Reset(1, cols)
			if err := m8.Quantize(set, &q, 0, x, nil); err != nil {
				t.Fatal(err)
			}
			m8.MultiplyRows(set, y, &q, 0, rows)
			checkProduct(t, set.Name, &q, y, m8.Scale(), func(i int) int { return int(weights[i]) })
		}
	}
}

func checkProduct(t *testing.T, what string, q *kernel.Int8Rows, y, scale []float32, weight func(i int) int) {
	t.Helper()
	for r := range y {
		acc := 0
		for c := range q.Cols {
			acc += weight(r*q.Cols+c) * int(q.At(0, c))
		}
		if want := float32(float32(acc)*q.Scale[0]) * scale[r]; math.Float32bits(y[r]) != math.Float32bits(want) {
			t.Fatalf("%s: [%d, %d]: result %d is %v, want %v", what, len(y), q.Cols, r, y[r], want)
		}
	}
}

// TestFillingHasNoEffect: results do not depend on what fills up blocks and
// groups, though no matrix may have anything but zeros there.
func TestFillingHasNoEffect(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const rows, cols = 21, 37
	m2, _ := randomQ2(t, r, rows, cols)
	m8, _ := randomQ8(t, r, rows, cols)
	x := make([]float32, cols)
	for c := range x {
		x[c] = float32(r.NormFloat64())
	}
	var q kernel.Int8Rows
	q.Reset(1, cols)
	for _, set := range kernel.Available() {
		if err := m8.Quantize(set, &q, 0, x, nil); err != nil {
			t.Fatal(err)
		}
		for _, m := range []struct {
			name     string
			codes    []byte
			refuse   func(codes []byte) error
			multiply func(y []float32, codes []byte)
		}{
			{"2-bit", m2.Codes(), func(codes []byte) error {
				_, err := quant.NewQ2(rows, cols, codes, m2.Scale(), m2.Signs())
				return err
			}, func(y []float32, codes []byte) { set.MatMulQ2(y, &q, codes, m2.Scale(), rows, 0, rows) }},
			{"8-bit", m8.Codes(), func(codes []byte) error {
				_, err := quant.NewQ8(rows, cols, codes, m8.Scale())
				return err
			}, func(y []float32, codes []byte) { set.MatMulQ8(y, &q, codes, m8.Scale(), rows, 0, rows) }},
		} {
			want, got := make([]float32, rows), make([]float32, rows)
			m.multiply(want, m.codes)
			refused := 0
			for bit := range 8 * len(m.codes) {
				spoilt := slices.Clone(m.codes)
				spoilt[bit/8] ^= 1 << (bit % 8)
				err := m.refuse(spoilt)
				if !errors.Is(err, quant.ErrFilling) {
					continue
				}
				refused++
				if m.multiply(got, spoilt); !slices.Equal(got, want) {
					t.Fatalf("%s, %s: filling bit %d changes a result", set.Name, m.name, bit)
				}
			}
			const places = 32 * 48
			if want := (places - rows*cols) * 8 * len(m.codes) / places; refused != want {
				t.Errorf("%s: %d bits of filling, want %d", m.name, refused, want)
			}
		}
	}
}

// TestRotationPreservesProducts: rotated weights with a rotated row give the
// product of the weights with the row.
func TestRotationPreservesProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, cols := range []int{1, 12, 64, 1024, 3072} {
		m, _ := randomQ2(t, r, 1, cols)
		w, x := make([]float32, cols), make([]float32, cols)
		plain := 0.0
		for c := range w {
			w[c], x[c] = float32(r.IntN(9)-4), float32(r.IntN(9)-4)
			plain += float64(w[c] * x[c])
		}
		m.Rotate(kernel.Best(), w, w)
		m.Rotate(kernel.Best(), x, x)
		rotated := 0.0
		for c := range w {
			rotated += float64(w[c]) * float64(x[c])
		}
		if block := float64(kernel.HadamardBlock(cols)); rotated/block != plain {
			t.Errorf("%d columns: %v over %v, want %v", cols, rotated, block, plain)
		}
	}
}

func TestQuantizeRefusesNotFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	m2, _ := randomQ2(t, r, 3, 64)
	m8, _ := randomQ8(t, r, 3, 64)
	for _, set := range kernel.Available() {
		for name, x := range map[string]func(c int) float64{
			"infinity":     func(c int) float64 { return math.Inf(1 - 2*(c%2)) },
			"not a number": func(int) float64 { return math.NaN() },
			"overflow":     func(int) float64 { return math.MaxFloat32 }, // of the rotation
		} {
			row, room := make([]float32, 64), make([]float32, 64)
			for c := range row {
				row[c] = float32(x(c))
			}
			var q kernel.Int8Rows
			q.Reset(1, 64)
			if err := m2.Quantize(set, &q, 0, row, room); !errors.Is(err, quant.ErrNotFinite) {
				t.Errorf("%s: 2-bit: %v", name, err)
			}
			if err := m8.Quantize(set, &q, 0, row, nil); name != "overflow" && !errors.Is(err, quant.ErrNotFinite) {
				t.Errorf("%s: 8-bit: %v", name, err)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	bad := float32(math.NaN())
	for _, c := range []struct {
		name string
		make func() error
		want error
	}{
		{"no rows", func() error { _, err := quant.MakeQ2(0, 4, make([]byte, 1)); return err }, quant.ErrShape},
		{"no columns", func() error { _, err := quant.MakeQ8(4, 0); return err }, quant.ErrShape},
		{"negative", func() error { _, err := quant.SizeQ2(-16, -16); return err }, quant.ErrShape},
		{"negative 8-bit", func() error { _, err := quant.SizeQ8(-16, -16); return err }, quant.ErrShape},
		{"overflow", func() error { _, err := quant.MakeQ2(math.MaxInt, math.MaxInt, nil); return err }, quant.ErrShape},
		{"few codes", func() error {
			_, err := quant.NewQ2(17, 16, make([]byte, 127), make([]float32, 17), make([]byte, 2))
			return err
		}, quant.ErrShape},
		{"many codes", func() error { _, err := quant.NewQ8(1, 1, make([]byte, 257), make([]float32, 1)); return err }, quant.ErrShape},
		{"few scales", func() error {
			_, err := quant.NewQ2(17, 16, make([]byte, 128), make([]float32, 16), make([]byte, 2))
			return err
		}, quant.ErrShape},
		{"few signs", func() error {
			_, err := quant.NewQ2(1, 17, make([]byte, 128), make([]float32, 1), make([]byte, 2))
			return err
		}, quant.ErrShape},
		{"signs past the end", func() error {
			_, err := quant.NewQ2(1, 17, make([]byte, 128), make([]float32, 1), []byte{0, 0, 2})
			return err
		}, quant.ErrFilling},
		{"bad scale", func() error {
			_, err := quant.NewQ2(1, 1, make([]byte, 64), []float32{bad}, make([]byte, 1))
			return err
		}, quant.ErrNotFinite},
		{"negative 8-bit scale", func() error { _, err := quant.NewQ8(1, 1, make([]byte, 256), []float32{-1}); return err }, quant.ErrScale},
		{"8-bit scale of -0", func() error {
			_, err := quant.NewQ8(1, 1, make([]byte, 256), []float32{float32(math.Copysign(0, -1))})
			return err
		}, quant.ErrScale},
		{"bad 8-bit scale", func() error { _, err := quant.NewQ8(1, 1, make([]byte, 256), []float32{bad}); return err }, quant.ErrNotFinite},
		{"-128", func() error {
			codes := make([]byte, 256)
			codes[0] = 0x80
			_, err := quant.NewQ8(1, 1, codes, make([]float32, 1))
			return err
		}, quant.ErrCode},
	} {
		if err := c.make(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestRowsRefuse(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	m2, _ := randomQ2(t, r, 3, 20)
	m8, _ := randomQ8(t, r, 3, 20)
	codes, weights := make([]byte, 21), make([]int8, 21)
	codes[7], weights[7] = 4, -128
	infinite := float32(math.Inf(1))
	_, rowErr := m2.Row(3, codes[:20])
	_, rowErr8 := m8.Row(-1, weights[:20])
	for i, c := range []struct{ got, want error }{
		{m2.SetRow(3, codes[:20], 1), quant.ErrShape},
		{m2.SetRow(0, codes[:19], 1), quant.ErrShape},
		{m2.SetRow(0, codes[:20], 1), quant.ErrCode},
		{m2.SetRow(0, make([]byte, 20), infinite), quant.ErrNotFinite},
		{m8.SetRow(-1, weights[:20], 1), quant.ErrShape},
		{m8.SetRow(0, weights, 1), quant.ErrShape},
		{m8.SetRow(0, weights[:20], 1), quant.ErrCode},
		{m8.SetRow(0, make([]int8, 20), infinite), quant.ErrNotFinite},
		{m8.SetRow(0, make([]int8, 20), -1), quant.ErrScale},
		{rowErr, quant.ErrShape},
		{rowErr8, quant.ErrShape},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("case %d: %v, want %v", i, c.got, c.want)
		}
	}
}

// TestLimits: the widest and the tallest matrix are taken, one past is not.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		rows, cols int
		ok         bool
	}{
		{1, quant.MaxCols, true}, {1, quant.MaxCols + 1, false},
		{quant.MaxRows, 1, true}, {quant.MaxRows + 1, 1, false},
	} {
		_, err2 := quant.MakeQ2(c.rows, c.cols, make([]byte, (c.cols+7)/8))
		_, err8 := quant.SizeQ8(c.rows, c.cols)
		for _, err := range []error{err2, err8} {
			if (err == nil) != c.ok || err != nil && !errors.Is(err, quant.ErrShape) {
				t.Errorf("[%d, %d]: %v", c.rows, c.cols, err)
			}
		}
	}
}

// TestBits: a matrix of 1,024 columns or more takes at most 2.1 bits a weight.
func TestBits(t *testing.T) {
	for _, shape := range [][2]int{{1024, 1024}, {16, 1024}, {8192, 1024}, {4096, 16384}, {2048, 1040}} {
		size, err := quant.SizeQ2(shape[0], shape[1])
		if err != nil {
			t.Fatal(err)
		}
		if bits := 8 * float64(size.Bytes()) / float64(shape[0]*shape[1]); bits > 2.1 {
			t.Errorf("%v: %.3f bits a weight", shape, bits)
		}
	}
}

// FuzzNewQ2 makes a matrix of any bytes: a typed error, or one whose rows are
// what the layout says and can be set to themselves.
func FuzzNewQ2(f *testing.F) {
	f.Add(uint16(1), uint16(1), make([]byte, 64), []byte{0})
	f.Add(uint16(17), uint16(20), bytes.Repeat([]byte{1}, 256), []byte{1, 2, 3})
	f.Add(uint16(0), uint16(4), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, rows, cols uint16, codes, signs []byte) {
		m, err := quant.NewQ2(int(rows), int(cols), codes, make([]float32, rows), signs)
		if err != nil {
			if !errors.Is(err, quant.ErrShape) && !errors.Is(err, quant.ErrFilling) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		again, err := quant.MakeQ2(int(rows), int(cols), signs)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]byte, cols)
		for r := range int(rows) {
			scale, err := m.Row(r, row)
			if err != nil {
				t.Fatal(err)
			}
			if err := again.SetRow(r, row, scale); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again.Codes(), codes) {
			t.Fatal("rows read and set again are other bytes")
		}
	})
}

// FuzzNewQ8 is FuzzNewQ2 for 8-bit weights.
func FuzzNewQ8(f *testing.F) {
	f.Add(uint16(1), uint16(1), make([]byte, 256))
	f.Add(uint16(3), uint16(16), bytes.Repeat([]byte{0x80}, 256))
	f.Fuzz(func(t *testing.T, rows, cols uint16, codes []byte) {
		m, err := quant.NewQ8(int(rows), int(cols), codes, make([]float32, rows))
		if err != nil {
			if !errors.Is(err, quant.ErrShape) && !errors.Is(err, quant.ErrFilling) && !errors.Is(err, quant.ErrCode) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		again, err := quant.MakeQ8(int(rows), int(cols))
		if err != nil {
			t.Fatal(err)
		}
		row := make([]int8, cols)
		for r := range int(rows) {
			scale, err := m.Row(r, row)
			if err != nil {
				t.Fatal(err)
			}
			if err := again.SetRow(r, row, scale); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again.Codes(), codes) {
			t.Fatal("rows read and set again are other bytes")
		}
	})
}
