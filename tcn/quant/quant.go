package quant

import (
	"errors"
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrShape: a size is zero, past its limit, or not that of the slices.
	ErrShape = errors.New("quant: wrong shape")
	// ErrCode: a code or weight is none of the format's.
	ErrCode = errors.New("quant: no such code")
	// ErrScale: a scale of 8-bit weights is negative.
	ErrScale = errors.New("quant: scale is negative")
	// ErrFilling: what fills up rows, columns or signs is not zero.
	ErrFilling = errors.New("quant: filling is not zero")
	// ErrNotFinite: a scale or an activation is an infinity or not a number.
	ErrNotFinite = errors.New("quant: number is not finite")
)

// Size is the lengths of the parts of a matrix, as bytes in a file.
type Size struct {
	Codes int64
	Scale int64
	Signs int64 // 0 for 8-bit matrices
}

// Bytes is the bytes of all parts.
func (s Size) Bytes() int64 { return s.Codes + s.Scale + s.Signs }

// layout is what the two formats share: codes in blocks of 16 rows and groups of
// 16 columns, and a scale a row.
type layout struct {
	rows, cols int
	groupBytes int
	codes      []byte
	scale      []float32
}

// codesShape is the shape [blocks, groups, bytes] of the codes of a matrix: the
// last is 64 for 2-bit and 256 for 8-bit weights.
func codesShape(rows, cols, groupBytes int) [3]int {
	return [3]int{(rows + kernel.LineRows - 1) / kernel.LineRows, kernel.Groups(cols), groupBytes}
}

// newLayout checks sizes and scales.
func newLayout(rows, cols, groupBytes int, codes []byte, scale []float32) (layout, error) {
	if err := checkShape(rows, cols); err != nil {
		return layout{}, err
	}
	shape := codesShape(rows, cols, groupBytes)
	size, err := bytes(shape[:]...)
	if err != nil {
		return layout{}, err
	}
	if len(codes) != size || len(scale) != rows {
		return layout{}, fmt.Errorf("%w: %d bytes of codes and %d scales for [%d, %d], want %d and %d",
			ErrShape, len(codes), len(scale), rows, cols, size, rows)
	}
	for r, s := range scale {
		if !finite(s) {
			return layout{}, fmt.Errorf("%w: scale of row %d", ErrNotFinite, r)
		}
	}
	return layout{rows: rows, cols: cols, groupBytes: groupBytes, codes: codes, scale: scale}, nil
}

// makeLayout is newLayout of zeros.
func makeLayout(rows, cols, groupBytes int) (layout, error) {
	if err := checkShape(rows, cols); err != nil {
		return layout{}, err
	}
	shape := codesShape(rows, cols, groupBytes)
	size, err := bytes(shape[:]...)
	if err != nil {
		return layout{}, err
	}
	return newLayout(rows, cols, groupBytes, make([]byte, size), make([]float32, rows))
}

// Rows is the rows of the matrix, at least 1.
func (l *layout) Rows() int { return l.rows }

// Cols is the columns of the matrix, at least 1.
func (l *layout) Cols() int { return l.cols }

// Codes is the codes as package documentation draws them. Do not change them.
func (l *layout) Codes() []byte { return l.codes }

// Scale is the scale of each row, finite. Do not change them.
//
//	[rows]
func (l *layout) Scale() []float32 { return l.scale }

// row checks a call about row r of n codes.
func (l *layout) row(r, n int) error {
	if r < 0 || r >= l.rows || n != l.cols {
		return fmt.Errorf("%w: row %d of %d codes in a matrix [%d, %d]", ErrShape, r, n, l.rows, l.cols)
	}
	return nil
}

// group is the bytes of group g of the block that holds row r, from the row's
// first one on.
func (l *layout) group(r, g int) []byte {
	at := (r/kernel.LineRows*kernel.Groups(l.cols) + g) * l.groupBytes
	return l.codes[at : at+l.groupBytes][r%kernel.LineRows*4:]
}

// setScale sets the scale of row r.
func (l *layout) setScale(r int, scale float32) error {
	if !finite(scale) {
		return fmt.Errorf("%w: scale %v of row %d", ErrNotFinite, scale, r)
	}
	l.scale[r] = scale
	return nil
}

// checkFilling wants zero bits in the columns and rows past the end. dword gives
// the bits, in each dword of line i of a group, that belong to columns.
func (l *layout) checkFilling(dword func(columns, line int) uint32) error {
	const lineBytes = 64
	groups := kernel.Groups(l.cols)
	if columns := l.cols % kernel.LineCols; columns != 0 {
		for r := range l.rows {
			last := l.group(r, groups-1)
			for line := range l.groupBytes / lineBytes {
				if dwordOf(last[line*lineBytes:])&^dword(columns, line) != 0 {
					return fmt.Errorf("%w: columns past %d of row %d", ErrFilling, l.cols, r)
				}
			}
		}
	}
	if l.rows%kernel.LineRows == 0 {
		return nil
	}
	for g := range groups {
		past := l.group(l.rows, g) // in the last block, which is not full
		for line := range l.groupBytes / lineBytes {
			begin := line * lineBytes
			for _, b := range past[begin : begin+lineBytes-l.rows%kernel.LineRows*4] {
				if b != 0 {
					return fmt.Errorf("%w: rows past %d", ErrFilling, l.rows)
				}
			}
		}
	}
	return nil
}

// dwordOf is the first dword of b.
func dwordOf(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func finite(v float32) bool {
	const exponent = 0x7f800000
	return math.Float32bits(v)&exponent != exponent
}
