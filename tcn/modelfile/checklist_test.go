package modelfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestAnnotate: facts are added to a folder that is otherwise the same.
func TestAnnotate(t *testing.T) {
	dir := t.TempDir()
	from, out := initWithSoul(t), filepath.Join(dir, "annotated")
	facts := map[string]string{modelfile.FactLicence: "MIT", modelfile.FactSource: "test"}
	id, err := modelfile.Annotate(t.Context(), from, out, facts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := modelfile.Verify(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	before, errBefore := modelfile.OpenFolder(from)
	after, errAfter := modelfile.OpenFolder(out)
	if err := errors.Join(errBefore, errAfter); err != nil {
		t.Fatal(err)
	}
	model, got := after.Model()
	_, genome := after.Genome()
	if _, want := before.Genome(); got != id || genome != want || model.Provenance[modelfile.FactLicence] != "MIT" || model.Provenance[modelfile.FactSource] != "test" {
		t.Errorf("Model %s, want %s; Genome %s, want %s; provenance %v", got, id, genome, want, model.Provenance)
	}
	if _, _, ok := after.Soul(); !ok {
		t.Error("the Soul is gone")
	}
	tooMuch := map[string]string{"fact": strings.Repeat("x", modelfile.ProvenanceValueBytes+1)}
	if _, err := modelfile.Annotate(t.Context(), from, filepath.Join(dir, "other"), tooMuch, nil); !errors.Is(err, modelfile.ErrManifest) {
		t.Errorf("a fact past the limit: %v, want ErrManifest", err)
	}
	if _, err := modelfile.Annotate(t.Context(), from, from, facts, nil); !errors.Is(err, modelfile.ErrOutput) {
		t.Errorf("over a folder that is not empty: %v, want ErrOutput", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left %v (%v)", entries, err)
	}
}

func TestCheckSizes(t *testing.T) {
	from := initWithSoul(t)
	in, err := modelfile.Inspect(from)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := modelfile.CheckSizes(from); err != nil || got != in.Parameters.Total {
		t.Errorf("%d parameters, want %d (%v)", got, in.Parameters.Total, err)
	}
	boasting := filepath.Join(t.TempDir(), "boasting")
	if _, err := modelfile.Annotate(t.Context(), from, boasting, map[string]string{modelfile.FactParameters: "25000000000"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := modelfile.CheckSizes(boasting); !errors.Is(err, modelfile.ErrTensor) {
		t.Errorf("a label larger than the config: %v, want ErrTensor", err)
	}
	folder, err := modelfile.OpenFolder(boasting)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(boasting, folder.Files()[0].Path)); err != nil {
		t.Fatal(err)
	}
	if _, err := modelfile.CheckSizes(boasting); !errors.Is(err, modelfile.ErrFolder) {
		t.Errorf("a missing file: %v, want ErrFolder", err)
	}
}

func TestUnmeasured(t *testing.T) {
	before := map[string]string{modelfile.FactSeed: "1", modelfile.FactSuiteDigest: "abc", "free": "x"}
	if got := modelfile.Unmeasured(before); len(got) != 2 || got[modelfile.FactSeed] != "1" || got["free"] != "x" || len(before) != 3 {
		t.Errorf("%v of %v", got, before)
	}
	if got := modelfile.Unmeasured(nil); got == nil {
		t.Error("nothing to add to")
	}
}
