package plan_test

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/plan"
)

// The scaling report's bound for 120 billion parameters of 2 bits.
func ExampleUpper() {
	gpu, err := plan.DefaultTable().GPU("h100-80")
	if err != nil {
		panic(err)
	}
	b, err := plan.Upper(120e9, 2, 131072, gpu)
	if err != nil {
		panic(err)
	}
	gb := func(bytes int64) float64 { return float64(bytes) / 1e9 }
	fmt.Printf("weights %.1f GB, with scales up to %.1f GB\n", gb(b.Raw), gb(b.Effective.High))
	fmt.Printf("state %.2f GB at %d bytes of context\n", gb(b.State.Bytes), b.State.Context)
	fmt.Printf("total %.1f to %.1f GB, one %s: %v\n", gb(b.Total.Low), gb(b.Total.High), b.GPU.Name, b.FitsOne)
	// Output:
	// weights 30.0 GB, with scales up to 36.0 GB
	// state 9.44 GB at 131072 bytes of context
	// total 45.5 to 57.5 GB, one h100-80: true
}

// Nine GPUs hold a trillion parameters twice: any one of them may die.
func ExampleLay() {
	table := plan.DefaultTable()
	gpus, err := table.ParseRack("9xh100-80")
	if err != nil {
		panic(err)
	}
	config, err := plan.Preset("1t")
	if err != nil {
		panic(err)
	}
	l, err := plan.Lay(plan.Model{Config: config}, plan.Demand{Sessions: 8, Souls: 1, SoulRank: 128}, gpus, plan.DefaultLink)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d blocks, each held by at least %d GPUs\n", l.Blocks, l.Copies)
	fmt.Printf("GPU 0 computes %v of them, its death loses %v\n", l.GPUs[0].Stage, l.Losses[0].Lost)
	// Output:
	// 39 blocks, each held by at least 2 GPUs
	// GPU 0 computes {0 5} of them, its death loses []
}
