package bench_test

import (
	"context"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/bench"
)

// One of the figures, and what a round is made of.
func Example() {
	lab := bench.NewLab()
	for _, m := range lab.Figures() {
		if m.Name != "quantize" || m.Shape != "k=4096" {
			continue
		}
		f, err := m.Run(context.Background(), bench.LeastRounds)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(f.Name, f.Shape, "in", f.Unit, "on", f.Processors, "processor:", f.Value > 0)
	}
	fmt.Println(lab.Close())
	// Output:
	// quantize k=4096 in µs on 1 processor: true
	// <nil>
}
