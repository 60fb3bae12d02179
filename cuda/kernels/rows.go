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

// ConvGate is the launches of the release cell's convolution and gate, one after the
// other: one, or, where shares are cut, three, of which conv_terms is left out without
// terms. It sets InWidth.
func ConvGate(a ConvArgs) []Call {
	a.InWidth = 2 * a.Width
	return conv("conv_gate", a)
}

// Conv is those of the paper cell's convolution.
func Conv(a ConvArgs) []Call {
	a.InWidth = a.Width
	return conv("conv", a)
}

func conv(name string, a ConvArgs) []Call {
	b := a.Batch
	if a.Segment == 0 {
		a.Segment = segment(b.Rows, b.ShareCount, a.Width)
	}
	grid := [3]int{chunks(a.Width), int(b.ShareCount), 1}
	if b.Rows <= a.Segment {
		return []Call{{name, device.Launch{Grid: grid, Block: [3]int{chunk, 1, 1}, Args: bytesOf(a)}}}
	}
	var calls []Call
	each := device.Launch{Grid: [3]int{chunks(a.InWidth), int(b.Rows), 1}, Block: [3]int{256, 1, 1}}
	if a.Low.Terms > 0 {
		each.Args = bytesOf(a)
		calls = append(calls, Call{"conv_terms", each})
		a.Low = Low{}
	}
	grid[1] += int((b.Rows - 1) / a.Segment) // stretches of the batch but for the first
	calls = append(calls, Call{name, device.Launch{Grid: grid, Block: [3]int{chunk, 1, 1}, Args: bytesOf(a)}})
	each.Grid[0], each.Args = grid[0], bytesOf(a)
	return append(calls, Call{"conv_ring", each})
}

// Of how shares are cut for convolutions.
const (
	uncut       = 16      // rows of a batch that is not worth it
	leastRows   = 8       // of a segment
	mostRows    = 32      // of a segment: the kernels take no more
	manySharing = 2 * 128 // blocks of threads that fill a device
)

// segment is how many rows of a share one block of threads passes through: so many that
// there are blocks for a whole device; all rows where most sequences have one.
func segment(rows, shares, width int32) int32 {
	if rows <= uncut || rows < 2*shares {
		return rows
	}
	n := int32(leastRows)
	for n < mostRows && chunks(width)*int(rows) >= manySharing*int(2*n) {
		n *= 2
	}
	return n
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
