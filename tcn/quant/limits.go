package quant

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Limits on what a file, which may come from a stranger, can ask for.
const (
	// MaxCols bounds the columns, so that the integer sums fit an int32.
	MaxCols = kernel.MaxFanIn
	// MaxRows bounds the rows: 2·d_ff of the widest model there can be is a
	// quarter of it.
	MaxRows = 1 << 20
)

// bytes multiplies sizes that are at least 1. Errors: ErrShape when the result
// is more than the memory of this machine can be.
func bytes(sizes ...int) (int, error) {
	total := uint64(1)
	for _, size := range sizes {
		high, low := bits.Mul64(total, uint64(size))
		if high != 0 || low > math.MaxInt {
			return 0, fmt.Errorf("%w: %v bytes are more than a slice can have", ErrShape, sizes)
		}
		total = low
	}
	return int(total), nil
}

// checkShape reports an ErrShape unless both sizes are within their limits.
func checkShape(rows, cols int) error {
	if rows < 1 || rows > MaxRows || cols < 1 || cols > MaxCols {
		return fmt.Errorf("%w: [%d, %d] is not within [1, 1] and [%d, %d]", ErrShape, rows, cols, MaxRows, MaxCols)
	}
	return nil
}
