package cuda_test

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/tcn"
)

// What a stage takes of a device, before any is at hand.
func ExampleNeedsOf() {
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 64, DFF: 128, Layers: 4, KernelSize: 3, Dilations: []int{1, 2},
		RMSEps: 1e-6, Weights: tcn.WeightsQ2,
	}.WithDefaults()
	block, err := tcn.SeededBlock(c, 1, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Two blocks of the same tile, as in an expanded model.
	needs, err := cuda.NeedsOf(c, c.All(), []*tcn.Block{block, block}, cuda.Options{MaxRows: 8})
	fmt.Println(needs, err)
	// Output:
	// {18944 32768 38912} <nil>
}
