package kernels

import "github.com/zetagrid/zetagrid/cuda/device"

// Limits on what the kernels can be launched with.
const (
	// MaxRows bounds the rows of a batch, and its shares: a device's grid has no more
	// blocks in its second direction.
	MaxRows = 65_535

	// MaxWidth bounds the numbers of a row: as many products of two int8 numbers fit
	// an int32 sum.
	MaxWidth = 131_072
)

// chunk is the columns of a row that one block of threads holds together: whole
// blocks of any rotation.
const chunk = 1024

// chunks is how many of them a row of width columns has.
func chunks(width int32) int { return (int(width) + chunk - 1) / chunk }

// normWarps is how many warps a row's block has at most.
const normWarps = 32

// Norm launches RMSNorm, two warps for each chunk of a row; see args.h.
func Norm(a NormArgs) Call {
	threads := warp * min(2*chunks(a.Width), normWarps)
	return Call{"rms_norm", device.Launch{Grid: [3]int{int(a.Batch.Rows), 1, 1}, Block: [3]int{threads, 1, 1}, Args: bytesOf(a)}}
}

// ConvGate launches the release cell's convolution and gate.
func ConvGate(a ConvArgs) Call { return conv("conv_gate", a) }

// Conv launches the paper cell's convolution.
func Conv(a ConvArgs) Call { return conv("conv", a) }

func conv(name string, a ConvArgs) Call {
	return Call{name, device.Launch{Grid: [3]int{chunks(a.Width), int(a.Batch.ShareCount), 1}, Block: [3]int{chunk, 1, 1}, Args: bytesOf(a)}}
}

// Gate launches the paper cell's gate.
func Gate(a GateArgs) Call {
	return Call{"gate", device.Launch{Grid: [3]int{chunks(a.Width), int(a.Batch.Rows), 1}, Block: [3]int{chunk, 1, 1}, Args: bytesOf(a)}}
}

// Quantize launches what makes int8 rows of what Spread left.
func Quantize(a QuantizeArgs) Call {
	return Call{"quantize", device.Launch{Grid: [3]int{chunks(a.Width), int(a.Rows), 1}, Block: [3]int{256, 1, 1}, Args: bytesOf(a)}}
}

// Residual launches what adds a layer to x.
func Residual(a ResidualArgs) Call {
	return Call{"residual", device.Launch{Grid: [3]int{chunks(a.Width), int(a.Batch.Rows), 1}, Block: [3]int{256, 1, 1}, Args: bytesOf(a)}}
}

// BeginBlock launches what a Fractal Block begins with.
func BeginBlock(a BlockArgs) Call { return block("begin_block", a) }

// EndBlock launches what a Fractal Block ends with.
func EndBlock(a BlockArgs) Call { return block("end_block", a) }

func block(name string, a BlockArgs) Call {
	return Call{name, device.Launch{Grid: [3]int{chunks(a.Width), int(a.Batch.Rows), 1}, Block: [3]int{256, 1, 1}, Args: bytesOf(a)}}
}
