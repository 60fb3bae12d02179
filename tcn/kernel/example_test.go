package kernel_test

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// A product of one row with a matrix, its rows shared among the processors.
func ExampleSet_matMul() {
	set, pool := kernel.Best(), kernel.NewPool(0)
	defer pool.Close()
	x := []float32{1, 2, 3} // [1, 3]
	w := []float32{         // [4, 3]
		1, 0, 0,
		0, 1, 0,
		0, 0, 1,
		1, 1, 1,
	}
	y := make([]float32, 4) // [1, 4]
	pool.Run(2, func(i int) {
		set.MatMul(y, x, w, 1, 4, 3, 2*i, 2*i+2)
	})
	fmt.Println(y)
	// Output: [1 2 3 6]
}

func ExampleNamed() {
	set, err := kernel.Named("portable")
	if err != nil {
		fmt.Println(err)
		return
	}
	y := []float32{0}
	set.Gate(y, []float32{2}, []float32{0})
	fmt.Println(set.Name, y)
	// Output: portable [0.880797]
}
