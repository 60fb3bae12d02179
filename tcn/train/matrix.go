package train

import (
	"math"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// matrix is a weight matrix W [rows, cols] as products use it: packed in both
// directions and, for 2-bit weights, rounded.
type matrix struct {
	rows, cols int
	forward    *vector.Panels // Wᵀ: [cols, rows]
	backward   *vector.Panels // W: [rows, cols]

	// Of 2-bit weights: input rows are rotated by the signs and rounded to int8,
	// as the model's own arithmetic does.
	signs []byte
	turns []float32 // the signs as -1 and 1, [cols]
}

// packRows is how many rows of a matrix are packed in one piece of work.
const packRows = 32

func newMatrix(set *vector.Set, rows, cols int, signs []byte) *matrix {
	m := &matrix{rows: rows, cols: cols, signs: signs}
	m.forward, m.backward = set.NewPanels(cols, rows), set.NewPanels(rows, cols)
	if signs != nil {
		m.turns = ones(cols)
		for c := range m.turns {
			if signs[c/8]>>(c%8)&1 == 1 {
				m.turns[c] = -1
			}
		}
	}
	return m
}

// pieces is how many calls of pack make the whole matrix.
func (m *matrix) pieces() int { return (m.rows + packRows - 1) / packRows }

// pack packs the rows of one piece; row gives each, in room if it likes.
func (m *matrix) pack(piece int, row func(r int, room []float32) []float32) {
	room := make([]float32, m.cols)
	for r := piece * packRows; r < min((piece+1)*packRows, m.rows); r++ {
		values := row(r, room)
		m.forward.SetColumn(r, values)
		m.backward.SetTerm(r, values)
	}
}

// rowsOf gives rows as they are.
func rowsOf(values []float32, cols int) func(int, []float32) []float32 {
	return func(r int, _ []float32) []float32 { return values[r*cols : (r+1)*cols] }
}

// roundedRows gives rotated rows rounded to 2-bit weights, times the factor of
// the rotation that inputs still have.
func roundedRows(values []float32, cols int) func(int, []float32) []float32 {
	shrink := rotationShrink(cols)
	return func(r int, room []float32) []float32 {
		row := values[r*cols : (r+1)*cols]
		step := RowScale(row)
		scale := step * shrink // in float32, as it is stored
		for c, v := range row {
			room[c] = scale * float32(quant.Weight(code(v, step)))
		}
		return room
	}
}

// frozenRows gives the rows that codes stand for.
func frozenRows(q *quant.Q2) func(int, []float32) []float32 {
	return func(r int, room []float32) []float32 {
		codes := make([]byte, len(room))
		scale, err := q.Row(r, codes)
		if err != nil {
			panic(err) // the matrix has that row and that many columns
		}
		for c, code := range codes {
			room[c] = scale * float32(quant.Weight(code))
		}
		return room
	}
}

// rotationShrink is 1/√block of rows of cols numbers: the unnormalised transform
// lengthens a row by √block.
func rotationShrink(cols int) float32 {
	return float32(1 / math.Sqrt(float64(kernel.HadamardBlock(cols))))
}

// quantized rounds rotated rows to the stored form: the codes that training used.
func quantized(values []float32, rows, cols int, signs []byte) (*quant.Q2, error) {
	m, err := quant.MakeQ2(rows, cols, signs)
	if err != nil {
		return nil, err
	}
	codes, shrink := make([]byte, cols), rotationShrink(cols)
	for r := range rows {
		row := values[r*cols : (r+1)*cols]
		step := RowScale(row)
		for c, v := range row {
			codes[c] = code(v, step)
		}
		if err := m.SetRow(r, codes, step*shrink); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// code is the level nearest to v: 0 to 3 for -3, -1, 1, 3 steps.
func code(v, step float32) byte {
	c := byte(2)
	if v > 2*step {
		c = 3
	}
	if v < 0 {
		c = 1
		if v < -2*step {
			c = 0
		}
	}
	return c
}

// scaleRounds is how often RowScale chooses codes and then the scale again. From
// where it starts five rounds come within a thousandth of where it ends.
const scaleRounds = 5

// RowScale is the scale under which a row of numbers loses least by rounding to
// -3, -1, 1 and 3 times the scale: codes and scale are chosen in turn, each the
// best for the other, from the best scale of normally distributed numbers.
//
//	row [n]
func RowScale(row []float32) float32 {
	sum := 0.0
	for _, v := range row {
		sum += float64(v) * float64(v)
	}
	const ofNormal = 0.4979
	step := float32(ofNormal * math.Sqrt(sum/float64(len(row))))
	for range scaleRounds {
		var inner, outer float32
		count := 0
		for _, v := range row {
			size := math.Float32frombits(math.Float32bits(v) &^ (1 << 31))
			if size > 2*step {
				outer += size
				count++
			} else {
				inner += size
			}
		}
		step = (inner + 3*outer) / float32(len(row)+8*count)
	}
	return step
}
