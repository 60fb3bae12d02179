package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// TestPlanOfTheDefaultModel: the planner's byte counts are those of the files of
// the model that is used when none is named, to the byte, and of the same grown
// to four times its blocks.
func TestPlanOfTheDefaultModel(t *testing.T) {
	quiet := &streams{out: io.Discard, err: io.Discard}
	named, err := modelOrDefault(quiet, "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	seed := modelFolder(named)
	t.Run("default", func(t *testing.T) { checkPlannedBytes(t, seed) })
	in, err := modelfile.Inspect(seed)
	if err != nil {
		t.Fatal(err)
	}
	grown := filepath.Join(t.TempDir(), "grown")
	expansion := modelfile.Expansion{Blocks: 4 * len(in.Blocks), Mode: modelfile.ExpandMirror}
	if _, err := modelfile.Expand(t.Context(), seed, grown, expansion, nil); err != nil {
		t.Fatal(err)
	}
	t.Run("expanded", func(t *testing.T) { checkPlannedBytes(t, grown) })
}

// checkPlannedBytes compares what is planned for a model folder with its files.
func checkPlannedBytes(t *testing.T, folder string) {
	quiet := &streams{out: io.Discard, err: io.Discard}
	in, err := modelfile.Inspect(folder)
	if err != nil {
		t.Fatal(err)
	}
	model, rank, err := (&planCmd{Model: folder, Souls: 1}).named(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	gpu, err := plan.DefaultTable().GPU("t4-16")
	if err != nil {
		t.Fatal(err)
	}
	demand := plan.Demand{Sessions: 1, SoulRank: rank, SoulForm: in.Blocks[0].SoulForm}
	need, err := plan.Needs(model, demand, gpu)
	if err != nil {
		t.Fatal(err)
	}
	tiles, small, soul := int64(0), int64(0), int64(0)
	seen := map[string]bool{}
	for b, block := range in.Blocks {
		if !seen[block.Tile] {
			seen[block.Tile] = true
			tiles += block.TileBytes
		}
		if !seen[model.Small[b]] {
			seen[model.Small[b]] = true
			small += block.SmallBytes
		}
		soul += block.SoulBytes
	}
	for _, c := range []struct {
		what        string
		plan, files int64
	}{
		{"tiles", need.TileBytes, tiles}, {"small parameters", need.SmallBytes, small}, {"ends", need.EndsBytes, in.EndsBytes},
		{"parameters", need.Parameters, in.Parameters.Total}, {"state", need.StateBytes, in.StateBytes},
	} {
		if c.plan != c.files {
			t.Errorf("%s: the plan says %d, the model has %d", c.what, c.plan, c.files)
		}
	}
	if in.Soul == "" {
		if need.FileBytes != in.FileBytes {
			t.Errorf("files: the plan says %d, the model has %d", need.FileBytes, in.FileBytes)
		}
	} else if soul != 0 && need.SoulBytes != soul {
		t.Errorf("Soul: the plan says %d, the model has %d", need.SoulBytes, soul)
	}
	if len(in.Missing) > 0 || tiles == 0 {
		t.Errorf("%d bytes of tiles, missing %v", tiles, in.Missing)
	}
}

// TestPlanConstants: what the planner assumes of other packages is so.
func TestPlanConstants(t *testing.T) {
	if plan.FrameHeaderBytes != wire.HeaderBytes {
		t.Errorf("header of %d bytes, a frame has %d", plan.FrameHeaderBytes, wire.HeaderBytes)
	}
	if plan.MaxGPUs > wire.HopsPerChain {
		t.Errorf("%d GPUs, a chain has at most %d hops", plan.MaxGPUs, wire.HopsPerChain)
	}
	if plan.KVBytesPerToken != kvBytesPerToken {
		t.Errorf("%d bytes a token, eval says %d", plan.KVBytesPerToken, kvBytesPerToken)
	}
}

// TestSumsOfModelDoc: the sums that docs/model.md shows are what the code counts.
func TestSumsOfModelDoc(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "model.md"))
	if err != nil {
		t.Fatal(err)
	}
	release := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 4096, DFF: 16384, Layers: 32, KernelSize: 3,
		Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, MaxPositions: 2048, RMSEps: 1e-6,
	}.WithDefaults()
	p := release.Parameters()
	if rounded := fmt.Sprintf("%.2f", float64(p.Matrices+p.Conv)/1e9); rounded != "6.44" {
		t.Errorf("the release's constants make %s billion weights", rounded)
	}
	soul := func(rank int) int64 { return int64(release.Layers*rank) * int64(2*release.DModel+3*release.DFF) }
	numbers := map[string]int64{
		"W_in": 2 * int64(release.DFF*release.DModel), "W_dw": int64(release.KernelSize * release.DFF), "W_out": int64(release.DModel * release.DFF),
		"a layer": (p.Matrices + p.Conv) / int64(release.Layers), "layers": p.Matrices + p.Conv,
		"ends": p.Ends, "small": p.Small, "all": p.Total, "rank 512": soul(512), "rank 128": soul(128),
		"receptive field": int64(release.ReceptiveField()),
	}
	gpu, err := plan.DefaultTable().GPU("h100-80")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range plan.PresetNames() {
		config, err := plan.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		need, err := plan.Needs(plan.Model{Config: config}, plan.Demand{Sessions: 1}, gpu)
		if err != nil {
			t.Fatal(err)
		}
		if bits := fmt.Sprintf("%.4f", need.BitsPerWeight); !strings.Contains(string(text), bits) {
			t.Errorf("docs/model.md does not say %s bits a weight of %s", bits, name)
		}
		p := config.Parameters()
		numbers[name+" matrices"], numbers[name+" all"] = p.Matrices, p.Total
		numbers[name+" d"], numbers[name+" f"] = int64(config.DModel), int64(config.DFF)
		if name == "1t" {
			numbers["1t receptive field"] = int64(config.ReceptiveField())
			if state := fmt.Sprintf("%.2f GB", float64(need.StateBytes)/1e9); !strings.Contains(string(text), state) {
				t.Errorf("docs/model.md does not say %s of state", state)
			}
		}
	}
	for what, n := range numbers {
		if !strings.Contains(string(text), humanize.Comma(n)) {
			t.Errorf("docs/model.md does not say %s: %s", what, humanize.Comma(n))
		}
	}
}
