package quantize_test

import (
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/quantize"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// codesOf are the codes that a matrix of a layer is made of in TestExact.
func codesOf(layer, matrix, rows, cols int) (codes []byte, scale []float32) {
	codes, scale = make([]byte, rows*cols), make([]float32, rows)
	seed := uint64(2*layer + matrix)
	for i := range codes {
		codes[i] = byte(tcn.Hash64(seed, uint64(i)) >> 62)
	}
	for r := range scale {
		scale[r] = 0.01 + 0.02*tcn.Uniform(seed, r)
	}
	return codes, scale
}

// represent makes w the float32 form of codes, as a trainer that knows of the
// rotation leaves it.
func represent(w []float32, layer, matrix, rows, cols int) {
	codes, scale := codesOf(layer, matrix, rows, cols)
	signs := quant.Signs(quant.DefaultSeed, layer, matrix, cols)
	for i, code := range codes {
		w[i] = scale[i/cols] * float32(quant.Weight(code))
	}
	for r := range rows {
		row := w[r*cols : (r+1)*cols]
		rounding.Unrotate(kernel.Portable(), row, row, signs)
	}
}

// TestExact: a model whose weights are representable keeps its codes, whatever
// the method.
func TestExact(t *testing.T) {
	c, dir := tinyConfig, t.TempDir()
	model := seeded{config: c, layer: func(layer int, l *tcn.LayerF32) {
		represent(l.In, layer, quant.MatrixIn, 2*c.DFF, c.DModel)
		represent(l.Out, layer, quant.MatrixOut, c.DModel, c.DFF)
	}}.build(t, filepath.Join(dir, "source"))
	for _, method := range []quantize.Method{quantize.LDLQ, quantize.RTN} {
		o := options(model, filepath.Join(dir, string(method)))
		o.Method = method
		r := run(t, o)
		for _, m := range r.Matrices {
			if m.ExactRows != m.Rows || m.OutputError > 1e-9 {
				t.Errorf("%s: layer %d %s: %d of %d rows are exact, output error %v", method, m.Layer, m.Matrix, m.ExactRows, m.Rows, m.OutputError)
			}
		}
		f, err := modelfile.OpenFolder(o.Out)
		if err != nil {
			t.Fatal(err)
		}
		genome, _ := f.Genome()
		for b, tile := range genome.Tiles {
			path, _ := f.Path(tile)
			layers, closer, err := modelfile.OpenLayersQ2(path, genome.Config, b)
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range layers {
				layer := b*c.LayersPerBlock + i
				holds(t, l.In, layer, quant.MatrixIn)
				holds(t, l.Out, layer, quant.MatrixOut)
			}
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// holds checks that m has the codes of codesOf.
func holds(t *testing.T, m *quant.Q2, layer, matrix int) {
	t.Helper()
	want, _ := codesOf(layer, matrix, m.Rows(), m.Cols())
	got := make([]byte, m.Cols())
	for r := range m.Rows() {
		if _, err := m.Row(r, got); err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want[r*m.Cols():(r+1)*m.Cols()]) {
			t.Fatalf("layer %d matrix %d: row %d has other codes", layer, matrix, r)
		}
	}
}
