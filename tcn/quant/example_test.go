package quant_test

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// A 2-bit matrix of two rows and a product with it. With four columns the
// rotation mixes all of them, and the scales hold its factor 1/4.
func Example() {
	m, err := quant.MakeQ2(2, 4, []byte{0})
	if err != nil {
		fmt.Println(err)
		return
	}
	for r, codes := range [][]byte{{3, 0, 3, 0}, {2, 2, 1, 1}} {
		if err := m.SetRow(r, codes, 0.25); err != nil {
			fmt.Println(err)
			return
		}
	}
	set, x := kernel.Best(), []float32{1, 2, 3, 4}
	var q kernel.Int8Rows
	q.Reset(1, m.Cols())
	if err := m.Quantize(set, &q, 0, x, make([]float32, m.Cols())); err != nil {
		fmt.Println(err)
		return
	}
	y := make([]float32, m.Rows())
	m.MultiplyRows(set, y, &q, 0, m.Rows())
	fmt.Println("rotated and as int8:", q.Q[:4], "times", q.Scale[0])
	fmt.Println(y)
	// Output:
	// rotated and as int8: [127 -25 -51 0] times 0.07874016
	// [5.9645667 3.011811]
}
