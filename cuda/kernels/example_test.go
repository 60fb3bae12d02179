package kernels_test

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/kernels"
)

// How the end of a Fractal Block is launched for 8 rows of 4,096 numbers: blocks of
// threads for every 1,024 of them, and for every row.
func ExampleEndBlock() {
	call := kernels.EndBlock(kernels.BlockArgs{Batch: kernels.Batch{Rows: 8, ShareCount: 8}, Width: 4096})
	fmt.Println(call.Kernel, call.Launch.Grid, call.Launch.Block, len(call.Launch.Args), "bytes")
	// Output:
	// end_block [4 8 1] [256 1 1] 64 bytes
}
