package quant

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Q2 is a matrix [rows, cols] of 2-bit weights. It is made by [NewQ2] of bytes
// that lie somewhere, or by [MakeQ2] and filled row by row.
type Q2 struct {
	layout
	signs []byte
}

// SizeQ2 is the size of a matrix [rows, cols]. Errors: [ErrShape].
func SizeQ2(rows, cols int) (Size, error) {
	if err := checkShape(rows, cols); err != nil {
		return Size{}, err
	}
	shape := ShapeQ2(rows, cols)
	return Size{
		Codes: int64(shape[0]) * int64(shape[1]) * int64(shape[2]), // at most 2^35
		Scale: 4 * int64(rows),
		Signs: int64(signBytes(cols)),
	}, nil
}

// ShapeQ2 is the shape of the codes: [⌈rows/16⌉, ⌈cols/16⌉, 64].
func ShapeQ2(rows, cols int) [3]int { return codesShape(rows, cols, kernel.GroupBytesQ2) }

// signBytes is the bytes of one bit a column.
func signBytes(cols int) int { return (cols + 7) / 8 }

// NewQ2 makes a matrix of parts that are used where they lie, and must stay valid
// and unchanged.
//
//	codes ShapeQ2(rows, cols)   scale [rows]   signs [⌈cols/8⌉]
//
// Errors: [ErrShape], [ErrNotFinite] for a scale, [ErrFilling].
func NewQ2(rows, cols int, codes []byte, scale []float32, signs []byte) (*Q2, error) {
	l, err := newLayout(rows, cols, kernel.GroupBytesQ2, codes, scale)
	if err != nil {
		return nil, err
	}
	if len(signs) != signBytes(cols) {
		return nil, fmt.Errorf("%w: %d bytes of signs for %d columns, want %d", ErrShape, len(signs), cols, signBytes(cols))
	}
	if used := cols % 8; used != 0 && signs[len(signs)-1]>>used != 0 {
		return nil, fmt.Errorf("%w: signs past column %d", ErrFilling, cols)
	}
	m := &Q2{layout: l, signs: signs}
	if err := m.checkFilling(columnsQ2); err != nil {
		return nil, err
	}
	return m, nil
}

// columnsQ2 is the bits of a dword that hold the codes of the first columns.
func columnsQ2(columns, _ int) uint32 {
	mask := uint32(0)
	for k := range columns {
		mask |= 3 << shiftQ2(k)
	}
	return mask
}

// shiftQ2 is where in a row's dword the code of column k of a group is.
func shiftQ2(k int) int { return k%4*8 + k/4*2 }

// MakeQ2 makes a matrix whose scales are 0: [Q2.SetRow] fills it. signs is kept.
// Errors: [ErrShape], [ErrFilling].
func MakeQ2(rows, cols int, signs []byte) (*Q2, error) {
	l, err := makeLayout(rows, cols, kernel.GroupBytesQ2)
	if err != nil {
		return nil, err
	}
	return NewQ2(rows, cols, l.codes, l.scale, signs)
}

// Signs is the signs of the rotation. Do not change them.
//
//	[⌈cols/8⌉]
func (m *Q2) Signs() []byte { return m.signs }

// SetRow sets row r: one code of 0 to 3 a column, and the scale. Rows in
// different blocks of 16 may be set at the same time. Errors: [ErrShape],
// [ErrCode], [ErrNotFinite]; the row is then undefined.
//
//	codes [cols]
func (m *Q2) SetRow(r int, codes []byte, scale float32) error {
	if err := m.row(r, len(codes)); err != nil {
		return err
	}
	for g := range kernel.Groups(m.cols) {
		dword := uint32(0)
		for k, code := range codes[g*kernel.LineCols : min((g+1)*kernel.LineCols, m.cols)] {
			if code > 3 {
				return fmt.Errorf("%w: %d in row %d column %d, want 0 to 3", ErrCode, code, r, g*kernel.LineCols+k)
			}
			dword |= uint32(code) << shiftQ2(k)
		}
		line := m.group(r, g)
		line[0], line[1], line[2], line[3] = byte(dword), byte(dword>>8), byte(dword>>16), byte(dword>>24)
	}
	return m.setScale(r, scale)
}

// Row reads the codes of row r and returns its scale. Errors: [ErrShape].
//
//	codes [cols]
func (m *Q2) Row(r int, codes []byte) (scale float32, err error) {
	if err := m.row(r, len(codes)); err != nil {
		return 0, err
	}
	for c := range codes {
		codes[c] = byte(dwordOf(m.group(r, c/kernel.LineCols)) >> shiftQ2(c%kernel.LineCols) & 3)
	}
	return m.scale[r], nil
}

// Weight is the weight that a code of 0 to 3 stands for, times the scale of its
// row: -3, -1, 1 or 3.
func Weight(code byte) int { return 2*int(code&3) - 3 }

// Rotate turns the signs of x and transforms it: what the weights of a row are
// products with. Rotating a row of an unquantized matrix and dividing by
// [kernel.HadamardBlock](cols) gives the numbers that the row's weights stand
// for.
//
//	out, x [cols]; out may be x
func (m *Q2) Rotate(k *kernel.Set, out, x []float32) { k.Hadamard(out, x, m.signs) }

// Quantize makes x, rotated, row i of q. room is overwritten. Errors: an
// [ErrNotFinite], not wrapped, if x is not finite or is not once rotated; then
// all products with the row are not a number.
//
//	x, room [cols]; room may be x
func (m *Q2) Quantize(k *kernel.Set, q *kernel.Int8Rows, i int, x, room []float32) error {
	k.Hadamard(room, x, m.signs)
	if !k.QuantizeRow(q, i, room) {
		return ErrNotFinite
	}
	return nil
}

// MultiplyRows computes the results y[i, r] for rows r in [lo, hi) of the matrix;
// both are multiples of 16, or hi is Rows.
//
//	y [q.N, rows]   q [q.N, cols]
func (m *Q2) MultiplyRows(k *kernel.Set, y []float32, q *kernel.Int8Rows, lo, hi int) {
	k.MatMulQ2(y, q, m.codes, m.scale, m.rows, lo, hi)
}
