package quantize_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quantize"
)

// Example makes a small random model and quantizes it.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "quantize")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	model := filepath.Join(dir, "model")
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 64, DFF: 128, Layers: 2,
		KernelSize: 3, Dilations: []int{1, 2}, RMSEps: 1e-6,
	}.WithDefaults()
	if _, err := modelfile.Init(ctx, model, config, 1, nil); err != nil {
		fmt.Println(err)
		return
	}
	report, err := quantize.Quantize(ctx, quantize.Options{
		Model: model, Out: filepath.Join(dir, "model-q2"),
		Calibration: text(1, 8192), HeldOut: text(2, 1000),
		Method: quantize.LDLQ, Seed: 1, Damping: quantize.DefaultDamping, Sweeps: 3,
		Compute: &tcn.Compute{Kernels: kernel.Best()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range report.Matrices {
		fmt.Printf("layer %d %-5s output error below that of rounding to nearest: %v\n", m.Layer, m.Matrix, m.OutputError < m.NearestOutput/2)
	}
	// Output:
	// layer 0 w_in  output error below that of rounding to nearest: true
	// layer 0 w_out output error below that of rounding to nearest: true
	// layer 1 w_in  output error below that of rounding to nearest: true
	// layer 1 w_out output error below that of rounding to nearest: true
}
