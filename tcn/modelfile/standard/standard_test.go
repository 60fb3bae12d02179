package standard_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/standard"
)

// unpacked is the model folder in a new place.
func unpacked(t testing.TB) string {
	t.Helper()
	dir, err := standard.Unpack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFolder: the embedded folder is a whole one, within its limit, with a
// checklist.
func TestFolder(t *testing.T) {
	dir := unpacked(t)
	if err := modelfile.Verify(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := modelfile.CheckSizes(dir); err != nil {
		t.Error(err)
	}
	size := int64(0)
	err := filepath.WalkDir("model", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil || size == 0 || size > standard.MaxBytes {
		t.Errorf("the folder has %d bytes, limit %d (%v)", size, standard.MaxBytes, err)
	}
	model, _, err := standard.Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, fact := range []string{
		modelfile.FactSource, modelfile.FactArithmetic, modelfile.FactParameters,
		modelfile.FactSuiteVersion, modelfile.FactSuiteBytes, modelfile.FactSuiteDigest, modelfile.FactLogitsDigest,
	} {
		if model.Provenance[fact] == "" {
			t.Errorf("the checklist lacks %q: write it with zetagrid eval --record", fact)
		}
	}
}

// load makes the model ready on a kernel set.
func load(t testing.TB, set *kernel.Set) eval.Model {
	t.Helper()
	folder, err := modelfile.OpenFolder(unpacked(t))
	if err != nil {
		t.Fatal(err)
	}
	genome, _ := folder.Genome()
	model, _ := folder.Model()
	if model.Soul != nil {
		t.Fatal("this test wears no Soul")
	}
	config := genome.Config
	path := func(c modelfile.Link) string {
		path, _ := folder.Path(c)
		return path
	}
	m := eval.Model{Variant: &tcn.Variant{Range: config.All()}}
	var blocks []*tcn.Block
	for b := range config.Blocks() {
		tile, closer, errTile := modelfile.OpenTile(path(genome.Tiles[b]), config, b)
		small, errSmall := modelfile.LoadSmall(path(model.Small[b]), config, b)
		if err := errors.Join(errTile, errSmall); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		})
		blocks, m.Variant.Small = append(blocks, tile), append(m.Variant.Small, small)
	}
	compute := &tcn.Compute{Kernels: set, Pool: kernel.NewPool(0)}
	t.Cleanup(compute.Pool.Close)
	ends, err := modelfile.LoadEnds(path(model.Ends), config)
	if err != nil {
		t.Fatal(err)
	}
	m.Ends = ends.WithCompute(compute)
	if m.Stage, err = tcn.NewCPU(compute).Load(config, config.All(), blocks); err != nil {
		t.Fatal(err)
	}
	return m
}

// told is a number in the model's checklist and a digest.
func told(t testing.TB, fact string) string {
	t.Helper()
	model, _, err := standard.Model()
	if err != nil {
		t.Fatal(err)
	}
	return model.Provenance[fact]
}

// TestLogitsDigest: the logits over the suite's prompts are those recorded, on
// every kernel set of every machine.
func TestLogitsDigest(t *testing.T) {
	for _, set := range kernel.Available() {
		t.Run(set.Name, func(t *testing.T) {
			if testing.Short() && set.Name == "portable" && len(kernel.Available()) > 1 {
				t.Skip("slow where the race detector looks on; the sets are compared elsewhere")
			}
			got, err := load(t, set).LogitsDigest(t.Context(), eval.Prompts)
			if want := told(t, modelfile.FactLogitsDigest); err != nil || got != want {
				t.Errorf("%s, want %s (%v)", got, want, err)
			}
		})
	}
}

// TestSuiteDigest: the answers are those recorded.
func TestSuiteDigest(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds on a machine without fast kernels")
	}
	if version := strconv.Itoa(eval.SuiteVersion); told(t, modelfile.FactSuiteVersion) != version {
		t.Fatalf("recorded with another version of the suite than %s: record it again", version)
	}
	n, err := strconv.Atoi(told(t, modelfile.FactSuiteBytes))
	if err != nil {
		t.Fatal(err)
	}
	answers, err := eval.Suite(t.Context(), load(t, kernel.Best()).Decode, n)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := eval.SuiteDigest(answers), told(t, modelfile.FactSuiteDigest); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestUnpack: once is enough, damage is repaired, and many may do it at once.
func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := standard.Unpack(filepath.Join(dir, "models")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	target, err := standard.Unpack(filepath.Join(dir, "models"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	again, err := standard.Unpack(filepath.Join(dir, "models"))
	after, errAfter := os.Stat(again)
	if err := errors.Join(err, errAfter); err != nil || again != target || !os.SameFile(before, after) {
		t.Errorf("an unpacked model is unpacked again (%v)", err)
	}
	genome := filepath.Join(target, modelfile.GenomeFile)
	for name, damage := range map[string]func() error{
		"changed": func() error { return os.WriteFile(genome, []byte("{}"), 0o600) },
		"missing": func() error { return os.Remove(genome) },
		"more":    func() error { return os.WriteFile(filepath.Join(target, "more"), nil, 0o600) },
		"a file":  func() error { return errors.Join(os.RemoveAll(target), os.WriteFile(target, nil, 0o600)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := standard.Unpack(filepath.Join(dir, "models")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := modelfile.Verify(t.Context(), target, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "models"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left %v (%v)", entries, err)
	}
	if _, err := standard.Unpack(filepath.Join(target, modelfile.GenomeFile)); err == nil {
		t.Error("unpacked into a file")
	}
}

// Example unpacks the model and looks at it.
func Example() {
	dir, err := os.MkdirTemp("", "standard-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	folder, err := standard.Unpack(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := modelfile.Inspect(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.Config.Cell, len(in.Missing), filepath.Base(folder) == in.Model)
	// Output: release 0 true
}
