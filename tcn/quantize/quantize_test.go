package quantize_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/quantize"
)

// tinyConfig is a model whose widths have small and unlike rotation blocks, and
// whose last block is shorter.
var tinyConfig = tcn.Config{
	Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 24, DFF: 40, Layers: 5, LayersPerBlock: 2,
	KernelSize: 3, Dilations: []int{1, 2}, RMSEps: 1e-6,
}.WithDefaults()

// text is n bytes, mostly letters, that a seed decides.
func text(seed uint64, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = "etaoin shrdlu"[tcn.Hash64(seed, uint64(i))%13]
	}
	return out
}

// seeded is a modelfile.Source of random weights whose parts can be changed.
type seeded struct {
	config tcn.Config
	rank   int
	layer  func(layer int, l *tcn.LayerF32)
	route  func(block int) float32
	tileOf func(block int) int // whose tile a block has
}

func (s seeded) build(t testing.TB, dir string) string {
	t.Helper()
	_, err := modelfile.Build(t.Context(), dir, modelfile.Recipe{Config: s.config, Rank: s.rank, Source: s}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s seeded) at(layer int) (block, i int) {
	block = layer / s.config.LayersPerBlock
	return block, layer - block*s.config.LayersPerBlock
}

func (s seeded) Tile(layer int, put modelfile.Put) error {
	b, i := s.at(layer)
	if s.tileOf != nil {
		b = s.tileOf(b)
	}
	l := tcn.SeededLayers(s.config, 7, b)[i]
	if s.layer != nil {
		s.layer(b*s.config.LayersPerBlock+i, &l)
	}
	return errors.Join(put(l.In), put(l.Conv), put(l.Out))
}

func (s seeded) Small(layer int, put modelfile.Put) error {
	b, i := s.at(layer)
	l := tcn.SeededSmall(s.config, 7, b).Layers[i]
	return errors.Join(put(l.NormGain), put([]float32{0.3})) // a calm residual
}

func (s seeded) Routing(block int) float32 {
	if s.route != nil {
		return s.route(block)
	}
	return 1
}

func (s seeded) Soul(layer int, put modelfile.Put) error {
	b, i := s.at(layer)
	l := tcn.SeededSoulLayers(s.config, 9, b, s.rank)[i]
	return errors.Join(put(l.InA), put(l.InB), put(l.OutA), put(l.OutB))
}

func (s seeded) Ends(put modelfile.Put) error {
	emb, pos, normF := tcn.SeededEnds(s.config, 7)
	if len(pos) == 0 {
		return errors.Join(put(emb), put(normF))
	}
	return errors.Join(put(emb), put(pos), put(normF))
}

// load is the model of a folder.
func load(t testing.TB, dir string) eval.Model {
	t.Helper()
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	genome, _ := f.Genome()
	model, _ := f.Model()
	c := genome.Config
	path := func(link modelfile.Link) string { p, _ := f.Path(link); return p }
	variant := &tcn.Variant{Range: c.All()}
	soul, _, hasSoul := f.Soul()
	var blocks []*tcn.Block
	var slices []*tcn.SoulSlice
	keep := func(closer interface{ Close() error }) { t.Cleanup(func() { _ = closer.Close() }) }
	for b := range c.Blocks() {
		block, closer, err := modelfile.OpenTile(path(genome.Tiles[b]), c, b)
		if err != nil {
			t.Fatal(err)
		}
		keep(closer)
		small, err := modelfile.LoadSmall(path(model.Small[b]), c, b)
		if err != nil {
			t.Fatal(err)
		}
		blocks, variant.Small = append(blocks, block), append(variant.Small, small)
		if hasSoul {
			slice, closer, err := modelfile.OpenSoulSlice(path(soul.Slices[b]), c, b, soul.Rank)
			if err != nil {
				t.Fatal(err)
			}
			keep(closer)
			slices = append(slices, slice)
		}
	}
	if hasSoul {
		variant.Souls = []tcn.SoulTerm{{Weight: 1, Slices: slices}}
	}
	ends, err := modelfile.LoadEnds(path(model.Ends), c)
	if err != nil {
		t.Fatal(err)
	}
	stage, err := tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best()}).Load(c, c.All(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	return eval.Model{Stage: stage, Variant: variant, Ends: ends}
}

// options are fit for small models.
func options(model, out string) quantize.Options {
	return quantize.Options{
		Model: model, Out: out, Calibration: text(1, 5000), HeldOut: text(2, 700), Method: quantize.LDLQ,
		Seed: quant.DefaultSeed, Damping: quantize.DefaultDamping, Sweeps: 3, RowBytes: quantize.DefaultRowBytes,
		Compute: &tcn.Compute{Kernels: kernel.Best()},
	}
}

func run(t testing.TB, o quantize.Options) quantize.Report {
	t.Helper()
	r, err := quantize.Quantize(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestQuantize: what the report says of every kind of model is what the model
// that was made does, to the last bit.
func TestQuantize(t *testing.T) {
	change := func(change func(*tcn.Config)) tcn.Config {
		c := tinyConfig
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		source seeded
		method quantize.Method
		repair int
	}{
		"release":        {seeded{config: tinyConfig}, quantize.LDLQ, 0},
		"to nearest":     {seeded{config: tinyConfig}, quantize.RTN, 0},
		"paper":          {seeded{config: change(func(c *tcn.Config) { c.Cell = tcn.CellPaper })}, quantize.LDLQ, 0},
		"positions":      {seeded{config: change(func(c *tcn.Config) { c.MaxPositions = 100 })}, quantize.LDLQ, 0},
		"bf16":           {seeded{config: change(func(c *tcn.Config) { c.State, c.Boundary = tcn.BF16, tcn.BF16 })}, quantize.LDLQ, 0},
		"with a Soul":    {seeded{config: tinyConfig, rank: 3}, quantize.LDLQ, 0},
		"repaired":       {seeded{config: tinyConfig}, quantize.LDLQ, 2},
		"Soul, repaired": {seeded{config: tinyConfig, rank: 3}, quantize.RTN, 2},
		"routed":         {seeded{config: tinyConfig, route: func(b int) float32 { return float32(b) / 2 }}, quantize.LDLQ, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := options(c.source.build(t, filepath.Join(dir, "source")), filepath.Join(dir, "out"))
			o.Method, o.RepairRank = c.method, c.repair
			r := run(t, o)
			if err := modelfile.Verify(t.Context(), o.Out, nil); err != nil {
				t.Fatal(err)
			}
			is, err := eval.Compare(t.Context(), load(t, o.Model), load(t, o.Out), o.HeldOut, eval.Sequence(c.source.config))
			if err != nil {
				t.Fatal(err)
			}
			was, says := r.Quality.Variants[0], r.Quality.Variants[len(r.Quality.Variants)-1]
			if is.Reference.BitsPerByte() != was.BitsPerByte || is.Other.BitsPerByte() != says.BitsPerByte || is.Divergence.BitsPerByte() != says.KL {
				t.Errorf("it has %v and %v bits a byte, KL %v; the report says %+v and %+v",
					is.Reference.BitsPerByte(), is.Other.BitsPerByte(), is.Divergence.BitsPerByte(), was, says)
			}
			if len(r.Matrices) != 2*c.source.config.Layers {
				t.Errorf("%d matrices reported", len(r.Matrices))
			}
			for _, m := range r.Matrices {
				if m.OutputError > m.NearestOutput || m.RepairedError != nil && *m.RepairedError > m.OutputError {
					t.Errorf("layer %d %s: output error %v after %v, repaired %v", m.Layer, m.Matrix, m.OutputError, m.NearestOutput, m.RepairedError)
				}
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 2 {
				t.Errorf("%v left in the folder (%v)", left, err)
			}
		})
	}
}

// canceling stops a quantization while it does a block.
func canceling(t *testing.T, o quantize.Options, block string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(doing string, _, _ int64) {
		if strings.HasPrefix(doing, block) {
			cancel()
		}
	}
	if _, err := quantize.Quantize(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled in %s: %v", block, err)
	}
	if _, err := os.Stat(o.Out); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a model of an unfinished quantization: %v", err)
	}
}

// TestResume: a quantization that was stopped makes the same model, and does what
// was finished only once; with other inputs nothing is reused.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	model := seeded{config: tinyConfig}.build(t, filepath.Join(dir, "source"))
	o := options(model, filepath.Join(dir, "whole"))
	o.RepairRank = 1
	want := run(t, o)
	o.Out = filepath.Join(dir, "out")
	canceling(t, o, "block 2")
	canceling(t, o, "block 3")
	other := o
	other.HeldOut, other.RowBytes = nil, 0 // neither changes the model
	got := run(t, other)
	if got.Model != want.Model || got.ResumedBlocks != 2 || !slices.EqualFunc(got.Matrices, want.Matrices, func(a, b quantize.MatrixReport) bool {
		return a.OutputError == b.OutputError && *a.RepairedError == *b.RepairedError
	}) {
		t.Errorf("resumed %d blocks to model %s, want 2 and %s", got.ResumedBlocks, got.Model, want.Model)
	}
	for name, change := range map[string]func(o *quantize.Options){
		"seed":        func(o *quantize.Options) { o.Seed++ },
		"calibration": func(o *quantize.Options) { o.Calibration = text(3, 5000) },
		"repair":      func(o *quantize.Options) { o.RepairRank = 2 },
	} {
		o.Out = filepath.Join(dir, "other "+name)
		canceling(t, o, "block 2")
		other := o
		change(&other)
		if r := run(t, other); r.ResumedBlocks != 0 || r.Model == want.Model {
			t.Errorf("another %s: %d blocks reused, model %s", name, r.ResumedBlocks, r.Model)
		}
	}
	o.Out = filepath.Join(dir, "spoilt")
	canceling(t, o, "block 3")
	tile := filepath.Join(dir, ".spoilt.quantizing", "block-00000.tile")
	data, err := os.ReadFile(tile)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(tile, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, o); r.ResumedBlocks != 1 || r.Model != want.Model {
		t.Errorf("after a spoilt tile: %d blocks reused, model %s", r.ResumedBlocks, r.Model)
	}
}

// TestSameModel: workers, vector width and memory do not matter.
func TestSameModel(t *testing.T) {
	dir := t.TempDir()
	model := seeded{config: tinyConfig}.build(t, filepath.Join(dir, "source"))
	want := ""
	pool := kernel.NewPool(2)
	defer pool.Close()
	for i, set := range kernel.Available() {
		for _, workers := range []*kernel.Pool{nil, pool} {
			o := options(model, filepath.Join(dir, fmt.Sprint("out", i, workers.Width())))
			o.Compute = &tcn.Compute{Kernels: set, Pool: workers}
			o.RowBytes = int64(i) * 600_000
			r := run(t, o)
			if want == "" {
				want = r.Model
			}
			if r.Model != want {
				t.Errorf("%s, %d workers: model %s, before %s", set.Name, workers.Width(), r.Model, want)
			}
		}
	}
}

// TestSharedTiles: a tile that stands in several places is quantized once and
// stays one file.
func TestSharedTiles(t *testing.T) {
	dir := t.TempDir()
	c := tinyConfig
	c.Layers = 6
	model := seeded{config: c, tileOf: func(b int) int { return b % 2 }}.build(t, filepath.Join(dir, "source"))
	o := options(model, filepath.Join(dir, "out"))
	r := run(t, o)
	f, err := modelfile.OpenFolder(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	if g, _ := f.Genome(); g.Tiles[0] != g.Tiles[2] || g.Tiles[0] == g.Tiles[1] {
		t.Errorf("tiles %v", g.Tiles)
	}
	if len(r.Matrices) != 8 || r.ResumedBlocks != 0 {
		t.Errorf("%d matrices, %d blocks resumed", len(r.Matrices), r.ResumedBlocks)
	}
	is, err := eval.Measure(t.Context(), load(t, o.Out).Predict, o.HeldOut, eval.SequenceBytes, nil)
	if err != nil || is.BitsPerByte() != r.Quality.Variants[3].BitsPerByte {
		t.Errorf("%v bits a byte, %v; the report says %v", is.BitsPerByte(), err, r.Quality.Variants[3].BitsPerByte)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	model := seeded{config: tinyConfig}.build(t, filepath.Join(dir, "source"))
	q2 := tinyConfig
	q2.Weights = tcn.WeightsQ2
	quantized := filepath.Join(dir, "q2")
	if _, err := modelfile.Init(t.Context(), quantized, q2, 1, nil); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(o *quantize.Options)
		want   error
	}{
		"method":           {func(o *quantize.Options) { o.Method = "" }, quantize.ErrOptions},
		"short text":       {func(o *quantize.Options) { o.Calibration = text(1, quantize.LeastCalibration-1) }, quantize.ErrOptions},
		"one byte":         {func(o *quantize.Options) { o.HeldOut = text(1, 1) }, quantize.ErrOptions},
		"damping":          {func(o *quantize.Options) { o.Damping = 1.01 }, quantize.ErrOptions},
		"sweeps":           {func(o *quantize.Options) { o.Sweeps = quantize.MaxSweeps + 1 }, quantize.ErrOptions},
		"rank":             {func(o *quantize.Options) { o.RepairRank = tcn.MaxRank + 1 }, quantize.ErrOptions},
		"memory":           {func(o *quantize.Options) { o.RowBytes = -1 }, quantize.ErrOptions},
		"no compute":       {func(o *quantize.Options) { o.Compute = nil }, quantize.ErrOptions},
		"2-bit already":    {func(o *quantize.Options) { o.Model = quantized }, quantize.ErrSource},
		"no model":         {func(o *quantize.Options) { o.Model = dir }, modelfile.ErrFolder},
		"output not empty": {func(o *quantize.Options) { o.Out = dir }, modelfile.ErrOutput},
	} {
		o := options(model, filepath.Join(dir, "out"))
		c.change(&o)
		if _, err := quantize.Quantize(t.Context(), o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	o := options(model, filepath.Join(dir, "out"))
	o.Calibration, o.Sweeps = text(1, quantize.LeastCalibration), quantize.MaxSweeps // at the limits
	run(t, o)
}

// TestCorruptSource: a damaged file is named, and nothing is made of it.
func TestCorruptSource(t *testing.T) {
	dir := t.TempDir()
	o := options(seeded{config: tinyConfig}.build(t, filepath.Join(dir, "source")), filepath.Join(dir, "out"))
	tiles, err := filepath.Glob(filepath.Join(o.Model, "tiles", "*"))
	if err != nil || len(tiles) == 0 {
		t.Fatal(tiles, err)
	}
	data, err := os.ReadFile(tiles[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(tiles[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := quantize.Quantize(t.Context(), o); !errors.Is(err, modelfile.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(tiles[0])) {
		t.Errorf("%v, want ErrCorrupt of %s", err, tiles[0])
	}
}

// TestTwoAtOnce: a second process does not touch what the first is making.
func TestTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	o := options(seeded{config: tinyConfig}.build(t, filepath.Join(dir, "source")), filepath.Join(dir, "out"))
	tried := false
	first := o
	first.Progress = func(string, int64, int64) {
		if tried {
			return
		}
		tried = true
		if _, err := quantize.Quantize(t.Context(), o); !errors.Is(err, quantize.ErrInUse) {
			t.Errorf("a second one: %v", err)
		}
	}
	run(t, first)
	if !tried {
		t.Error("no second one")
	}
}
