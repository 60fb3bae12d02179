package kernels_test

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/kernels"
)

// Which kernel multiplies a 2-bit matrix of 32,768 rows, by how many rows come along.
func ExampleProductQ2() {
	for _, rows := range []int32{1, 2, 8, 32, 500} {
		call := kernels.ProductQ2(kernels.ProductArgs{Rows: rows, Outputs: 32768, Cols: 4096})
		fmt.Println(rows, call.Kernel, call.Launch.Grid, call.Launch.Block)
	}
	// Output:
	// 1 product_q2_rows1 [2048 1 1] [256 1 1]
	// 2 product_q2_rows2 [2048 1 1] [256 1 1]
	// 8 product_q2_tiles8 [1 256 1] [512 1 1]
	// 32 product_q2_tiles32 [1 256 1] [512 1 1]
	// 500 product_q2_tiles128 [4 128 1] [256 1 1]
}
