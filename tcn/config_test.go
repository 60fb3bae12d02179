package tcn

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// published is the config of the release's own checkpoint, called 25B.
func published() Config {
	return Config{
		Cell: CellRelease, VocabSize: 256, DModel: 4096, DFF: 16384, Layers: 32, KernelSize: 3,
		Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, MaxPositions: 2048, RMSEps: 1e-6,
	}.WithDefaults()
}

func TestSizesOfThePublishedModel(t *testing.T) {
	c := published()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []struct {
		name      string
		got, want int64
	}{
		{"layers per block", int64(c.LayersPerBlock), 8},
		{"blocks", int64(c.Blocks()), 4},
		{"conv width", int64(c.ConvWidth()), 16384},
		{"history of a block", int64(c.HistoryRows(Range{1, 2})), 510},
		{"history of all", int64(c.HistoryRows(c.All())), 2040},
		{"receptive field", int64(c.ReceptiveField()), 2041},
		{"state of all", c.StateBytes(c.All()), (2040 + 32*16) * 16384 * 4},
		{"state of a block", c.StateBytes(Range{0, 1}), (510 + 8*16) * 16384 * 4},
		{"matrices", c.Parameters().Matrices, 6_442_450_944},
		{"conv", c.Parameters().Conv, 32 * 3 * 16384},
		{"small", c.Parameters().Small, 32*4097 + 4},
		{"ends", c.Parameters().Ends, (256 + 2048 + 1) * 4096},
		{"total", c.Parameters().Total, 6_453_596_196},
	} {
		if size.got != size.want {
			t.Errorf("%s: %d, want %d", size.name, size.got, size.want)
		}
	}
}

func TestPartialLastBlock(t *testing.T) {
	c := published()
	c.Layers, c.Cell, c.State = 17, CellPaper, BF16
	if c.Blocks() != 3 {
		t.Fatalf("%d blocks, want 3", c.Blocks())
	}
	if lo, hi := c.BlockLayers(2); lo != 16 || hi != 17 {
		t.Errorf("last block holds [%d, %d), want [16, 17)", lo, hi)
	}
	if got := c.HistoryRows(Range{2, 3}); got != 2 {
		t.Errorf("history of the last block %d, want 2", got)
	}
	if got, want := c.StateBytes(Range{2, 3}), int64((2+16)*4096*2); got != want {
		t.Errorf("state of the last block %d, want %d", got, want)
	}
	whole := c.HistoryRows(c.All())
	if sum := c.HistoryRows(Range{0, 1}) + c.HistoryRows(Range{1, 3}); sum != whole {
		t.Errorf("history does not add up: %d and %d", sum, whole)
	}
}

// TestDilationIgnoresBlocks: dilations cycle through the model, not the block.
func TestDilationIgnoresBlocks(t *testing.T) {
	c := Config{Layers: 6, LayersPerBlock: 2, Dilations: []int{1, 3, 9}}
	var got []int
	for layer := range c.Layers {
		got = append(got, c.Dilation(layer))
	}
	if want := []int{1, 3, 9, 1, 3, 9}; !reflect.DeepEqual(got, want) {
		t.Errorf("dilations %v, want %v", got, want)
	}
}

func TestWithDefaults(t *testing.T) {
	c := Config{Dilations: []int{1, 2, 4}}.WithDefaults()
	if c.LayersPerBlock != 3 || c.State != F32 || c.Boundary != F32 {
		t.Errorf("defaults %d %q %q", c.LayersPerBlock, c.State, c.Boundary)
	}
	given := Config{LayersPerBlock: 5, State: BF16, Boundary: BF16}
	if got := given.WithDefaults(); !reflect.DeepEqual(got, given) {
		t.Errorf("defaults replaced what was given: %+v", got)
	}
}

// TestWeightsInJSON: the field is not there for float32, so configs and Genomes
// from before it are what they were.
func TestWeightsInJSON(t *testing.T) {
	for weights, want := range map[Weights]bool{"": false, WeightsF32: false, WeightsQ2: true} {
		c := published()
		c.Weights = weights
		text, err := json.Marshal(c.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), `"weights"`); got != want {
			t.Errorf("%q: %s", weights, text)
		}
	}
}

// TestLimits takes every limit of a Config to its end and one past it.
func TestLimits(t *testing.T) {
	nan := float32(math.NaN())
	many := func(n, dilation int) []int {
		d := make([]int, n)
		for i := range d {
			d[i] = dilation
		}
		return d
	}
	for _, limit := range []struct {
		field string // as the error names it; "" when the config is good
		set   func(c *Config)
	}{
		{"", func(c *Config) { c.DModel, c.DFF = MaxFanIn, MaxFanIn }},
		{"d_model", func(c *Config) { c.DModel = MaxFanIn + 1 }},
		{"d_model", func(c *Config) { c.DModel = 0 }},
		{"d_ff", func(c *Config) { c.DFF = MaxFanIn + 1 }},
		{"d_ff", func(c *Config) { c.DFF = -1 }},
		{"", func(c *Config) { c.Layers = MaxLayers }},
		{"n_layers", func(c *Config) { c.Layers = MaxLayers + 1 }},
		{"n_layers", func(c *Config) { c.Layers = 0 }},
		{"", func(c *Config) { c.LayersPerBlock = MaxLayers }},
		{"layers_per_block", func(c *Config) { c.LayersPerBlock = MaxLayers + 1 }},
		{"layers_per_block", func(c *Config) { c.LayersPerBlock = 0 }},
		{"", func(c *Config) { c.KernelSize = MaxKernel }},
		{"", func(c *Config) { c.KernelSize = 1 }},
		{"kernel_size", func(c *Config) { c.KernelSize = MaxKernel + 1 }},
		{"kernel_size", func(c *Config) { c.KernelSize = 0 }},
		{"", func(c *Config) { c.Dilations = many(MaxDilations, 1) }},
		{"dilations", func(c *Config) { c.Dilations = many(MaxDilations+1, 1) }},
		{"dilations", func(c *Config) { c.Dilations = nil }},
		{"", func(c *Config) { c.Dilations = []int{1, MaxDilation} }},
		{"dilations[1]", func(c *Config) { c.Dilations = []int{1, MaxDilation + 1} }},
		{"dilations[0]", func(c *Config) { c.Dilations = []int{0} }},
		{"", func(c *Config) { c.MaxPositions = MaxPositions }},
		{"", func(c *Config) { c.MaxPositions = 0 }},
		{"max_positions", func(c *Config) { c.MaxPositions = MaxPositions + 1 }},
		{"max_positions", func(c *Config) { c.MaxPositions = -1 }},
		{"", func(c *Config) { c.Layers, c.KernelSize, c.Dilations = 128, 3, many(1, MaxDilation) }}, // 2^24 rows
		{"history", func(c *Config) { c.Layers, c.KernelSize, c.Dilations = 129, 3, many(1, MaxDilation) }},
		{"vocab_size", func(c *Config) { c.VocabSize = 255 }},
		{"vocab_size", func(c *Config) { c.VocabSize = 257 }},
		{"cell", func(c *Config) { c.Cell = "" }},
		{"cell", func(c *Config) { c.Cell = "Release" }},
		{"state", func(c *Config) { c.State = "" }},
		{"state", func(c *Config) { c.State = "f16" }},
		{"boundary", func(c *Config) { c.Boundary = "" }},
		{"", func(c *Config) { c.Weights = WeightsQ2 }},
		{"weights", func(c *Config) { c.Weights = WeightsF32 }}, // a complete config leaves it out
		{"weights", func(c *Config) { c.Weights = "q4" }},
		{"", func(c *Config) { c.RMSEps = 1 }},
		{"rms_eps", func(c *Config) { c.RMSEps = 0 }},
		{"rms_eps", func(c *Config) { c.RMSEps = 1.5 }},
		{"rms_eps", func(c *Config) { c.RMSEps = nan }},
	} {
		c := published()
		limit.set(&c)
		err := c.Validate()
		if limit.field == "" {
			if err != nil {
				t.Errorf("at the limit: %v", err)
			}
			continue
		}
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), limit.field) {
			t.Errorf("%s past its limit: error %v", limit.field, err)
		}
	}
}

func TestProductOverflow(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		want  int64
		ok    bool
	}{
		{[]int{}, 1, true},
		{[]int{3, 0, 5}, 0, true},
		{[]int{1 << 30, 1 << 30, 7}, 7 << 60, true},
		{[]int{1 << 30, 1 << 30, 8}, 0, false},
		{[]int{1 << 31, 1 << 31, 4}, 0, false},
		{[]int{-1, 5}, 0, false},
		{[]int{math.MaxInt, 1}, math.MaxInt64, true},
	} {
		if got, ok := product(c.sizes...); got != c.want || ok != c.ok {
			t.Errorf("product%v = %d, %v, want %d, %v", c.sizes, got, ok, c.want, c.ok)
		}
	}
	if _, ok := length(math.MaxInt/4 + 1); ok {
		t.Error("length of more bytes than an int counts")
	}
}

// FuzzConfig: whatever a manifest says, a config is refused or its sizes are
// positive and add up.
func FuzzConfig(f *testing.F) {
	good, err := json.Marshal(published())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, manifest []byte) {
		var c Config
		if json.Unmarshal(manifest, &c) != nil {
			return
		}
		c = c.WithDefaults()
		if c.Validate() != nil {
			return
		}
		all := c.All()
		if all.Len() < 1 || c.ReceptiveField() < 1 || c.StateBytes(all) < 1 || c.Parameters().Total < 1 {
			t.Fatalf("sizes of %+v: %d blocks, %d rows, %d state bytes, %d parameters",
				c, all.Len(), c.ReceptiveField(), c.StateBytes(all), c.Parameters().Total)
		}
		rows, bytes, next := 0, int64(0), 0
		for b := range all.Hi {
			lo, hi := c.BlockLayers(b)
			if lo != next || hi <= lo {
				t.Fatalf("block %d of %+v holds [%d, %d) after %d", b, c, lo, hi, next)
			}
			rows, bytes, next = rows+c.HistoryRows(Range{b, b + 1}), bytes+c.StateBytes(Range{b, b + 1}), hi
		}
		if next != c.Layers || rows != c.HistoryRows(all) || bytes != c.StateBytes(all) {
			t.Fatalf("the blocks of %+v do not add up", c)
		}
	})
}
