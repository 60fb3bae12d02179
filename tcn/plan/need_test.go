package plan_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

func config(cell tcn.Cell, d, f, layers, perBlock int, weights tcn.Weights) tcn.Config {
	return tcn.Config{
		Cell: cell, VocabSize: tcn.VocabSize, DModel: d, DFF: f, Layers: layers, LayersPerBlock: perBlock,
		KernelSize: 3, Dilations: []int{1, 2, 4}, RMSEps: 1e-6, Weights: weights,
	}.WithDefaults()
}

// TestBytesOfRealFiles: the planner's byte counts are those of the files.
func TestBytesOfRealFiles(t *testing.T) {
	for name, c := range map[string]tcn.Config{
		"even":          config(tcn.CellRelease, 64, 128, 6, 3, tcn.WeightsQ2),
		"ragged":        config(tcn.CellRelease, 48, 80, 7, 3, tcn.WeightsQ2),
		"no multiple":   config(tcn.CellRelease, 17, 33, 4, 3, tcn.WeightsQ2),
		"paper":         config(tcn.CellPaper, 32, 96, 5, 2, tcn.WeightsQ2),
		"layers of one": config(tcn.CellRelease, 16, 16, 3, 1, tcn.WeightsQ2),
		"f32":           config(tcn.CellRelease, 20, 36, 5, 3, ""),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			if _, err := modelfile.Init(t.Context(), dir, c, 1, nil); err != nil {
				t.Fatal(err)
			}
			folder, err := modelfile.OpenFolder(dir)
			if err != nil {
				t.Fatal(err)
			}
			onDisk := map[modelfile.Role]int64{}
			for _, ref := range folder.Files() {
				info, err := os.Stat(filepath.Join(dir, ref.Path))
				if err != nil {
					t.Fatal(err)
				}
				onDisk[ref.Role] += info.Size()
			}
			n, err := plan.Needs(plan.Model{Config: c}, plan.Demand{Sessions: 2}, gpu(t, "h100-80"))
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []struct {
				role modelfile.Role
				got  int64
			}{{modelfile.RoleTile, n.TileBytes}, {modelfile.RoleSmall, n.SmallBytes}, {modelfile.RoleEnds, n.EndsBytes}} {
				if part.got != onDisk[part.role] {
					t.Errorf("%s take %d bytes, the plan says %d", part.role, onDisk[part.role], part.got)
				}
			}
			if got := n.FileBytes; got != onDisk[modelfile.RoleTile]+onDisk[modelfile.RoleSmall]+onDisk[modelfile.RoleEnds] {
				t.Errorf("files sum to %d", got)
			}
		})
	}
}

// TestSharedTiles: a tile that blocks share is counted once.
func TestSharedTiles(t *testing.T) {
	c := config(tcn.CellRelease, 64, 128, 6, 3, tcn.WeightsQ2)
	demand := plan.Demand{Sessions: 1}
	apart, err := plan.Needs(plan.Model{Config: c}, demand, gpu(t, "h100-80"))
	if err != nil {
		t.Fatal(err)
	}
	shared, err := plan.Needs(plan.Model{Config: c, Tiles: []string{"a", "a"}}, demand, gpu(t, "h100-80"))
	if err != nil {
		t.Fatal(err)
	}
	if 2*shared.TileBytes != apart.TileBytes || shared.BitsPerWeight != apart.BitsPerWeight {
		t.Errorf("%d shared, %d apart", shared.TileBytes, apart.TileBytes)
	}
	same, err := plan.Needs(plan.Model{Config: c, Small: []string{"a", "a"}}, demand, gpu(t, "h100-80"))
	if err != nil || 2*same.SmallBytes != apart.SmallBytes {
		t.Errorf("%d shared, %d apart, %v", same.SmallBytes, apart.SmallBytes, err)
	}
	if _, err := plan.Needs(plan.Model{Config: c, Small: []string{"a"}}, demand, gpu(t, "h100-80")); !errors.Is(err, plan.ErrArgument) {
		t.Error(err)
	}
	if _, err := plan.Needs(plan.Model{Config: c, Tiles: []string{"a"}}, demand, gpu(t, "h100-80")); !errors.Is(err, plan.ErrArgument) {
		t.Error(err)
	}
}

// TestSoulForms: a Soul is counted in the form that it is stored in.
func TestSoulForms(t *testing.T) {
	c := config(tcn.CellRelease, 64, 128, 6, 3, tcn.WeightsQ2)
	for form, size := range map[modelfile.SoulForm]func(c tcn.Config, block, rank int) (int64, error){
		"": modelfile.SoulBytes, modelfile.SoulF32: modelfile.SoulBytes, modelfile.SoulQ8: modelfile.SoulBytesQ8,
	} {
		n, err := plan.Needs(plan.Model{Config: c}, plan.Demand{Sessions: 1, Souls: 1, SoulRank: 32, SoulForm: form}, gpu(t, "h100-80"))
		if err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		for b := range c.Blocks() {
			slice, err := size(c, b, 32)
			if err != nil {
				t.Fatal(err)
			}
			want += slice
		}
		if n.SoulBytes != want || form != "" && n.SoulForm != form || form == "" && n.SoulForm != modelfile.SoulF32 {
			t.Errorf("%q: %d bytes of form %q, want %d", form, n.SoulBytes, n.SoulForm, want)
		}
	}
}

func TestDemandLimits(t *testing.T) {
	c := config(tcn.CellRelease, 16, 16, 3, 3, tcn.WeightsQ2)
	for _, tt := range []struct {
		demand plan.Demand
		want   error
	}{
		{plan.Demand{Sessions: plan.MaxSessions, Souls: plan.MaxSouls, SoulRank: tcn.MaxRank, Replicas: plan.MaxGPUs}, nil},
		{plan.Demand{}, plan.ErrArgument},
		{plan.Demand{Sessions: plan.MaxSessions + 1}, plan.ErrArgument},
		{plan.Demand{Sessions: 1, Souls: plan.MaxSouls + 1, SoulRank: 1}, plan.ErrArgument},
		{plan.Demand{Sessions: 1, Souls: 1}, plan.ErrArgument},
		{plan.Demand{Sessions: 1, Souls: 1, SoulRank: tcn.MaxRank + 1}, plan.ErrArgument},
		{plan.Demand{Sessions: 1, Replicas: plan.MaxGPUs + 1}, plan.ErrArgument},
		{plan.Demand{Sessions: 1, Souls: 1, SoulRank: 1, SoulForm: modelfile.SoulQ8}, nil},
		{plan.Demand{Sessions: 1, Souls: 1, SoulRank: 1, SoulForm: "q4"}, plan.ErrArgument},
	} {
		if _, err := plan.Needs(plan.Model{Config: c}, tt.demand, gpu(t, "h100-80")); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt.demand, err)
		}
	}
	many := config(tcn.CellRelease, 1, 1, plan.MaxBlocks, 1, tcn.WeightsQ2)
	if _, err := plan.Needs(plan.Model{Config: many}, plan.Demand{Sessions: 1}, gpu(t, "h100-80")); err != nil {
		t.Error(err)
	}
	many.Layers++
	if _, err := plan.Needs(plan.Model{Config: many}, plan.Demand{Sessions: 1}, gpu(t, "h100-80")); !errors.Is(err, plan.ErrArgument) {
		t.Error(err)
	}
}

// TestPresets: a preset's config makes what its name says, at most 2.1 bits a
// weight all in.
func TestPresets(t *testing.T) {
	for _, c := range []struct {
		name               string
		d, f, layers       int
		blocks             int
		matrices           int64
		parameters, atMost int64
		bitsAtMost         float64
	}{
		{"120b", 10240, 40960, 96, 12, 120_795_955_200, 120e9, 32e9, 2.1},
		{"1T", 16384, 65536, 312, 39, 1_005_022_347_264, 1e12, 265e9, 2.1},
	} {
		got, err := plan.Preset(c.name)
		if err != nil {
			t.Fatal(err)
		}
		p := got.Parameters()
		if got.DModel != c.d || got.DFF != c.f || got.Layers != c.layers || got.Blocks() != c.blocks || p.Matrices != c.matrices {
			t.Errorf("%s: %+v makes %+v", c.name, got, p)
		}
		if off := float64(p.Total)/float64(c.parameters) - 1; off < -0.01 || off > 0.01 {
			t.Errorf("%s: %d parameters", c.name, p.Total)
		}
		n, err := plan.Needs(plan.Model{Config: got}, plan.Demand{Sessions: 1}, gpu(t, "h100-80"))
		if err != nil {
			t.Fatal(err)
		}
		if n.FileBytes > c.atMost || n.BitsPerWeight > c.bitsAtMost {
			t.Errorf("%s: %d bytes of files, %.3f bits a weight", c.name, n.FileBytes, n.BitsPerWeight)
		}
	}
	if _, err := plan.Preset("7b"); !errors.Is(err, plan.ErrArgument) {
		t.Error(err)
	}
}

// TestConfigOf: every number of parameters in the limits gets a valid config of
// about that size, once it is large enough for a few blocks.
func TestConfigOf(t *testing.T) {
	for p := int64(plan.MinParameters); p <= plan.MaxParameters; p = p*3/2 + 7 {
		c, err := plan.ConfigOf(p)
		if err != nil {
			t.Fatalf("%d: %v", p, err)
		}
		if total := c.Parameters().Matrices; total > 3*p && c.Blocks() > 1 || float64(total) < 0.6*float64(p) {
			t.Errorf("%d: %d weights in %d blocks", p, total, c.Blocks())
		}
	}
	for _, p := range []int64{plan.MinParameters - 1, plan.MaxParameters + 1} {
		if _, err := plan.ConfigOf(p); !errors.Is(err, plan.ErrArgument) {
			t.Error(err)
		}
	}
}
