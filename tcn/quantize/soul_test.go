package quantize_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quantize"
)

// soulQ8 quantizes a model with a Soul and a repair, both into 8-bit rows.
func soulQ8(t *testing.T) (quantize.Options, quantize.Report) {
	t.Helper()
	dir := t.TempDir()
	o := options(seeded{config: tinyConfig, rank: 3}.build(t, filepath.Join(dir, "source")), filepath.Join(dir, "rows8"))
	o.RepairRank, o.SoulWeights = 5, modelfile.SoulQ8
	return o, run(t, o)
}

// TestSoulQ8: with a Soul of 8-bit rows the report is of the model that was
// made.
func TestSoulQ8(t *testing.T) {
	o, r := soulQ8(t)
	if err := modelfile.Verify(t.Context(), o.Out, nil); err != nil {
		t.Fatal(err)
	}
	in, err := modelfile.Inspect(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	bits := float64(0)
	for b, block := range in.Blocks {
		size, err := modelfile.SoulBytesQ8(tinyConfig, b, 8)
		if err != nil || block.SoulForm != modelfile.SoulQ8 || block.SoulBytes != size {
			t.Errorf("block %d: %d bytes of form %q, want %d (%v)", b, block.SoulBytes, block.SoulForm, size, err)
		}
		bits += 8 * float64(block.SoulBytes) / float64(in.Parameters.Matrices)
	}
	if r.SoulWeights != modelfile.SoulQ8 || r.SoulBits != bits {
		t.Errorf("Soul weights %q, %v bits, want %v", r.SoulWeights, r.SoulBits, bits)
	}
	if in.Provenance["quantized.soul_weights"] != "q8" {
		t.Errorf("provenance %v", in.Provenance)
	}
	is, err := eval.Compare(t.Context(), load(t, o.Model), load(t, o.Out), o.HeldOut, eval.Sequence(tinyConfig))
	if err != nil {
		t.Fatal(err)
	}
	if says := r.Quality.Variants[3]; is.Other.BitsPerByte() != says.BitsPerByte || is.Divergence.BitsPerByte() != says.KL {
		t.Errorf("it has %v bits a byte, KL %v; the report says %+v", is.Other.BitsPerByte(), is.Divergence.BitsPerByte(), says)
	}
}

// TestSoulQ8IsNear: over the same codes, a Soul of 8-bit rows gives logits near
// those of its float32 numbers, and far from those without it.
func TestSoulQ8IsNear(t *testing.T) {
	dir := t.TempDir()
	o := options(seeded{config: tinyConfig, rank: 3}.build(t, filepath.Join(dir, "source")), filepath.Join(dir, "floats"))
	o.Method = quantize.RTN // whose codes do not depend on the rows
	floats, floatsOut := run(t, o), o.Out
	o.SoulWeights, o.Out = modelfile.SoulQ8, filepath.Join(dir, "rows8")
	rows8 := run(t, o)
	if floats.SoulWeights != modelfile.SoulF32 || floats.Model == rows8.Model {
		t.Errorf("Soul weights %q, models %s and %s", floats.SoulWeights, floats.Model, rows8.Model)
	}
	apart := func(other eval.Model) float64 {
		is, err := eval.Compare(t.Context(), load(t, floatsOut), other, o.HeldOut, eval.Sequence(tinyConfig))
		if err != nil {
			t.Fatal(err)
		}
		return is.Divergence.BitsPerByte()
	}
	bare := load(t, floatsOut)
	bare.Variant.Souls = nil
	if near, far := apart(load(t, o.Out)), apart(bare); near == 0 || near > 0.01*far {
		t.Errorf("KL to the Soul in float32 numbers is %v bits a byte, and %v without a Soul", near, far)
	}
}

// TestSoulQ8OneAnswer: a 2-bit model with a Soul of 8-bit rows gives the same
// bits in chunks of any size, on any split into stages, by any kernels and
// workers.
func TestSoulQ8OneAnswer(t *testing.T) {
	o, _ := soulQ8(t)
	model := load(t, o.Out)
	rows := embedded(t, model, text(5, 60))
	want := stepped(t, &tcn.Compute{Kernels: kernel.Portable()}, o.Out, rows, 1, []int{0, 3})
	pool := kernel.NewPool(3)
	defer pool.Close()
	for _, set := range kernel.Available() {
		for _, workers := range []*kernel.Pool{nil, pool} {
			for _, chunk := range []int{1, 7, 33, 60} {
				for _, cuts := range [][]int{{0, 3}, {0, 1, 3}, {0, 1, 2, 3}} {
					got := stepped(t, &tcn.Compute{Kernels: set, Pool: workers}, o.Out, rows, chunk, cuts)
					if !slices.EqualFunc(got, want, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
						t.Fatalf("%s, %d workers, chunks of %d, stages %v: other bits", set.Name, workers.Width(), chunk, cuts)
					}
				}
			}
		}
	}
}

// embedded is the rows of a text.
func embedded(t *testing.T, m eval.Model, text []byte) []float32 {
	t.Helper()
	d := tinyConfig.DModel
	rows := make([]float32, len(text)*d)
	for i, b := range text {
		if err := m.Ends.Embed(i, b, rows[i*d:(i+1)*d]); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// stepped takes rows through the model of a folder, some at a time, through
// stages that end at cuts.
func stepped(t *testing.T, c *tcn.Compute, dir string, rows []float32, chunk int, cuts []int) []float32 {
	t.Helper()
	rows = slices.Clone(rows)
	for i := range cuts[1:] {
		stepRange(t, c, dir, rows, chunk, tcn.Range{Lo: cuts[i], Hi: cuts[i+1]})
	}
	return rows
}

// stepRange takes rows through a range of the blocks of a folder, in place.
func stepRange(t *testing.T, c *tcn.Compute, dir string, rows []float32, chunk int, r tcn.Range) {
	t.Helper()
	config, blocks, variant, closeAll := openRange(t, dir, r)
	defer closeAll()
	stage, err := tcn.NewCPU(c).Load(config, r, blocks)
	if err != nil {
		t.Fatal(err)
	}
	state, err := stage.NewState(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := config.DModel
	for at := 0; at < len(rows)/d; at += chunk {
		n := min(chunk, len(rows)/d-at)
		work := &tcn.Work{State: state, Variant: variant, Rows: tcn.Rows{Position: at, Count: n, Data: rows[at*d : (at+n)*d]}}
		if err := errors.Join(stage.Step([]*tcn.Work{work}), work.Err); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(state.Close(), stage.Close()); err != nil {
		t.Error(err)
	}
}

// openRange maps blocks of a folder with their default Soul.
func openRange(t *testing.T, dir string, r tcn.Range) (c tcn.Config, blocks []*tcn.Block, v *tcn.Variant, closeAll func()) {
	t.Helper()
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	genome, _ := f.Genome()
	model, _ := f.Model()
	soul, _, _ := f.Soul()
	c, v = genome.Config, &tcn.Variant{Range: r}
	var closers []func() error
	var term []*tcn.SoulSlice
	path := func(link modelfile.Link) string { p, _ := f.Path(link); return p }
	for b := r.Lo; b < r.Hi; b++ {
		block, closer, err := modelfile.OpenTile(path(genome.Tiles[b]), c, b)
		if err != nil {
			t.Fatal(err)
		}
		small, err := modelfile.LoadSmall(path(model.Small[b]), c, b)
		if err != nil {
			t.Fatal(err)
		}
		slice, sliceCloser, err := modelfile.OpenSoulSlice(path(soul.Slices[b]), c, b, soul.Rank)
		if err != nil {
			t.Fatal(err)
		}
		closers = append(closers, closer.Close, sliceCloser.Close)
		blocks, v.Small, term = append(blocks, block), append(v.Small, small), append(term, slice)
	}
	v.Souls = []tcn.SoulTerm{{Weight: 1, Slices: term}}
	return c, blocks, v, func() {
		for _, c := range closers {
			if err := c(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSoulQ8Resumes: the form of the Soul is one of the inputs, if there is one.
func TestSoulQ8Resumes(t *testing.T) {
	dir := t.TempDir()
	model := seeded{config: tinyConfig}.build(t, filepath.Join(dir, "source"))
	for i, c := range []struct {
		repair, resumed int
	}{{0, 2}, {2, 0}} {
		o := options(model, filepath.Join(dir, fmt.Sprint("out", i)))
		o.RepairRank, o.HeldOut = c.repair, nil
		canceling(t, o, "block 3")
		o.SoulWeights = modelfile.SoulQ8
		if r := run(t, o); r.ResumedBlocks != c.resumed || (r.SoulWeights == modelfile.SoulQ8) != (c.repair > 0) {
			t.Errorf("repair rank %d: %d blocks resumed, Soul weights %q", c.repair, r.ResumedBlocks, r.SoulWeights)
		}
		o.Out += " again"
		canceling(t, o, "block 3")
		if r := run(t, o); r.ResumedBlocks != 2 {
			t.Errorf("the same again: %d blocks resumed", r.ResumedBlocks)
		}
	}
	o := options(model, filepath.Join(dir, "bad"))
	o.SoulWeights = "q4"
	if _, err := quantize.Quantize(t.Context(), o); !errors.Is(err, quantize.ErrOptions) {
		t.Errorf("no such form: %v", err)
	}
}
