package importer

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/npy"
)

// TestCutsAgainstGolden compares the cuts with those the reference recorded.
func TestCutsAgainstGolden(t *testing.T) {
	golden := os.Getenv("ZETAGRID_GOLDEN")
	if golden == "" {
		golden = filepath.Join("..", "..", "..", "..", "shared", "golden")
	}
	for _, dir := range []string{
		filepath.Join("..", "testdata", "tiny"), filepath.Join(golden, "release-a"), filepath.Join(golden, "release-b"),
	} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, "expected.json"))
			if errors.Is(err, os.ErrNotExist) {
				t.Skipf("%s is not here; set ZETAGRID_GOLDEN to test it", dir)
			}
			var want struct {
				Cuts  [][2]int64 `json:"cuts"`
				Wraps int        `json:"wraps"`
			}
			if err == nil {
				err = json.Unmarshal(data, &want)
			}
			if err != nil {
				t.Fatal(err)
			}
			in, err := readConfig(filepath.Join(dir, "config.json"), nil)
			if err != nil {
				t.Fatal(err)
			}
			f, size, err := openSized(filepath.Join(dir, "genome.npy"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			genome, err := npy.Open(f, size)
			if err != nil {
				t.Fatal(err)
			}
			cuts, wraps, err := cutGenome(in.Config, genome.Count)
			if err != nil || wraps != want.Wraps || len(cuts) != 3*in.Config.Layers {
				t.Fatalf("%d cuts, %d wraps, %v, want %d wraps", len(cuts), wraps, err, want.Wraps)
			}
			for i, w := range want.Cuts {
				if cuts[i] != (cut{w[0], w[1]}) {
					t.Errorf("cut %d is %v, want %v", i, cuts[i], w)
				}
			}
		})
	}
}

// TestCutGenome cuts Genomes of every length and compares with the rule played
// number by number.
func TestCutGenome(t *testing.T) {
	c := tcn.Config{Cell: tcn.CellRelease, DModel: 2, DFF: 3, KernelSize: 2, Layers: 4}
	lengths := []int64{12, 6, 6} // W_in, W_dw, W_out
	for total := range int64(100) {
		cuts, wraps, err := cutGenome(c, total)
		if total < 12 {
			if !errors.Is(err, modelfile.ErrTensor) {
				t.Fatalf("Genome of %d: %v", total, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		at, starts := int64(0), 0
		for i, got := range cuts {
			length := lengths[i%3]
			if at+length > total {
				at, starts = 0, starts+1
			}
			if got != (cut{at, length}) {
				t.Fatalf("Genome of %d: cut %d is %v, want {%d %d}", total, i, got, at, length)
			}
			at += length
		}
		if wraps != starts {
			t.Fatalf("Genome of %d: %d wraps, want %d", total, wraps, starts)
		}
	}
}

func TestTapMajor(t *testing.T) {
	got := tapMajor([]float32{1, 2, 3, 4, 5, 6}, 3) // two channels of three taps
	for i, want := range []float32{1, 4, 2, 5, 3, 6} {
		if got[i] != want {
			t.Fatalf("%v", got)
		}
	}
}
