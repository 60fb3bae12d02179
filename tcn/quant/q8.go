package quant

import (
	stdbytes "bytes"
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Q8 is a matrix [rows, cols] of 8-bit weights. It is made by [NewQ8] of bytes
// that lie somewhere, or by [MakeQ8] and filled row by row.
type Q8 struct {
	layout
}

// SizeQ8 is the size of a matrix [rows, cols]. Errors: [ErrShape].
func SizeQ8(rows, cols int) (Size, error) {
	if err := checkShape(rows, cols); err != nil {
		return Size{}, err
	}
	shape := ShapeQ8(rows, cols)
	return Size{
		Codes: int64(shape[0]) * int64(shape[1]) * int64(shape[2]), // at most 2^37
		Scale: 4 * int64(rows),
	}, nil
}

// ShapeQ8 is the shape of the codes: [⌈rows/16⌉, ⌈cols/16⌉, 256].
func ShapeQ8(rows, cols int) [3]int { return codesShape(rows, cols, kernel.GroupBytesQ8) }

// NewQ8 makes a matrix of parts that are used where they lie, and must stay valid
// and unchanged.
//
//	codes ShapeQ8(rows, cols)   scale [rows]
//
// Errors: [ErrShape], [ErrNotFinite] and [ErrScale] for a scale, [ErrFilling],
// [ErrCode] for -128.
func NewQ8(rows, cols int, codes []byte, scale []float32) (*Q8, error) {
	l, err := newLayout(rows, cols, kernel.GroupBytesQ8, codes, scale)
	if err != nil {
		return nil, err
	}
	for r, s := range scale {
		if err := checkSign(r, s); err != nil {
			return nil, err
		}
	}
	m := &Q8{l}
	if err := m.checkFilling(columnsQ8); err != nil {
		return nil, err
	}
	const least = 0x80 // -128
	if i := stdbytes.IndexByte(codes, least); i >= 0 {
		return nil, fmt.Errorf("%w: -128 at byte %d, want -127 to 127", ErrCode, i)
	}
	return m, nil
}

// checkSign wants a scale without the sign bit, 0 included: negative weights say
// the same.
func checkSign(r int, scale float32) error {
	if math.Signbit(float64(scale)) {
		return fmt.Errorf("%w: %v of row %d", ErrScale, scale, r)
	}
	return nil
}

// columnsQ8 is the bits of a dword of a line that hold the weights of the first
// columns.
func columnsQ8(columns, line int) uint32 {
	switch used := columns - 4*line; {
	case used <= 0:
		return 0
	case used >= 4:
		return ^uint32(0)
	default:
		return 1<<(8*used) - 1
	}
}

// MakeQ8 makes a matrix of zeros: [Q8.SetRow] fills it. Errors: [ErrShape].
func MakeQ8(rows, cols int) (*Q8, error) {
	l, err := makeLayout(rows, cols, kernel.GroupBytesQ8)
	if err != nil {
		return nil, err
	}
	return &Q8{l}, nil
}

// SetRow sets row r: one weight of -127 to 127 a column, and the scale. Rows in
// different blocks of 16 may be set at the same time. Errors: [ErrShape],
// [ErrCode], [ErrNotFinite], [ErrScale]; the row is then undefined.
//
//	weights [cols]
func (m *Q8) SetRow(r int, weights []int8, scale float32) error {
	if err := m.row(r, len(weights)); err != nil {
		return err
	}
	for c, w := range weights {
		if w == -128 {
			return fmt.Errorf("%w: -128 in row %d column %d, want -127 to 127", ErrCode, r, c)
		}
		m.group(r, c/kernel.LineCols)[placeQ8(c)] = byte(w)
	}
	if err := checkSign(r, scale); err != nil {
		return err
	}
	return m.setScale(r, scale)
}

// placeQ8 is the place of column c within a group, counted from the row's first.
func placeQ8(c int) int {
	const lineBytes = 64
	return c%kernel.LineCols/4*lineBytes + c%4
}

// Row reads the weights of row r and returns its scale. Errors: [ErrShape].
//
//	weights [cols]
func (m *Q8) Row(r int, weights []int8) (scale float32, err error) {
	if err := m.row(r, len(weights)); err != nil {
		return 0, err
	}
	for c := range weights {
		weights[c] = int8(m.group(r, c/kernel.LineCols)[placeQ8(c)])
	}
	return m.scale[r], nil
}

// Quantize makes x row i of q; room is not used. Errors: an [ErrNotFinite], not
// wrapped, if x is not finite; then all products with the row are not a number.
//
//	x [cols]
func (m *Q8) Quantize(k *kernel.Set, q *kernel.Int8Rows, i int, x, _ []float32) error {
	if !k.QuantizeRow(q, i, x) {
		return ErrNotFinite
	}
	return nil
}

// MultiplyRows computes the results y[i, r] for rows r in [lo, hi) of the matrix;
// both are multiples of 16, or hi is Rows.
//
//	y [q.N, rows]   q [q.N, cols]
func (m *Q8) MultiplyRows(k *kernel.Set, y []float32, q *kernel.Int8Rows, lo, hi int) {
	k.MatMulQ8(y, q, m.codes, m.scale, m.rows, lo, hi)
}
