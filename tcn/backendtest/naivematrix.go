package backendtest

import (
	"math"

	"github.com/zetagrid/zetagrid/tcn/quant"
)

// naiveMatrix multiplies one row by the definition of its form.
type naiveMatrix interface {
	times(x []float32) []float32
}

// floats is a row-major matrix of float32 numbers; a row's length gives its
// columns.
type floats []float32

func (w floats) times(x []float32) []float32 {
	out := make([]float32, len(w)/len(x))
	products := make([]float32, len(x))
	for r := range out {
		for i, v := range x {
			products[i] = float32(v * w[r*len(x)+i])
		}
		out[r] = sum(products)
	}
	return out
}

// integers is a row-major matrix of integers with a scale a row, and for 2-bit
// weights the signs of its rotation.
type integers struct {
	weights []int     // [rows, cols]
	scale   []float32 // [rows]
	turned  []bool    // [cols]; nil: no rotation
}

func (w *integers) times(x []float32) []float32 {
	if w.turned != nil {
		x = rotated(x, w.turned)
	}
	q, s := int8s(x)
	out := make([]float32, len(w.scale))
	for r := range out {
		acc := 0
		for i, v := range q {
			acc += v * w.weights[r*len(q)+i]
		}
		out[r] = float32(float32(acc)*s) * w.scale[r]
	}
	return out
}

// rotated turns signs, then transforms each block: pass by pass an entry becomes
// the sum with the entry whose number differs in one bit, or, where its own bit
// is set, that entry less itself. The lowest bit comes first.
func rotated(x []float32, turned []bool) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = v
		if turned[i] {
			out[i] = -v
		}
	}
	block := 1
	for block < 1024 && len(x)%(2*block) == 0 {
		block *= 2
	}
	for stride := 1; stride < block; stride *= 2 {
		next := make([]float32, len(x))
		for i := range next {
			if i&stride == 0 {
				next[i] = out[i] + out[i|stride]
			} else {
				next[i] = out[i&^stride] - out[i]
			}
		}
		out = next
	}
	return out
}

// int8s is a row as integers from -127 to 127 and the scale that makes them so.
func int8s(x []float32) (q []int, scale float32) {
	largest := float32(0)
	for _, v := range x {
		largest = max(largest, float32(math.Abs(float64(v))))
	}
	q = make([]int, len(x))
	scale = largest / 127
	if scale < 0x1p-126 {
		return q, 0
	}
	for i, v := range x {
		q[i] = int(max(-127, min(127, math.RoundToEven(float64(v/scale)))))
	}
	return q, scale
}

func integersOfQ2(m *quant.Q2) *integers {
	w := &integers{turned: make([]bool, m.Cols())}
	for c := range w.turned {
		w.turned[c] = m.Signs()[c/8]>>(c%8)&1 == 1
	}
	codes := make([]byte, m.Cols())
	for r := range m.Rows() {
		w.scale = append(w.scale, must(m.Row(r, codes)))
		for _, code := range codes {
			w.weights = append(w.weights, []int{-3, -1, 1, 3}[code])
		}
	}
	return w
}

func integersOfQ8(m *quant.Q8) *integers {
	w := &integers{}
	row := make([]int8, m.Cols())
	for r := range m.Rows() {
		w.scale = append(w.scale, must(m.Row(r, row)))
		for _, v := range row {
			w.weights = append(w.weights, int(v))
		}
	}
	return w
}

// roundedQ8 rounds a row-major matrix of cols columns to 8-bit weights, each row
// as a row of activations would be.
func roundedQ8(w []float32, cols int) *quant.Q8 {
	m := must(quant.MakeQ8(len(w)/cols, cols))
	row := make([]int8, cols)
	for r := range m.Rows() {
		q, scale := int8s(w[r*cols : (r+1)*cols])
		for c, v := range q {
			row[c] = int8(v)
		}
		if err := m.SetRow(r, row, scale); err != nil {
			panic(err)
		}
	}
	return m
}
