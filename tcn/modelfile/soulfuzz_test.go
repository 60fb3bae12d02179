package modelfile_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// FuzzOpenSoulSlice opens any bytes as a slice of rank 1 of either form: a typed
// error, or matrices that give finite numbers of a row of zeros.
func FuzzOpenSoulSlice(f *testing.F) {
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 2, DFF: 3, Layers: 1, LayersPerBlock: 1,
		KernelSize: 3, Dilations: []int{1}, RMSEps: 1e-6,
	}.WithDefaults()
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "slice.safetensors")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		slice, closer, err := modelfile.OpenSoulSlice(path, c, 0, 1)
		if err != nil {
			if !errors.Is(err, modelfile.ErrTensor) && !errors.Is(err, safetensors.ErrFormat) && !errors.Is(err, safetensors.ErrTooLarge) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		l := slice.Layers[0]
		for _, m := range []tcn.Matrix{l.InA, l.InB, l.OutA, l.OutB} {
			y := make([]float32, m.Rows())
			m.Multiply(&tcn.Compute{Kernels: kernel.Portable()}, y, make([]float32, m.Cols()), 1)
			for r, v := range y {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					t.Fatalf("row %d gives %v of zeros", r, v)
				}
			}
		}
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
