package kernels

import "github.com/zetagrid/zetagrid/cuda/device"

// ReadBytesArgs is what kernel read_bytes is handed; see yardsticks.h.
type ReadBytesArgs struct {
	Bytes, Out device.Pointer
	Count      int64 // of 16 bytes
}

// ReadBytes launches what only reads: the yardstick of products with few rows. Of
// every one of blocks blocks of threads Out holds a uint32.
func ReadBytes(a ReadBytesArgs, blocks int) Call {
	return Call{"read_bytes", device.Launch{Grid: [3]int{blocks, 1, 1}, Block: [3]int{256, 1, 1}, Args: bytesOf(a)}}
}

// ProductS8Args is what kernel product_s8_tiles is handed; see yardsticks.h.
type ProductS8Args struct {
	Y, Q, Weights device.Pointer
	Rows, Outputs int32 // Outputs a multiple of 16
	Cols, Stride  int32 // Cols a multiple of 64, Stride of 8
}

// ProductS8 launches a product of int8 numbers: the yardstick of products with many
// rows.
func ProductS8(a ProductS8Args) Call {
	grid := [3]int{over(a.Rows, 128), over(a.Outputs, 256), 1}
	return Call{"product_s8_tiles", device.Launch{Grid: grid, Block: [3]int{256, 1, 1}, Args: bytesOf(a)}}
}
