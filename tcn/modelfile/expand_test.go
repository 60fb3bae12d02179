package modelfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// seedConfig is a model of 3 blocks to grow.
func seedConfig(weights tcn.Weights) tcn.Config {
	return tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 16, DFF: 36, Layers: 6,
		KernelSize: 3, Dilations: []int{1, 2}, RMSEps: 1e-6, Weights: weights,
	}.WithDefaults()
}

func TestExpansionSources(t *testing.T) {
	halves := seedConfig("")
	halves.Layers, halves.LayersPerBlock, halves.Dilations = 16, 4, []int{1, 2, 4, 8, 16, 32, 64, 128} // 4 blocks, 2 to a cycle
	short := seedConfig("")
	short.Layers = 5
	odd := halves
	odd.Layers = 12 // 3 blocks: a cycle and a half
	for _, c := range []struct {
		name   string
		config tcn.Config
		modelfile.Expansion
		want []int // nil: ErrExpand
	}{
		{"replicate", seedConfig(""), modelfile.Expansion{Blocks: 8, Mode: modelfile.ExpandReplicate}, []int{0, 1, 2, 0, 1, 2, 0, 1}},
		{"mirror", seedConfig(""), modelfile.Expansion{Blocks: 8, Mode: modelfile.ExpandMirror}, []int{0, 1, 2, 2, 1, 0, 0, 1}},
		{"replicate groups", halves, modelfile.Expansion{Blocks: 7, Mode: modelfile.ExpandReplicate}, []int{0, 1, 2, 3, 0, 1, 2}},
		{"mirror groups", halves, modelfile.Expansion{Blocks: 9, Mode: modelfile.ExpandMirror}, []int{0, 1, 2, 3, 2, 3, 0, 1, 0}},
		{"no mode", seedConfig(""), modelfile.Expansion{Blocks: 6}, nil},
		{"not more", seedConfig(""), modelfile.Expansion{Blocks: 3, Mode: modelfile.ExpandMirror}, nil},
		{"most layers", seedConfig(""), modelfile.Expansion{Blocks: tcn.MaxLayers/2 + 1, Mode: modelfile.ExpandMirror}, nil},
		{"short last block", short, modelfile.Expansion{Blocks: 6, Mode: modelfile.ExpandReplicate}, nil},
		{"half a cycle", odd, modelfile.Expansion{Blocks: 6, Mode: modelfile.ExpandReplicate}, nil},
	} {
		got, err := c.Sources(c.config)
		if c.want == nil && !errors.Is(err, modelfile.ErrExpand) || c.want != nil && (err != nil || !slices.Equal(got, c.want)) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
		for i, from := range got { // same dilations
			for l := range c.config.LayersPerBlock {
				if c.config.Dilation(i*c.config.LayersPerBlock+l) != c.config.Dilation(from*c.config.LayersPerBlock+l) {
					t.Errorf("%s: block %d has the tile of %d at another phase", c.name, i, from)
				}
			}
		}
	}
	sources, err := modelfile.Expansion{Blocks: tcn.MaxLayers / 2, Mode: modelfile.ExpandMirror}.Sources(seedConfig(""))
	if err != nil || len(sources) != tcn.MaxLayers/2 {
		t.Errorf("as many layers as there may be: %d blocks, %v", len(sources), err)
	}
}

// openModel loads a model folder into this process.
func openModel(t testing.TB, dir string) (eval.Model, []*tcn.Block) {
	t.Helper()
	folder, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	genome, _ := folder.Genome()
	model, _ := folder.Model()
	config := genome.Config
	at := func(c modelfile.Link) string {
		path, _ := folder.Path(c)
		return path
	}
	m := eval.Model{Variant: &tcn.Variant{Range: config.All()}}
	var blocks []*tcn.Block
	for b := range config.Blocks() {
		tile, closer, err := modelfile.OpenTile(at(genome.Tiles[b]), config, b)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		})
		small, err := modelfile.LoadSmall(at(model.Small[b]), config, b)
		if err != nil {
			t.Fatal(err)
		}
		blocks, m.Variant.Small = append(blocks, tile), append(m.Variant.Small, small)
	}
	var errEnds, errLoad error
	m.Ends, errEnds = modelfile.LoadEnds(at(model.Ends), config)
	m.Stage, errLoad = tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best()}).Load(config, config.All(), blocks)
	if err := errors.Join(errEnds, errLoad); err != nil {
		t.Fatal(err)
	}
	return m, blocks
}

// tensorBytes is the bytes of a folder's tensor files.
func tensorBytes(t testing.TB, dir string) int64 {
	t.Helper()
	in, err := modelfile.Inspect(dir)
	if err != nil || len(in.Missing) > 0 {
		t.Fatal(err, in.Missing)
	}
	return in.FileBytes
}

// TestExpand: a grown model is a valid folder, computes the seed's bits and
// stores nothing twice.
func TestExpand(t *testing.T) {
	for _, weights := range []tcn.Weights{"", tcn.WeightsQ2} {
		for _, mode := range []modelfile.ExpandMode{modelfile.ExpandReplicate, modelfile.ExpandMirror} {
			t.Run(fmt.Sprintf("%s %s", weights, mode), func(t *testing.T) {
				dir := t.TempDir()
				seed, grown := filepath.Join(dir, "seed"), filepath.Join(dir, "grown")
				plain := filepath.Join(dir, "plain")
				parameters := strconv.FormatInt(seedConfig(weights).Parameters().Total, 10)
				_, errInit := modelfile.Init(t.Context(), plain, seedConfig(weights), 1, nil)
				_, errFacts := modelfile.Annotate(t.Context(), plain, seed, map[string]string{modelfile.FactParameters: parameters}, nil)
				if err := errors.Join(errInit, errFacts); err != nil {
					t.Fatal(err)
				}
				id, err := modelfile.Expand(t.Context(), seed, grown, modelfile.Expansion{Blocks: 12, Mode: mode}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := modelfile.Verify(t.Context(), grown, nil); err != nil {
					t.Fatal(err)
				}
				if _, err := modelfile.CheckSizes(grown); err != nil {
					t.Error(err)
				}
				checkGrown(t, seed, grown, id)
			})
		}
	}
}

func checkGrown(t *testing.T, seed, grown string, id modelfile.Link) {
	t.Helper()
	a, _ := openModel(t, seed)
	b, blocks := openModel(t, grown)
	want, errWant := a.LogitsDigest(t.Context(), eval.Prompts)
	got, errGot := b.LogitsDigest(t.Context(), eval.Prompts)
	if err := errors.Join(errWant, errGot); err != nil || got != want {
		t.Errorf("logits digest %s, want the seed's %s (%v)", got, want, err)
	}
	if b.Stage.Config().Blocks() != 12 || len(blocks) != 12 {
		t.Errorf("%d blocks, want 12", len(blocks))
	}
	distinct := map[*tcn.Block]bool{}
	for i, block := range blocks {
		distinct[block] = true
		if r := b.Variant.Small[i].Routing; (r == 0) != (i >= 3) {
			t.Errorf("block %d has r = %v", i, r)
		}
	}
	if len(distinct) != 3 {
		t.Errorf("%d tiles in memory, want 3", len(distinct))
	}
	folder, err := modelfile.OpenFolder(grown)
	if err != nil {
		t.Fatal(err)
	}
	model, gotID := folder.Model()
	if gotID != id || model.Provenance["expanded from"] == "" || model.Provenance["seed"] != "1" || model.Provenance[modelfile.FactSource] != "expanded" {
		t.Errorf("Model %s, want %s; provenance %v", gotID, id, model.Provenance)
	}
	for _, ref := range folder.Files() {
		one, errOne := os.Stat(filepath.Join(seed, ref.Path))
		two, errTwo := os.Stat(filepath.Join(grown, ref.Path))
		if errOne == nil && errTwo == nil && !os.SameFile(one, two) {
			t.Errorf("%s is on the disk twice", ref.Path)
		}
	}
	// Awake, the new blocks compute something else: they are really there.
	for i := range b.Variant.Small {
		small := *b.Variant.Small[i]
		small.Routing = 1
		b.Variant.Small[i] = &small
	}
	if awake, err := b.LogitsDigest(t.Context(), eval.Prompts); err != nil || awake == want {
		t.Errorf("with r = 1 the model computes the seed's logits (%v)", err)
	}
}

// TestExpandSoul: the slices of the default Soul are copied like tiles.
func TestExpandSoul(t *testing.T) {
	seed, grown := initWithSoul(t), filepath.Join(t.TempDir(), "grown")
	before, err := modelfile.OpenFolder(seed)
	if err != nil {
		t.Fatal(err)
	}
	g, _ := before.Genome()
	e := modelfile.Expansion{Blocks: 2 * g.Config.Blocks(), Mode: modelfile.ExpandMirror}
	if _, err := modelfile.Expand(t.Context(), seed, grown, e, nil); err != nil {
		t.Fatal(err)
	}
	if err := modelfile.Verify(t.Context(), grown, nil); err != nil {
		t.Fatal(err)
	}
	after, err := modelfile.OpenFolder(grown)
	if err != nil {
		t.Fatal(err)
	}
	old, _, _ := before.Soul()
	soul, _, ok := after.Soul()
	sources, err := e.Sources(g.Config)
	if !ok || err != nil || len(soul.Slices) != e.Blocks {
		t.Fatalf("Soul of %d slices, want %d (%v)", len(soul.Slices), e.Blocks, err)
	}
	for i, from := range sources {
		if soul.Slices[i] != old.Slices[from] {
			t.Errorf("slice %d is not that of block %d of the seed", i, from)
		}
	}
}

// soulSource is a seeded model's numbers with a Soul of rank 1.
type soulSource struct{ config tcn.Config }

func (s soulSource) layer(layer int) (tcn.LayerF32, tcn.SoulLayerF32, tcn.SmallLayer) {
	block, i := layer/s.config.LayersPerBlock, layer%s.config.LayersPerBlock
	return tcn.SeededLayers(s.config, 1, block)[i], tcn.SeededSoulLayers(s.config, 1, block, 1)[i], tcn.SeededSmall(s.config, 1, block).Layers[i]
}

func (s soulSource) Tile(layer int, put modelfile.Put) error {
	l, _, _ := s.layer(layer)
	return errors.Join(put(l.In), put(l.Conv), put(l.Out))
}

func (s soulSource) Small(layer int, put modelfile.Put) error {
	_, _, small := s.layer(layer)
	return errors.Join(put(small.NormGain), put([]float32{small.Scale}))
}

func (s soulSource) Soul(layer int, put modelfile.Put) error {
	_, l, _ := s.layer(layer)
	return errors.Join(put(l.InA), put(l.InB), put(l.OutA), put(l.OutB))
}

func (s soulSource) Routing(int) float32 { return 1 }

func (s soulSource) Ends(put modelfile.Put) error {
	emb, _, normF := tcn.SeededEnds(s.config, 1)
	return errors.Join(put(emb), put(normF))
}

// initWithSoul makes a seed with a default Soul.
func initWithSoul(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "seed")
	config := seedConfig("")
	if _, err := modelfile.Build(t.Context(), dir, modelfile.Recipe{Config: config, Rank: 1, Source: soulSource{config}}, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExpandRefuses(t *testing.T) {
	dir := t.TempDir()
	seed := filepath.Join(dir, "seed")
	if _, err := modelfile.Init(t.Context(), seed, seedConfig(""), 1, nil); err != nil {
		t.Fatal(err)
	}
	good := modelfile.Expansion{Blocks: 6, Mode: modelfile.ExpandReplicate}
	for name, c := range map[string]struct {
		seed, out string
		e         modelfile.Expansion
		want      error
	}{
		"no such seed": {filepath.Join(dir, "none"), filepath.Join(dir, "out"), good, modelfile.ErrFolder},
		"full folder":  {seed, seed, good, modelfile.ErrOutput},
		"too few":      {seed, filepath.Join(dir, "out"), modelfile.Expansion{Blocks: 3, Mode: modelfile.ExpandMirror}, modelfile.ErrExpand},
	} {
		if _, err := modelfile.Expand(t.Context(), c.seed, c.out, c.e, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	folder, err := modelfile.OpenFolder(seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(seed, folder.Files()[2].Path)); err != nil {
		t.Fatal(err)
	}
	if _, err := modelfile.Expand(t.Context(), seed, filepath.Join(dir, "out"), good, nil); !errors.Is(err, modelfile.ErrFolder) {
		t.Errorf("a seed that lacks a file: %v, want ErrFolder", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left %v (%v)", entries, err)
	}
}

// mappedBytes is the memory of mapped files that this process has resident.
func mappedBytes(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kilobytes, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Skip("the system does not tell")
	return 0
}

// TestExpandTakesNoRoom: four times the blocks, all computing, take the disk
// and the memory of the seed, within 2 %.
func TestExpandTakesNoRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("tens of megabytes of weights")
	}
	if runtime.GOOS != "linux" {
		t.Skip("resident memory by kind is told on Linux")
	}
	for _, weights := range []tcn.Weights{"", tcn.WeightsQ2} {
		config := seedConfig(weights)
		config.DModel, config.DFF = 256, 1024 // 6 MiB a block in float32
		if weights == tcn.WeightsQ2 {
			config.DModel, config.DFF = 1024, 2048 // 3 MiB in 2 bits
		}
		dir := t.TempDir()
		seed, grown := filepath.Join(dir, "seed"), filepath.Join(dir, "grown")
		_, errInit := modelfile.Init(t.Context(), seed, config, 1, nil)
		_, errExpand := modelfile.Expand(t.Context(), seed, grown, modelfile.Expansion{Blocks: 12, Mode: modelfile.ExpandMirror}, nil)
		if err := errors.Join(errInit, errExpand); err != nil {
			t.Fatal(err)
		}
		resident := func(name, dir string) (grew int64) {
			before := mappedBytes(t)
			t.Run(name, func(t *testing.T) {
				m, _ := openModel(t, dir)
				for i := range m.Variant.Small {
					m.Variant.Small[i].Routing = 1
				}
				if _, err := m.LogitsDigest(t.Context(), eval.Prompts[:1]); err != nil {
					t.Fatal(err)
				}
				grew = mappedBytes(t) - before
			})
			return grew
		}
		resident("once", seed) // the program's own pages
		disk, memory := tensorBytes(t, seed), resident("seed", seed)
		grownDisk, grownMemory := tensorBytes(t, grown), resident("grown", grown)
		t.Logf("weights %q: disk %d and %d bytes, resident %d and %d", weights, disk, grownDisk, memory, grownMemory)
		if memory < disk/2 {
			t.Errorf("weights %q: %d bytes resident of %d on disk: nothing was measured", weights, memory, disk)
		}
		if float64(grownDisk) > 1.02*float64(disk) || float64(grownMemory) > 1.02*float64(memory) {
			t.Errorf("weights %q: disk %d, then %d bytes; resident %d, then %d", weights, disk, grownDisk, memory, grownMemory)
		}
	}
}
