package quantize_test

import (
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// BenchmarkQuantize quantizes a block of two layers of the default width, all
// of it: rows, Hessians, rounding, comparison, files.
func BenchmarkQuantize(b *testing.B) {
	c := tinyConfig
	c.DModel, c.DFF, c.Layers = 256, 512, 2
	dir := b.TempDir()
	model := seeded{config: c}.build(b, filepath.Join(dir, "source"))
	pool := kernel.NewPool(0)
	defer pool.Close()
	n := 0
	for b.Loop() {
		n++
		o := options(model, filepath.Join(dir, "out", string(rune('a'+n%26)), string(rune('a'+n/26%26))))
		o.Compute = &tcn.Compute{Kernels: kernel.Best(), Pool: pool}
		o.Calibration, o.HeldOut = text(1, 64<<10), text(2, 16<<10)
		run(b, o)
	}
	b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N)/2, "s/layer")
}
