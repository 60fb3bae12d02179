package kernels

import "github.com/zetagrid/zetagrid/cuda/device"

// ProductF32 launches a product with float32 weights.
func ProductF32(a ProductArgs) Call {
	return Call{"product_f32", device.Launch{Grid: [3]int{int(a.Outputs+7) / 8, 1, 1}, Block: [3]int{256, 1, 1}, Args: bytesOf(a)}}
}

// ProductQ2 launches a product with 2-bit weights, by the kernel that suits the
// rows.
func ProductQ2(a ProductArgs) Call {
	return Call{"product_q2", device.Launch{Grid: [3]int{int(a.Outputs+15) / 16, 1, 1}, Block: [3]int{128, 1, 1}, Args: bytesOf(a)}}
}

// Shrink launches the first product of every Soul's term.
func Shrink(a ShrinkArgs) Call {
	return Call{"shrink", device.Launch{Grid: [3]int{int(a.Low.Terms), int(a.Batch.Rows), 1}, Block: [3]int{256, 1, 1}, Args: bytesOf(a)}}
}
