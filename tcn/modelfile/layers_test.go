package modelfile_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestLayersQ2: what is written and read again are the same numbers.
func TestLayersQ2(t *testing.T) {
	c := q2Config()
	f := initModel(t, c)
	genome, _ := f.Genome()
	for b, link := range genome.Tiles {
		path, _ := f.Path(link)
		layers, closer, err := modelfile.OpenLayersQ2(path, c, b)
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := errors.Join(modelfile.WriteLayersQ2(&again, c, b, layers), closer.Close()); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(again.Bytes(), want) {
			t.Errorf("block %d: other bytes (%v)", b, err)
		}
		if _, _, err := modelfile.OpenLayersF32(path, c, b); !errors.Is(err, modelfile.ErrConfig) {
			t.Errorf("as float32: %v", err)
		}
	}
	if err := modelfile.WriteLayersQ2(io.Discard, c, 0, nil); !errors.Is(err, modelfile.ErrTensor) {
		t.Errorf("no layers: %v", err)
	}
	if err := modelfile.WriteLayersQ2(io.Discard, c, c.Blocks(), nil); !errors.Is(err, tcn.ErrRange) {
		t.Errorf("past the last block: %v", err)
	}
}

// TestLayersF32: the numbers of the files are the seeded ones.
func TestLayersF32(t *testing.T) {
	c := tinyConfig
	f := initModel(t, c)
	genome, _ := f.Genome()
	for b, link := range genome.Tiles {
		path, _ := f.Path(link)
		layers, closer, err := modelfile.OpenLayersF32(path, c, b)
		if err != nil {
			t.Fatal(err)
		}
		if want := tcn.SeededLayers(c, 7, b); !reflect.DeepEqual(layers, want) {
			t.Errorf("block %d: other numbers", b)
		}
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
		if _, _, err := modelfile.OpenLayersQ2(path, c, b); !errors.Is(err, modelfile.ErrConfig) {
			t.Errorf("as 2-bit: %v", err)
		}
	}
	model, _ := f.Model()
	path, _ := f.Path(model.Ends)
	emb, pos, normF, err := modelfile.ReadEnds(path, c)
	wantEmb, wantPos, wantNorm := tcn.SeededEnds(c, 7)
	if err != nil || !reflect.DeepEqual([][]float32{emb, pos, normF}, [][]float32{wantEmb, wantPos, wantNorm}) {
		t.Errorf("other ends (%v)", err)
	}
}

// TestSoulLayers: a slice is read as it was written; what no slice can hold is
// refused.
func TestSoulLayers(t *testing.T) {
	c, rank := tinyConfig, 2
	path := filepath.Join(t.TempDir(), "slice")
	want := tcn.SeededSoulLayers(c, 3, 1, rank)
	var file bytes.Buffer
	err := modelfile.WriteSoulLayers(&file, c, 1, rank, want)
	if err := errors.Join(err, os.WriteFile(path, file.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	got, closer, err := modelfile.OpenSoulLayers(path, c, 1, rank)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("other numbers (%v)", err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := modelfile.OpenSoulLayers(path, c, 1, rank+1); !errors.Is(err, modelfile.ErrTensor) {
		t.Errorf("another rank: %v", err)
	}
	for _, bad := range []int{0, tcn.MaxRank + 1} {
		if err := modelfile.WriteSoulLayers(io.Discard, c, 1, bad, want); !errors.Is(err, modelfile.ErrTensor) {
			t.Errorf("rank %d: %v", bad, err)
		}
	}
	want[0].InB[1] = float32(math.NaN())
	if err := modelfile.WriteSoulLayers(io.Discard, c, 1, rank, want); !errors.Is(err, modelfile.ErrTensor) {
		t.Errorf("not a number: %v", err)
	}
	broken := errors.New("broken")
	pipe, w := io.Pipe()
	_ = pipe.CloseWithError(broken)
	if err := modelfile.WriteSoulLayers(w, c, 1, rank, tcn.SeededSoulLayers(c, 3, 1, rank)); !errors.Is(err, broken) {
		t.Errorf("a writer that fails: %v", err)
	}
}
