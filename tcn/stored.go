package tcn

import "github.com/zetagrid/zetagrid/tcn/quant"

// Stored is what the weights of a [Matrix] are stored as. Exactly one field is
// set. What it points to is what the Matrix computes with: it is not a copy and
// must not be changed.
type Stored struct {
	F32 []float32 // [rows, cols] row-major; not nil for a matrix of float32 numbers
	Q2  *quant.Q2 // 2-bit weights
	Q8  *quant.Q8 // 8-bit weights
}

// StoredOf returns the weights of a Matrix that [NewMatrixF32], [NewMatrixQ2] or
// [NewMatrixQ8] made, for a backend that copies them to its device; false for nil
// and for any other Matrix, which can only be asked to multiply.
func StoredOf(m Matrix) (Stored, bool) {
	switch m := m.(type) {
	case *matrixF32:
		return Stored{F32: m.w}, true
	case *matrixQuant:
		switch w := m.integers.(type) {
		case *quant.Q2:
			return Stored{Q2: w}, true
		case *quant.Q8:
			return Stored{Q8: w}, true
		}
	}
	return Stored{}, false
}
