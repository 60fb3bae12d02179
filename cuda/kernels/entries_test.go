package kernels

import (
	"slices"
	"strings"
	"testing"
)

func TestEntries(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		".visible .func f(\n":    nil,
		".visible .entry one(\n": {"one"},
		".entry two (\n)\n.weak .entry three(.param .u64 p)": {"two", "three"},
		".entry ": {""},
	} {
		if got := entries([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("entries(%q) = %q, want %q", text, got, want)
		}
	}
}

// launches are calls of every kernel, for so many rows of width numbers.
func launches(rows, width int32) []Call {
	b := Batch{Rows: rows, ShareCount: rows}
	low := Low{Terms: 3, Rank: 128}
	product := ProductArgs{Rows: rows, Outputs: width, Cols: width}
	few := Batch{Rows: rows, ShareCount: (rows + 3) / 4}
	return slices.Concat(ConvGate(ConvArgs{Batch: few, Low: low, Width: width}), Conv(ConvArgs{Batch: b, Width: width}), []Call{
		Norm(NormArgs{Batch: b, Width: width}),
		Gate(GateArgs{Batch: b, Width: width}),
		Quantize(QuantizeArgs{Rows: rows, Width: width}),
		Residual(ResidualArgs{Batch: b, Width: width}),
		BeginBlock(BlockArgs{Batch: b, Width: width}), EndBlock(BlockArgs{Batch: b, Width: width}),
		ProductF32(product), ProductQ2(product), Shrink(ShrinkArgs{Batch: b, Low: low, Cols: width}),
		ReadBytes(ReadBytesArgs{Count: 1}, 132), ProductS8(ProductS8Args{Rows: rows, Outputs: 16, Cols: 64}),
	})
}

// Every kernel there is has a function that launches it, as a device can: a grid's
// second and third direction and the threads of a block are bounded, and its arguments
// are as long as the kernel's parameter.
func TestLaunches(t *testing.T) {
	launched := map[string]bool{}
	for _, rows := range []int32{1, 2, 4, 8, 9, 17, 33, 65, 129, MaxRows} {
		for _, c := range append(launches(rows, MaxWidth), launches(rows, 1000)...) {
			launched[c.Kernel] = true
			if len(c.Launch.Args) != int(sizes[c.Kernel]) {
				t.Errorf("%s is handed %d bytes, its parameter has %d", c.Kernel, len(c.Launch.Args), sizes[c.Kernel])
			}
			grid, block := c.Launch.Grid, c.Launch.Block
			if min(grid[0], grid[1], grid[2]) < 1 || max(grid[1], grid[2]) > 65_535 || block[0]*block[1]*block[2] > 1024 {
				t.Errorf("%s with %d rows: a grid of %v, blocks of %v threads", c.Kernel, rows, grid, block)
			}
		}
	}
	for file, text := range readAll(t) {
		names := entries(text)
		if len(names) != strings.Count(string(text), ".entry") || len(names) == 0 {
			t.Errorf("%s: %d entries found, %d there", file, len(names), strings.Count(string(text), ".entry"))
		}
		for _, name := range names {
			if !launched[name] {
				t.Errorf("%s: nothing launches %s", file, name)
			}
		}
	}
}
