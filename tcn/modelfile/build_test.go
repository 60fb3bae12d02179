package modelfile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// nothingIn reports anything, hidden or not, that was left in a folder.
func nothingIn(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left %s", e.Name())
	}
}

func TestOutputFolder(t *testing.T) {
	ctx, parent := context.Background(), t.TempDir()
	empty, full, file := filepath.Join(parent, "empty"), filepath.Join(parent, "full"), filepath.Join(parent, "file")
	kept := filepath.Join(full, "kept")
	err := errors.Join(os.Mkdir(empty, 0o755), os.Mkdir(full, 0o755), os.WriteFile(kept, nil, 0o600), os.WriteFile(file, nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for out, want := range map[string]error{
		"": modelfile.ErrOutput, full: modelfile.ErrOutput, file: modelfile.ErrOutput, empty: nil,
		filepath.Join(parent, "new", "deeper"): nil,
	} {
		if _, err := modelfile.Init(ctx, out, tinyConfig, 1, nil); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", out, err, want)
		}
	}
	if err := modelfile.Verify(ctx, empty, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	leftovers, err := filepath.Glob(filepath.Join(parent, ".*"))
	if err != nil || len(leftovers) > 0 {
		t.Errorf("left %v, %v", leftovers, err)
	}
}

// TestCancel stops an import at every report of progress.
func TestCancel(t *testing.T) {
	parent := t.TempDir()
	out := filepath.Join(parent, "model")
	for stop := 0; ; stop++ {
		ctx, cancel := context.WithCancel(context.Background())
		reports := 0
		_, err := modelfile.Init(ctx, out, tinyConfig, 1, func(string, int64, int64) {
			if reports++; reports > stop {
				cancel()
			}
		})
		cancel()
		if err == nil {
			if stop == 0 {
				t.Fatal("a cancelled import went through")
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		nothingIn(t, parent)
	}
}

func TestProgress(t *testing.T) {
	var last, total int64
	var doing string
	out := filepath.Join(t.TempDir(), "model")
	report := func(what string, done, of int64) {
		if done < last || of < done {
			t.Errorf("%s: %d of %d after %d", what, done, of, last)
		}
		doing, last, total = what, done, of
	}
	if _, err := modelfile.Init(context.Background(), out, tinyConfig, 1, report); err != nil {
		t.Fatal(err)
	}
	if last != total || total == 0 || doing != "small parameters 1" {
		t.Errorf("%s: %d of %d", doing, last, total)
	}
	in, err := modelfile.Inspect(out)
	if err != nil || in.FileBytes != total {
		t.Errorf("%d bytes of files, %d reported, %v", in.FileBytes, total, err)
	}
	last, total = 0, 0
	if err := modelfile.Verify(context.Background(), out, report); err != nil || last != in.FileBytes || total != last {
		t.Errorf("verify: %d of %d, %v", last, total, err)
	}
}

// TestSeededModelRuns loads a seeded folder and compares it with the seed's
// weights in memory.
func TestSeededModelRuns(t *testing.T) {
	for _, cell := range []tcn.Cell{tcn.CellRelease, tcn.CellPaper} {
		c := tinyConfig
		c.Cell = cell
		out := filepath.Join(t.TempDir(), "model")
		if _, err := modelfile.Init(context.Background(), out, c, 5, nil); err != nil {
			t.Fatal(err)
		}
		stored := loadModel(t, out)
		var blocks []*tcn.Block
		v := &tcn.Variant{Range: c.All()}
		for b := range c.Blocks() {
			block, err := tcn.SeededBlock(c, 5, b)
			if err != nil {
				t.Fatal(err)
			}
			blocks = append(blocks, block)
			v.Small = append(v.Small, tcn.SeededSmall(c, 5, b))
		}
		emb, pos, normF := tcn.SeededEnds(c, 5)
		ends, err := tcn.NewEnds(c, emb, pos, normF)
		if err != nil {
			t.Fatal(err)
		}
		stage, err := tcn.NewCPU(nil).Load(c, c.All(), blocks)
		if err != nil {
			t.Fatal(err)
		}
		made := &loadedModel{stage: stage, variant: v, ends: ends}
		text := []byte("exactly?")
		a, b := stored.start(t), made.start(t)
		if fmt.Sprint(a.feed(text)) != fmt.Sprint(b.feed(text)) {
			t.Errorf("%s: the stored model computes other logits", cell)
		}
		a.close()
		b.close()
	}
}

// badSource is a seeded model with one thing wrong.
type badSource struct {
	modelfile.Source
	tile func(layer int, put modelfile.Put) error
}

func (s badSource) Tile(layer int, put modelfile.Put) error { return s.tile(layer, put) }

func TestBuildRefuses(t *testing.T) {
	mine := errors.New("mine")
	tile := 12*4 + 3*6 + 4*6 // numbers of one layer
	for name, c := range map[string]struct {
		recipe modelfile.Recipe
		want   error
	}{
		"no config":  {modelfile.Recipe{}, tcn.ErrConfig},
		"rank -1":    {modelfile.Recipe{Config: tinyConfig, Rank: -1}, modelfile.ErrTooLarge},
		"rank past":  {modelfile.Recipe{Config: tinyConfig, Rank: tcn.MaxRank + 1}, modelfile.ErrTooLarge},
		"provenance": {modelfile.Recipe{Config: tinyConfig, Source: zeros{}, Provenance: map[string]string{"/": ""}}, modelfile.ErrManifest},
		"too few": {modelfile.Recipe{Config: tinyConfig, Source: badSource{zeros{}, func(_ int, put modelfile.Put) error {
			return put(make([]float32, tile-1))
		}}}, modelfile.ErrTensor},
		"too many": {modelfile.Recipe{Config: tinyConfig, Source: badSource{zeros{}, func(_ int, put modelfile.Put) error {
			return put(make([]float32, tile+1))
		}}}, modelfile.ErrTensor},
		"source": {modelfile.Recipe{Config: tinyConfig, Source: badSource{zeros{}, func(layer int, put modelfile.Put) error {
			if layer == 2 {
				return mine
			}
			return put(make([]float32, tile))
		}}}, mine},
	} {
		parent := t.TempDir()
		if _, err := modelfile.Build(context.Background(), filepath.Join(parent, "model"), c.recipe, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		nothingIn(t, parent)
	}
}

// zeros is a source of zeros for tinyConfig.
type zeros struct{}

func (zeros) Tile(_ int, put modelfile.Put) error  { return put(make([]float32, 12*4+3*6+4*6)) }
func (zeros) Small(_ int, put modelfile.Put) error { return put(make([]float32, 4+1)) }
func (zeros) Routing(int) float32                  { return 1 }
func (zeros) Soul(_ int, put modelfile.Put) error  { return put(make([]float32, 2*(4+12+6+4))) }
func (zeros) Ends(put modelfile.Put) error         { return put(make([]float32, (256+8+1)*4)) }

func TestBuildWithASoul(t *testing.T) {
	out := filepath.Join(t.TempDir(), "model")
	if _, err := modelfile.Build(context.Background(), out, modelfile.Recipe{Config: tinyConfig, Rank: 2, Source: zeros{}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := modelfile.Verify(context.Background(), out, nil); err != nil {
		t.Error(err)
	}
}
