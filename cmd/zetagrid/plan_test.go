package main

import (
	"io"
	"testing"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// TestPlanOfTheDefaultModel: the planner's byte counts are those of the files of
// the model that is used when none is named, to the byte.
func TestPlanOfTheDefaultModel(t *testing.T) {
	named, err := modelOrDefault(&streams{out: io.Discard, err: io.Discard}, "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in, err := modelfile.Inspect(modelFolder(named))
	if err != nil {
		t.Fatal(err)
	}
	model, rank, err := (&planCmd{Model: named, Souls: 1}).named(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gpu, err := plan.DefaultTable().GPU("t4-16")
	if err != nil {
		t.Fatal(err)
	}
	demand := plan.Demand{Sessions: 1, SoulRank: rank}
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
	// The published constants; docs/model.md shows the sum.
	release := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 4096, DFF: 16384, Layers: 32, KernelSize: 3,
		Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, MaxPositions: 2048, RMSEps: 1e-6,
	}.WithDefaults()
	if got := release.Parameters().Matrices; got != 6_442_450_944 {
		t.Errorf("%d weights in matrices", got)
	}
}
