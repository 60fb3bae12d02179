package modelfile_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// q2Config is tinyConfig with 2-bit matrices, none of whose sizes is whole.
func q2Config() tcn.Config {
	c := tinyConfig
	c.DModel, c.DFF, c.Weights = 20, 37, tcn.WeightsQ2
	return c
}

func initModel(t *testing.T, c tcn.Config) *modelfile.Folder {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	id, err := modelfile.Init(context.Background(), dir, c, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := modelfile.Verify(context.Background(), dir, nil); err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, got := f.Model(); got != id {
		t.Fatalf("folder of %s, want %s", got, id)
	}
	return f
}

// TestInitQ2: the same config and seed give the same model, and its tiles
// compute what the seeded blocks do.
func TestInitQ2(t *testing.T) {
	c := q2Config()
	f := initModel(t, c)
	_, id := f.Model()
	const want = "baguqeerasoavfzg63o2hzdl3tqqrrglzfzfkpknptzc7iaeb5wijtxw56ipa"
	if id.String() != want {
		t.Errorf("Model CID %s, want %s", id, want)
	}
	genome, _ := f.Genome()
	if genome.Config.Weights != tcn.WeightsQ2 {
		t.Errorf("weights %q in the Genome", genome.Config.Weights)
	}
	var read, seeded []*tcn.Block
	variant := &tcn.Variant{Range: c.All()}
	for b, link := range genome.Tiles {
		path, _ := f.Path(link)
		block, closer, err := modelfile.OpenTile(path, genome.Config, b)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = closer.Close() }()
		want, err := tcn.SeededBlock(c, 7, b)
		if err != nil {
			t.Fatal(err)
		}
		read, seeded = append(read, block), append(seeded, want)
		variant.Small = append(variant.Small, tcn.SeededSmall(c, 7, b))
	}
	if got, want := stepOnce(t, c, read, variant), stepOnce(t, c, seeded, variant); !slices.Equal(got, want) {
		t.Error("tiles from files compute other rows than those they were made of")
	}
}

// stepOnce is what blocks make of a row of ones.
func stepOnce(t *testing.T, c tcn.Config, blocks []*tcn.Block, v *tcn.Variant) []float32 {
	t.Helper()
	stage, err := tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best()}).Load(c, c.All(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	state, err := stage.NewState(c.All(), 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &tcn.Work{State: state, Variant: v, Rows: tcn.Rows{Count: 1, Data: slices.Repeat([]float32{1}, c.DModel)}}
	if err := errors.Join(stage.Step([]*tcn.Work{w}), w.Err, stage.Close()); err != nil {
		t.Fatal(err)
	}
	return w.Rows.Data
}

// TestTileQ2IsUsedInPlace: codes begin at a cache line of the mapped file.
func TestTileQ2IsUsedInPlace(t *testing.T) {
	f := initModel(t, q2Config())
	genome, _ := f.Genome()
	path, _ := f.Path(genome.Tiles[0])
	file, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, name := range []string{"0.w_in.codes", "1.w_out.codes", "0.w_in.signs"} {
		raw, err := file.Bytes(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := uintptr(unsafe.Pointer(&raw[0])); at%64 != 0 {
			t.Errorf("%s begins at %x", name, at)
		}
	}
	if _, err := file.Bytes("0.w_in.scale"); !errors.Is(err, safetensors.ErrTensor) {
		t.Errorf("bytes of numbers: %v", err)
	}
	if _, err := file.Bytes("nothing"); !errors.Is(err, safetensors.ErrTensor) {
		t.Errorf("bytes of nothing: %v", err)
	}
}

// TestInspectQ2: with 1,024 columns or more a weight takes at most 2.1 bits,
// everything in the tile counted.
func TestInspectQ2(t *testing.T) {
	c := q2Config()
	c.DModel, c.DFF, c.Layers, c.LayersPerBlock = 1024, 1040, 3, 2
	f := initModel(t, c)
	in, err := modelfile.Inspect(f.Dir())
	if err != nil {
		t.Fatal(err)
	}
	const perLayer = 3*1024*1040 + 3*1040
	for b, layers := range []int64{2, 1} {
		block := in.Blocks[b]
		if block.Parameters != layers*perLayer {
			t.Errorf("block %d: %d parameters, want %d", b, block.Parameters, layers*perLayer)
		}
		if block.BitsPerWeight < 2 || block.BitsPerWeight > 2.1 {
			t.Errorf("block %d: %.4f bits a weight in %d bytes", b, block.BitsPerWeight, block.TileBytes)
		}
	}
	if in.BitsPerWeight < 2 || in.BitsPerWeight > 2.1 {
		t.Errorf("%.4f bits a weight", in.BitsPerWeight)
	}
	if want := c.Parameters().Total; in.Parameters.Total != want {
		t.Errorf("%d parameters, want %d", in.Parameters.Total, want)
	}
}

// TestTileBytes: what is announced is what is written, in either form.
func TestTileBytes(t *testing.T) {
	for _, c := range []tcn.Config{tinyConfig, q2Config()} {
		in, err := modelfile.Inspect(initModel(t, c).Dir())
		if err != nil {
			t.Fatal(err)
		}
		for b, block := range in.Blocks {
			if got, err := modelfile.TileBytes(c, b); err != nil || got != block.TileBytes {
				t.Errorf("%q block %d: %d bytes, %v; the file has %d", c.Weights, b, got, err, block.TileBytes)
			}
		}
		if _, err := modelfile.TileBytes(c, len(in.Blocks)); !errors.Is(err, tcn.ErrRange) {
			t.Errorf("past the last block: %v", err)
		}
	}
	if _, err := modelfile.TileBytes(tcn.Config{}, 0); !errors.Is(err, tcn.ErrConfig) {
		t.Errorf("zero config: %v", err)
	}
}

// TestBuildNeedsQ2: a source of numbers cannot fill 2-bit tiles.
func TestBuildNeedsQ2(t *testing.T) {
	parent := t.TempDir()
	recipe := modelfile.Recipe{Config: q2Config(), Source: numbersOnly{}}
	if _, err := modelfile.Build(context.Background(), filepath.Join(parent, "x"), recipe, nil); !errors.Is(err, modelfile.ErrConfig) {
		t.Errorf("numbers for 2-bit weights: %v", err)
	}
	nothingIn(t, parent)
}

// numbersOnly is a Source that is asked for nothing.
type numbersOnly struct{ modelfile.Source }

// otherQ2 is a SourceQ2 of one layer over and over.
type otherQ2 struct {
	numbersOnly
	layer tcn.LayerQ2
}

func (s otherQ2) TileQ2(int) (tcn.LayerQ2, error) { return s.layer, nil }
func (s otherQ2) Ends(put modelfile.Put) error {
	c := q2Config()
	return put(make([]float32, (256+c.MaxPositions+1)*c.DModel))
}

// TestBuildRefusesLayersQ2: matrices that are missing or of other sizes.
func TestBuildRefusesLayersQ2(t *testing.T) {
	c := q2Config()
	layers, err := tcn.SeededLayersQ2(c, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	good, parent := layers[0], t.TempDir()
	for name, spoil := range map[string]func(l *tcn.LayerQ2){
		"no W_in":       func(l *tcn.LayerQ2) { l.In = nil },
		"W_out as W_in": func(l *tcn.LayerQ2) { l.In = l.Out },
		"W_in as W_out": func(l *tcn.LayerQ2) { l.Out = l.In },
		"short conv":    func(l *tcn.LayerQ2) { l.Conv = l.Conv[1:] },
		"bad conv":      func(l *tcn.LayerQ2) { l.Conv = slices.Repeat([]float32{float32(math.NaN())}, len(l.Conv)) },
	} {
		l := good
		spoil(&l)
		recipe := modelfile.Recipe{Config: c, Source: otherQ2{layer: l}}
		if _, err := modelfile.Build(context.Background(), filepath.Join(parent, "x"), recipe, nil); !errors.Is(err, modelfile.ErrTensor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nothingIn(t, parent)
}

// TestOpenTileQ2Refuses: what a file may claim and must not.
func TestOpenTileQ2Refuses(t *testing.T) {
	c := q2Config()
	f := initModel(t, c)
	genome, _ := f.Genome()
	path, _ := f.Path(genome.Tiles[1])
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tensor := func(name string) int {
		file, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		found, ok := file.Lookup(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		return int(found.Offset)
	}
	floats := c
	floats.Weights = ""
	for name, refused := range map[string]struct {
		config tcn.Config
		spoil  func(data []byte)
		want   error
	}{
		"as it is":              {c, func([]byte) {}, nil},
		"as float32":            {floats, func([]byte) {}, modelfile.ErrTensor},
		"scale not a number":    {c, func(d []byte) { binary.LittleEndian.PutUint32(d[tensor("0.w_in.scale"):], 0x7fc00000) }, safetensors.ErrNotFinite},
		"infinite conv":         {c, func(d []byte) { binary.LittleEndian.PutUint32(d[tensor("0.w_dw"):], 0x7f800000) }, safetensors.ErrNotFinite},
		"signs past the end":    {c, func(d []byte) { d[tensor("0.w_in.signs")+2] |= 1 << 4 }, quant.ErrFilling},
		"codes past a row":      {c, func(d []byte) { d[tensor("0.w_in.codes")+64+1] |= 1 << 2 }, quant.ErrFilling},
		"codes past the column": {c, func(d []byte) { d[tensor("0.w_out.codes")+3*64+4*4] |= 1 }, quant.ErrFilling},
	} {
		t.Run(name, func(t *testing.T) {
			data := slices.Clone(good)
			refused.spoil(data)
			spoilt := filepath.Join(t.TempDir(), "tile.safetensors")
			if err := os.WriteFile(spoilt, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, closer, err := modelfile.OpenTile(spoilt, refused.config, 1)
			if !errors.Is(err, refused.want) || err != nil && !errors.Is(err, modelfile.ErrTensor) {
				t.Errorf("%v, want %v", err, refused.want)
			}
			if err == nil {
				if err := closer.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestConfigWeights: "f32" in a config.json is the same as nothing.
func TestConfigWeights(t *testing.T) {
	text := `{"cell": "release", "vocab_size": 256, "d_model": 4, "d_ff": 6, "n_layers": 3, "kernel_size": 3,
		"dilations": [1, 2], "max_positions": 0, "rms_eps": 1e-6, "weights": `
	for name, want := range map[string]tcn.Weights{`"f32"`: "", `""`: "", `"q2"`: tcn.WeightsQ2} {
		in, err := modelfile.DecodeConfig([]byte(text + name + "}"))
		if err != nil || in.Config.Weights != want || len(in.Unknown) > 0 {
			t.Errorf("%s: weights %q, unknown %v, %v", name, in.Config.Weights, in.Unknown, err)
		}
	}
	for _, bad := range []string{`"q4"`, "2", "null"} {
		if _, err := modelfile.DecodeConfig([]byte(text + bad + "}")); !errors.Is(err, modelfile.ErrConfig) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestGenomeWeights: a Genome of float32 weights does not name them, and one
// that does is no Genome.
func TestGenomeWeights(t *testing.T) {
	g := genome()
	before, _, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	g.Config.Weights = tcn.WeightsF32
	if _, _, err := g.Encode(); !errors.Is(err, modelfile.ErrManifest) {
		t.Errorf("weights named f32: %v", err)
	}
	g.Config.Weights = tcn.WeightsQ2
	after, _, err := g.Encode()
	if err != nil || slices.Equal(before, after) {
		t.Fatalf("2-bit Genome %s, %v", after, err)
	}
	again, err := modelfile.DecodeGenome(after)
	if err != nil || again.Config.Weights != tcn.WeightsQ2 {
		t.Errorf("weights %q, %v", again.Config.Weights, err)
	}
}
