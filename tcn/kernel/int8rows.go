package kernel

import "math"

// The layout of quantized matrices and rows. Package quant draws it; a matrix
// [rows, cols] is cut into blocks of LineRows rows, a block into groups of
// LineCols columns, and rows and columns that are missing at the end are filled
// up.
const (
	// LineRows is the rows of a matrix that lie interleaved: one for each dword
	// of a 64-byte line.
	LineRows = 16
	// LineCols is the columns of a group: the four codes of each of the four
	// bytes of a dword.
	LineCols = 16
	// GroupBytesQ2 is the bytes of a group of a 2-bit matrix: one line.
	GroupBytesQ2 = LineRows * LineCols / 4
	// GroupBytesQ8 is the bytes of a group of an 8-bit matrix: four lines of
	// four columns each.
	GroupBytesQ8 = LineRows * LineCols
	// MaxFanIn bounds the columns of a quantized matrix: 131,072 products of
	// two int8 numbers fit an int32 sum.
	MaxFanIn = 131_072
	// RotationBlock bounds the numbers that a Hadamard transform mixes.
	RotationBlock = 1024
)

// Groups is how many groups of [LineCols] a row of cols columns takes.
func Groups(cols int) int { return (cols + LineCols - 1) / LineCols }

// HadamardBlock is how many numbers of a row of width numbers each transform of
// Hadamard mixes: the largest power of two that divides width, at most
// [RotationBlock].
func HadamardBlock(width int) int { return min(width&-width, RotationBlock) }

// Int8Rows is rows of activations as int8 numbers, each with a scale of its own:
// x[i, c] ≈ Scale[i]·q[i, c]. [Set.QuantizeRow] fills it row by row, the
// products read it. Its zero value is ready for Reset; slices are reused, so rows
// of sizes seen before allocate nothing.
type Int8Rows struct {
	N, Cols int
	// Q holds q[i, c] at (c/16·N + i)·16 + c mod 16, so that the product of a
	// line reads all rows from one place; columns past Cols are 0.
	Q     []int8    // [⌈Cols/16⌉, N, 16]
	Scale []float32 // [N]; 0 for a row of zeros, not-a-number for one that is not finite
	Sum   []int32   // [N]; Σ q[i, c]
}

// Reset makes room for n rows of cols numbers, whose values are then undefined.
func (r *Int8Rows) Reset(n, cols int) {
	r.N, r.Cols = n, cols
	r.Q = sized(r.Q, Groups(cols)*n*LineCols)
	r.Scale = sized(r.Scale, n)
	r.Sum = sized(r.Sum, n)
}

// At is q[i, c].
func (r *Int8Rows) At(i, c int) int8 {
	return r.Q[(c/LineCols*r.N+i)*LineCols+c%LineCols]
}

// group is columns [16·g, 16·g+16) of row i.
func (r *Int8Rows) group(g, i int) *[LineCols]int8 {
	return (*[LineCols]int8)(r.Q[(g*r.N+i)*LineCols:])
}

// rowScale returns the scale of a row whose largest magnitude has the bits
// largest: m/127, but 0 where that is below the smallest normal number. ok is
// false for a row that is not finite, whose scale is not a number.
func rowScale(largest uint32) (scale float32, ok bool) {
	if largest >= infinity {
		return float32(math.NaN()), false
	}
	scale = math.Float32frombits(largest) / 127
	if scale < 0x1p-126 {
		return 0, true
	}
	return scale, true
}

// sized returns s with length n, allocating only when it is too small.
func sized[T any](s []T, n int) []T {
	if n > cap(s) {
		return make([]T, n)
	}
	return s[:n]
}
