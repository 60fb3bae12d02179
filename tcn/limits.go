package tcn

import (
	"math/bits"

	"github.com/zetagrid/zetagrid/tcn/quant"
)

// Limits on what a Config, which may come from a stranger's manifest, can ask
// for. Config.Validate enforces them before anything is allocated.
const (
	// MaxFanIn bounds d_model and d_ff, 131,072: as many products of two int8
	// numbers of magnitude 127 still fit the int32 sum of a quantized product.
	MaxFanIn = quant.MaxCols

	// MaxLayers bounds n_layers, and with it the blocks and the tile CIDs a
	// manifest lists. The deepest model planned has a few hundred.
	MaxLayers = 16_384

	// MaxKernel bounds kernel_size. Published models have 3.
	MaxKernel = 64

	// MaxDilations bounds the length of the dilation cycle. Published models
	// have 8.
	MaxDilations = 64

	// MaxDilation bounds one dilation: 2^16 rows.
	MaxDilation = 1 << 16

	// MaxHistoryRows bounds the rows of history of the whole model, so that
	// row counts fit an int on every machine and a state has an end. Published
	// models need some thousands.
	MaxHistoryRows = 1 << 24

	// MaxPositions bounds the table of learned positions.
	MaxPositions = 1 << 24

	// MaxRank bounds the rank of a Soul's terms, and with it the workspace a
	// Soul can make a stage allocate. Published Souls have 128.
	MaxRank = 4_096
)

// product multiplies sizes that are not negative. ok is false when one is
// negative or the result does not fit an int64.
func product(sizes ...int) (result int64, ok bool) {
	total := uint64(1)
	for _, size := range sizes {
		if size < 0 {
			return 0, false
		}
		high, low := bits.Mul64(total, uint64(size))
		if high != 0 || low > 1<<63-1 {
			return 0, false
		}
		total = low
	}
	return int64(total), true
}

// length is product for the length of a slice of 4-byte numbers: ok is also
// false when its bytes do not fit an int.
func length(sizes ...int) (result int, ok bool) {
	n, ok := product(sizes...)
	const maxInt = int64(^uint(0) >> 1)
	if !ok || n > maxInt/4 {
		return 0, false
	}
	return int(n), true
}
