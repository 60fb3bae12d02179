package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// benchCmd groups what measures this machine.
type benchCmd struct {
	Kernels benchKernelsCmd `cmd:"" help:"Measure the matrix product on each instruction level."`
	Hops    benchHopsCmd    `cmd:"" help:"Measure what a hop adds to a lap, beside a bare QUIC echo."`
}

// benchKernelsCmd is zetagrid bench kernels.
type benchKernelsCmd struct {
	Rows int           `default:"64" placeholder:"N" help:"Rows of a prompt chunk, measured beside the single row of decoding. Default 64."`
	Size int           `default:"1024" placeholder:"N" help:"The weights are a square of N by N. Default 1024."`
	Time time.Duration `default:"300ms" placeholder:"D" help:"How long to measure each. Default 300ms."`
	JSON bool          `name:"json" help:"Print one JSON document."`
}

func (*benchKernelsCmd) Help() string {
	return examples(example{"zetagrid bench kernels", "GFLOP/s of each level, one core and all"})
}

// Validate is called by kong after parsing.
func (c *benchKernelsCmd) Validate() error {
	if c.Rows < 1 || c.Rows > 1<<12 || c.Size < 32 || c.Size > 1<<14 {
		return fmt.Errorf("--rows %d is not in 1 to 4096, or --size %d not in 32 to 16384", c.Rows, c.Size)
	}
	return nil
}

// kernelsJSON is the output of zetagrid bench kernels --json.
type kernelsJSON struct {
	Kernels []kernelRate `json:"kernels"`
}

// kernelRate is one measurement of kernelsJSON.
type kernelRate struct {
	Kernels string  `json:"kernels"` // portable, avx2, avx512
	Cores   int     `json:"cores"`
	Rows    int     `json:"rows"`
	GFLOPS  float64 `json:"gflops"` // 2·rows·size² a product, in 10⁹ a second
}

func (c *benchKernelsCmd) Run(ctx context.Context, s *streams) error {
	pool := kernel.NewPool(0)
	defer pool.Close()
	var result kernelsJSON
	for _, set := range kernel.Available() {
		for _, workers := range []*kernel.Pool{nil, pool} {
			for _, rows := range []int{1, c.Rows} {
				if err := ctx.Err(); err != nil {
					return err
				}
				rate, err := c.measure(&tcn.Compute{Kernels: set, Pool: workers}, rows)
				if err != nil {
					return err
				}
				result.Kernels = append(result.Kernels, rate)
			}
		}
	}
	if c.JSON {
		return s.printJSON(result)
	}
	var rows []table.Row
	for _, r := range result.Kernels {
		rows = append(rows, table.Row{r.Kernels, r.Cores, r.Rows, fmt.Sprintf("%.1f", r.GFLOPS)})
	}
	s.printTable(table.Row{"kernels", "cores", "rows", "GFLOP/s"}, rows)
	return nil
}

func (c *benchKernelsCmd) measure(compute *tcn.Compute, rows int) (kernelRate, error) {
	numbers := make([]float32, max(c.Size, rows)*c.Size) // both operands
	for i := range numbers {
		numbers[i] = tcn.Uniform(1, i) - 0.5
	}
	weights, x, y := numbers[:c.Size*c.Size], numbers[:rows*c.Size], make([]float32, rows*c.Size)
	matrix, err := tcn.NewMatrixF32(c.Size, c.Size, weights)
	if err != nil {
		return kernelRate{}, err
	}
	products := 0
	began := time.Now()
	for products == 0 || time.Since(began) < c.Time {
		matrix.Multiply(compute, y, x, rows)
		products++
	}
	operations := 2 * float64(products) * float64(rows) * float64(c.Size) * float64(c.Size)
	rate := kernelRate{compute.Kernels.Name, 1, rows, operations / time.Since(began).Seconds() / 1e9}
	if compute.Pool != nil {
		rate.Cores = runtime.GOMAXPROCS(0)
	}
	return rate, nil
}
