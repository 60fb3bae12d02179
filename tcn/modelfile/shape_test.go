package modelfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestShape: a shape keeps its config, has a CID of its own and says of every
// file what a real folder of that config has.
func TestShape(t *testing.T) {
	for _, weights := range []tcn.Weights{"", tcn.WeightsQ2} {
		c := tinyConfig
		c.Weights = weights
		dir, real := filepath.Join(t.TempDir(), "shape"), filepath.Join(t.TempDir(), "real")
		id, err := modelfile.InitShape(t.Context(), dir, c)
		if err != nil {
			t.Fatal(err)
		}
		shape, opened, err := modelfile.OpenShape(dir)
		if err != nil || opened != id || !cmp.Equal(shape.Config, c) {
			t.Fatalf("%+v, %s, %v; want %+v, %s", shape, opened, err, c, id)
		}
		if _, err := modelfile.Init(t.Context(), real, c, 1, nil); err != nil {
			t.Fatal(err)
		}
		got, err := modelfile.Inspect(dir)
		if err != nil {
			t.Fatal(err)
		}
		want, err := modelfile.Inspect(real)
		if err != nil {
			t.Fatal(err)
		}
		if !got.ShapeOnly || want.ShapeOnly {
			t.Errorf("shape only: %v, %v", got.ShapeOnly, want.ShapeOnly)
		}
		want.ShapeOnly, want.Model, want.Genome, want.Provenance = true, id.String(), "", nil
		for i := range want.Blocks {
			want.Blocks[i].Tile = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestShapeOnly: what needs weights says that there are none.
func TestShapeOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shape")
	if _, err := modelfile.InitShape(t.Context(), dir, tinyConfig); err != nil {
		t.Fatal(err)
	}
	if _, err := modelfile.OpenFolder(dir); !errors.Is(err, modelfile.ErrShapeOnly) {
		t.Error(err)
	}
	if err := modelfile.Verify(t.Context(), dir, nil); !errors.Is(err, modelfile.ErrShapeOnly) {
		t.Error(err)
	}
	empty := t.TempDir()
	if _, err := modelfile.OpenFolder(empty); errors.Is(err, modelfile.ErrShapeOnly) || !errors.Is(err, modelfile.ErrFolder) {
		t.Error(err)
	}
	if _, _, err := modelfile.OpenShape(empty); !errors.Is(err, modelfile.ErrFolder) {
		t.Error(err)
	}
	if _, err := modelfile.InitShape(t.Context(), dir, tinyConfig); !errors.Is(err, modelfile.ErrOutput) {
		t.Error(err)
	}
	if _, err := modelfile.InitShape(t.Context(), filepath.Join(empty, "new"), tcn.Config{}); !errors.Is(err, modelfile.ErrConfig) {
		t.Error(err)
	}
}

// TestShapeHasOneEncoding: other bytes than Encode's are refused.
func TestShapeHasOneEncoding(t *testing.T) {
	data, _, err := modelfile.NewShape(tinyConfig).Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, bad := range []string{
		text + " ", strings.Replace(text, "zetagrid/shape", "zetagrid/genome", 1),
		strings.Replace(text, `"arithmetic":1`, `"arithmetic":2`, 1), strings.Replace(text, `"version":1`, `"version":2`, 1),
		strings.Replace(text, `"n_layers":3`, `"n_layers":0`, 1), "{}", "",
	} {
		if _, err := modelfile.DecodeShape([]byte(bad)); !errors.Is(err, modelfile.ErrManifest) {
			t.Errorf("%q: %v", bad, err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, modelfile.ShapeFile), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := modelfile.Inspect(dir); !errors.Is(err, modelfile.ErrManifest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestFileBytesLimits(t *testing.T) {
	for rank, want := range map[int]error{
		0: modelfile.ErrTooLarge, 1: nil, tcn.MaxRank: nil, tcn.MaxRank + 1: modelfile.ErrTooLarge,
	} {
		if _, err := modelfile.SoulBytes(tinyConfig, 0, rank); !errors.Is(err, want) {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
	if _, err := modelfile.SmallBytes(tinyConfig, 2); !errors.Is(err, tcn.ErrRange) {
		t.Error(err)
	}
	if _, err := modelfile.EndsBytes(tcn.Config{}); !errors.Is(err, tcn.ErrConfig) {
		t.Error(err)
	}
}

func FuzzDecodeShape(f *testing.F) {
	fuzzManifest(f, []modelfile.Shape{modelfile.NewShape(tinyConfig)}, modelfile.DecodeShape)
}
