package rounding_test

import (
	"context"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// The rows that this matrix meets have their first two numbers equal, and larger
// than the others. The scale that suits the weights best makes both of the first
// two err to the same side; the one that suits the products does not.
func Example() {
	ctx, c := context.Background(), rounding.Compute{Kernels: kernel.Best()}
	var rows kernel.Int8Rows
	rows.Reset(4, 4)
	for i, x := range [][]float32{{1, 1, 0, 0}, {2, 2, 1, 0}, {1, 1, 0, 1}, {3, 3, 0, 0}} {
		c.Kernels.QuantizeRow(&rows, i, x)
	}
	moments := rounding.NewMoments(4)
	moments.Add(c, &rows)
	hessian, err := rounding.NewHessian(ctx, c, moments, 0.01)
	if err != nil {
		fmt.Println(err)
		return
	}
	m := rounding.Matrix{Rows: 1, Cols: 4, Values: []float32{0.6, 0.6, 1, -3}}
	for _, round := range []func() (*rounding.Codes, error){
		func() (*rounding.Codes, error) { return rounding.Nearest(ctx, c, m, nil) },
		func() (*rounding.Codes, error) { return rounding.Compensated(ctx, c, m, hessian, rounding.Sweeps, nil) },
	} {
		q, err := round()
		if err != nil {
			fmt.Println(err)
			return
		}
		e, err := rounding.Measure(ctx, c, m, hessian, q)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("codes %v scale %.2f: weight error %.4f, output error %.4f\n", q.Codes, q.Scale[0], e[0].WeightError(), e[0].OutputError())
	}
	// Output:
	// codes [2 2 2 0] scale 0.93: weight error 0.0249, output error 0.2265
	// codes [2 2 2 0] scale 0.65: weight error 0.1130, output error 0.0513
}
