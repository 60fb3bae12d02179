package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/bench"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// benchCmd groups what measures this machine.
type benchCmd struct {
	Kernels benchKernelsCmd `cmd:"" help:"Measure the arithmetic beside what the machine can do at best."`
	Model   benchModelCmd   `cmd:"" help:"Measure decoding end to end, beside reading the weights."`
	Hops    benchHopsCmd    `cmd:"" help:"Measure what a hop adds to a lap, beside a bare QUIC echo."`
	Device  benchDeviceCmd  `cmd:"" help:"Measure a GPU beside what it can do at best."`
}

// floatFigures is the name that chooses the products of float32 numbers.
const floatFigures = "f32"

// benchKernelsCmd is zetagrid bench kernels.
type benchKernelsCmd struct {
	Only   []string      `placeholder:"NAME,…" help:"Figures to measure: f32, decode, cache, cache-masks, prefill, layer, level-cache, level-prefill, fork-join, idle, quantize. Default: all."`
	Rounds int           `default:"31" placeholder:"N" help:"Rounds of each figure but f32; at least 15. Default 31."`
	Levels bool          `help:"Every instruction level, not only the fastest; takes minutes."`
	Rows   int           `default:"64" placeholder:"N" help:"f32: rows of a prompt chunk, measured beside the single row of decoding. Default 64."`
	Size   int           `default:"1024" placeholder:"N" help:"f32: the weights are a square of N by N. Default 1024."`
	Time   time.Duration `default:"300ms" placeholder:"D" help:"f32: how long to measure each. Default 300ms."`
	JSON   bool          `name:"json" help:"Print one JSON document."`
}

func (*benchKernelsCmd) Help() string {
	return "A figure is the median of rounds of ceiling, work, ceiling: what the machine\n" +
		"can do at best is measured in the same moments as the work.\n\n" +
		examples(
			example{"zetagrid bench kernels", "every figure beside its ceiling; about a minute"},
			example{"zetagrid bench kernels --only decode,layer --rounds 101 --json", "two of them, longer, as JSON"},
		)
}

// Validate is called by kong after parsing.
func (c *benchKernelsCmd) Validate() error {
	if c.Rows < 1 || c.Rows > 1<<12 || c.Size < 32 || c.Size > 1<<14 {
		return fmt.Errorf("--rows %d is not in 1 to 4096, or --size %d not in 32 to 16384", c.Rows, c.Size)
	}
	if c.Rounds < bench.LeastRounds || c.Rounds > bench.MostRounds {
		return fmt.Errorf("--rounds %d is not in %d to %d", c.Rounds, bench.LeastRounds, bench.MostRounds)
	}
	for _, name := range c.Only {
		if name != floatFigures && !slices.Contains(bench.Names(), name) {
			return fmt.Errorf("--only %s: there are %s, %s", name, floatFigures, strings.Join(bench.Names(), ", "))
		}
	}
	return nil
}

// chosen reports whether figures of a name are to be measured.
func (c *benchKernelsCmd) chosen(name string) bool {
	return len(c.Only) == 0 || slices.Contains(c.Only, name)
}

// kernelsJSON is the output of zetagrid bench kernels --json.
type kernelsJSON struct {
	Kernels []kernelRate   `json:"kernels"` // products of float32 numbers
	Figures []bench.Figure `json:"figures"`
}

// kernelRate is one measurement of kernelsJSON.
type kernelRate struct {
	Kernels string  `json:"kernels"` // portable, avx2, avx512, neon
	Cores   int     `json:"cores"`
	Rows    int     `json:"rows"`
	GFLOPS  float64 `json:"gflops"` // 2·rows·size² a product, in 10⁹ a second
}

func (c *benchKernelsCmd) Run(ctx context.Context, s *streams) error {
	result := kernelsJSON{Kernels: []kernelRate{}, Figures: []bench.Figure{}}
	var err error
	if result.Figures, err = c.figures(ctx, s); err != nil {
		return err
	}
	if c.chosen(floatFigures) {
		if result.Kernels, err = c.floats(ctx); err != nil {
			return err
		}
	}
	if c.JSON {
		return s.printJSON(result)
	}
	c.print(s, result)
	return nil
}

// figures measures the figures chosen, less those this machine cannot.
func (c *benchKernelsCmd) figures(ctx context.Context, s *streams) (figures []bench.Figure, err error) {
	lab := bench.NewLab()
	defer func() { err = errors.Join(err, lab.Close()) }()
	list := lab.Figures()
	if c.Levels {
		list = lab.AllFigures()
	}
	list = slices.DeleteFunc(list, func(m bench.Measurement) bool { return !c.chosen(m.Name) })
	bar := progress(s, len(list), "")
	defer func() { _ = bar.Finish() }() // it draws on a terminal, or nowhere
	figures = []bench.Figure{}
	for _, m := range list {
		bar.Describe(m.String())
		f, err := m.Run(ctx, c.Rounds)
		if errors.Is(err, bench.ErrUnsupported) {
			s.note("%v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
		_ = bar.Add(1) // as above
	}
	return figures, nil
}

func (c *benchKernelsCmd) print(s *streams, result kernelsJSON) {
	var rows []table.Row
	for _, f := range result.Figures {
		rows = append(rows, figureRow(f))
	}
	if len(rows) > 0 {
		s.printTable(table.Row{"figure", "kernels", "shape", "cores", "value", "ceiling", "of ceiling", "asked, aim", ""}, rows)
	}
	rows = nil
	for _, r := range result.Kernels {
		rows = append(rows, table.Row{r.Kernels, r.Cores, r.Rows, fmt.Sprintf("%.1f", r.GFLOPS)})
	}
	if len(rows) > 0 {
		s.printTable(table.Row{"f32 kernels", "cores", "rows", "GFLOP/s"}, rows)
	}
}

// figureRow shows a figure and whether it is what was asked.
func figureRow(f bench.Figure) table.Row {
	ceiling, ratio, asked, judged := "", "", "", ""
	if f.Beside != "" {
		ceiling = fmt.Sprintf("%.4g (%s)", f.Ceiling, f.Beside)
		ratio = fmt.Sprintf("%.3f", f.OfCeiling)
	}
	switch {
	case f.Goal.Most > 0:
		asked = fmt.Sprintf("≤ %g", f.Goal.Most)
	case f.Goal.Aim > 0:
		asked = fmt.Sprintf("≥ %g, %g", f.Goal.Least, f.Goal.Aim)
	case f.Goal.Least > 0:
		asked = fmt.Sprintf("≥ %g", f.Goal.Least)
	}
	if asked != "" {
		judged = "below"
		if f.Reached() {
			judged = "reached"
		}
	}
	return table.Row{f.Name, f.Kernels, f.Shape, f.Processors, fmt.Sprintf("%.4g %s", f.Value, f.Unit), ceiling, ratio, asked, judged}
}

// floats measures products of float32 numbers on each instruction level.
func (c *benchKernelsCmd) floats(ctx context.Context) ([]kernelRate, error) {
	pool := kernel.NewPool(0)
	defer pool.Close()
	var rates []kernelRate
	for _, set := range kernel.Available() {
		for _, workers := range []*kernel.Pool{nil, pool} {
			for _, rows := range []int{1, c.Rows} {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				rate, err := c.measure(&tcn.Compute{Kernels: set, Pool: workers}, rows)
				if err != nil {
					return nil, err
				}
				rates = append(rates, rate)
			}
		}
	}
	return rates, nil
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
