package modelfile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/importer"
)

// importTiny makes a folder of the committed release.
func importTiny(t testing.TB) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "model")
	if _, err := importer.Release(context.Background(), tinyRelease(out)); err != nil {
		t.Fatal(err)
	}
	return out
}

func tinyRelease(out string) importer.ReleaseOptions {
	dir := filepath.Join("testdata", "tiny")
	return importer.ReleaseOptions{
		Genome: filepath.Join(dir, "genome.npy"), Soul: filepath.Join(dir, "soul.pt"), Config: filepath.Join(dir, "config.json"), Out: out,
	}
}

// filesIn lists the files below dir, relative to it.
func filesIn(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestFolder(t *testing.T) {
	dir := importTiny(t)
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, mc := f.Model()
	g, gc := f.Genome()
	s, sc, ok := f.Soul()
	if !ok || *m.Soul != sc || m.Genome != gc || s.Genome != gc || s.Rank != 2 {
		t.Errorf("manifests do not link: %+v %+v", m, s)
	}
	for _, c := range []modelfile.Link{mc, gc, sc} {
		data, ok := f.Manifest(c)
		if sum, err := modelfile.ManifestCID(data); !ok || err != nil || sum != c {
			t.Errorf("manifest %s has bytes of %s", c, sum)
		}
	}
	if _, ok := f.Manifest(m.Ends); ok {
		t.Error("a tensor file is a manifest")
	}
	if _, ok := f.Path(mc); ok {
		t.Error("a manifest is a tensor file")
	}
	want := []string{modelfile.CIDFile, modelfile.GenomeFile, modelfile.ModelFile, modelfile.SoulFile}
	for _, ref := range f.Files() {
		want = append(want, ref.Path)
		path, ok := f.Path(ref.CID)
		if !ok || path != filepath.Join(dir, ref.Path) || ref.Path != modelfile.RelativePath(ref.Role, ref.CID) {
			t.Errorf("%+v is at %s", ref, path)
		}
	}
	slices.Sort(want)
	if got := filesIn(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if len(f.Files()) != 1+3*g.Config.Blocks() {
		t.Errorf("%d files of %d blocks", len(f.Files()), g.Config.Blocks())
	}
}

// TestVerifyNamesTheFlippedFile flips bytes in each file in turn.
func TestVerifyNamesTheFlippedFile(t *testing.T) {
	dir := importTiny(t)
	ctx := context.Background()
	if err := modelfile.Verify(ctx, dir, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesIn(t, dir) {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, 7, len(whole) / 2, len(whole) - 1} {
			flipped := slices.Clone(whole)
			flipped[at] ^= 0x04
			if err := os.WriteFile(path, flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			err := modelfile.Verify(ctx, dir, nil)
			var bad *modelfile.VerifyError
			if !errors.As(err, &bad) || bad.First == nil || bad.First.Path != name || !errors.Is(err, modelfile.ErrCorrupt) {
				t.Errorf("byte %d of %s: %v", at, name, err)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := modelfile.Verify(ctx, dir, nil); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyMissingAndUnexpected(t *testing.T) {
	dir := importTiny(t)
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	gone := f.Files()[2].Path
	stray := filepath.Join("tiles", "stray")
	if err := errors.Join(os.Remove(filepath.Join(dir, gone)), os.WriteFile(filepath.Join(dir, stray), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	err = modelfile.Verify(context.Background(), dir, nil)
	var bad *modelfile.VerifyError
	if !errors.As(err, &bad) || bad.First != nil || !slices.Equal(bad.Missing, []string{gone}) || !slices.Equal(bad.Unexpected, []string{stray}) {
		t.Errorf("%v", err)
	}
	if !errors.Is(err, modelfile.ErrFolder) {
		t.Errorf("%v is not ErrFolder", err)
	}
	in, err := modelfile.Inspect(dir)
	if err != nil || !slices.Equal(in.Missing, []string{gone}) {
		t.Errorf("%v, %v", in.Missing, err)
	}
	for _, name := range []string{modelfile.CIDFile, modelfile.ModelFile, modelfile.GenomeFile, modelfile.SoulFile} {
		path := filepath.Join(dir, name)
		if err := os.Rename(path, path+"~"); err != nil {
			t.Fatal(err)
		}
		err := modelfile.Verify(context.Background(), dir, nil)
		if !errors.As(err, &bad) || bad.First == nil || bad.First.Path != name || !errors.Is(err, modelfile.ErrFolder) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVerifyChecksTensors swaps in a file that fits its CID but not the config.
func TestVerifyChecksTensors(t *testing.T) {
	dir := importTiny(t)
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := f.Model()
	m.Ends = m.Small[0]
	data, c, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	writeModel(t, dir, data, c)
	small, _ := f.Path(m.Small[0])
	moved := filepath.Join(dir, modelfile.RelativePath(modelfile.RoleEnds, m.Small[0]))
	if err := os.Rename(small, moved); err != nil {
		t.Fatal(err)
	}
	var bad *modelfile.VerifyError
	if err := modelfile.Verify(context.Background(), dir, nil); !errors.As(err, &bad) || bad.First == nil || !errors.Is(err, modelfile.ErrTensor) {
		t.Errorf("%v", err)
	}
}

// writeModel replaces a folder's Model manifest.
func writeModel(t testing.TB, dir string, data []byte, c modelfile.Link) {
	t.Helper()
	digest := c.Hash()[2:]
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, modelfile.ModelFile), data, 0o600),
		os.WriteFile(filepath.Join(dir, modelfile.CIDFile), fmt.Appendf(nil, "%s\n%x\n", c, []byte(digest)), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := modelfile.Verify(ctx, importTiny(t), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestOpenFolderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *modelfile.Model)
		want   error
	}{
		"other genome": {func(m *modelfile.Model) { m.Genome = manifestOf("x") }, modelfile.ErrCorrupt},
		"other soul":   {func(m *modelfile.Model) { c := manifestOf("x"); m.Soul = &c }, modelfile.ErrCorrupt},
		"few small":    {func(m *modelfile.Model) { m.Small = m.Small[:1] }, modelfile.ErrManifest},
	} {
		dir := importTiny(t)
		f, err := modelfile.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := f.Model()
		c.change(&m)
		data, mc, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		writeModel(t, dir, data, mc)
		if _, err := modelfile.OpenFolder(dir); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := modelfile.OpenFolder(t.TempDir()); !errors.Is(err, modelfile.ErrFolder) {
		t.Errorf("empty folder: %v", err)
	}
}

func TestInspect(t *testing.T) {
	dir := importTiny(t)
	in, err := modelfile.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := in.Config
	// 5 layers of d 6, f 10, K 3, rank 2; 96 positions.
	want := modelfile.Counts{
		Matrices: 5 * (20*6 + 6*10), Conv: 5 * 10 * 3, Small: 5*(6+1) + 2, Ends: (256 + 96 + 1) * 6,
		Soul: 5 * 2 * (6 + 20 + 10 + 6),
	}
	want.Total = want.Matrices + want.Conv + want.Small + want.Ends
	if in.Parameters != want {
		t.Errorf("%+v, want %+v", in.Parameters, want)
	}
	// Dilations 1, 2, 4, 1, 2 of 2 rows each, and the row itself.
	if in.ReceptiveField != 2*(1+2+4+1+2)+1 || in.StateBytes != c.StateBytes(c.All()) {
		t.Errorf("receptive field %d, state %d", in.ReceptiveField, in.StateBytes)
	}
	total := in.EndsBytes
	for i, b := range in.Blocks {
		if b.Block != i || b.Layers != 3-i || b.TileBytes == 0 || b.SmallBytes == 0 || b.SoulBytes == 0 {
			t.Errorf("%+v", b)
		}
		total += b.TileBytes + b.SmallBytes + b.SoulBytes
	}
	if total != in.FileBytes || len(in.Missing) > 0 {
		t.Errorf("files of %d bytes, want %d", in.FileBytes, total)
	}
}

func TestOpenTileRefuses(t *testing.T) {
	f, err := modelfile.OpenFolder(importTiny(t))
	if err != nil {
		t.Fatal(err)
	}
	g, _ := f.Genome()
	m, _ := f.Model()
	s, _, _ := f.Soul()
	c := g.Config
	path := func(c modelfile.Link) string { p, _ := f.Path(c); return p }
	tile := func(link modelfile.Link, c tcn.Config, block int) error {
		_, closer, err := modelfile.OpenTile(path(link), c, block)
		if err == nil {
			_ = closer.Close()
		}
		return err
	}
	wide := c
	wide.DModel++
	for name, test := range map[string]struct{ got, want error }{
		"another block's tile": {tile(g.Tiles[0], c, 1), modelfile.ErrTensor},
		"short tile":           {tile(g.Tiles[1], c, 0), modelfile.ErrTensor},
		"no tile":              {tile(m.Small[0], c, 0), modelfile.ErrTensor},
		"wider model":          {tile(g.Tiles[0], wide, 0), modelfile.ErrTensor},
		"bad config":           {tile(g.Tiles[0], tcn.Config{}, 0), tcn.ErrConfig},
		"block -1":             {tile(g.Tiles[0], c, -1), tcn.ErrRange},
		"block past the end":   {tile(g.Tiles[0], c, 2), tcn.ErrRange},
		"small of a tile":      {func() error { _, err := modelfile.LoadSmall(path(g.Tiles[0]), c, 0); return err }(), modelfile.ErrTensor},
		"ends of a tile":       {func() error { _, err := modelfile.LoadEnds(path(g.Tiles[0]), c); return err }(), modelfile.ErrTensor},
		"rank 0":               {func() error { _, _, err := modelfile.OpenSoulSlice(path(s.Slices[0]), c, 0, 0); return err }(), modelfile.ErrTensor},
		"rank 3":               {func() error { _, _, err := modelfile.OpenSoulSlice(path(s.Slices[0]), c, 0, 3); return err }(), modelfile.ErrTensor},
		"absent":               {tile(manifestOf("x"), c, 0), fs.ErrNotExist},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

func ExampleInit() {
	dir, err := os.MkdirTemp("", "zetagrid")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "model")
	c, err := modelfile.Init(context.Background(), out, tinyConfig, 1, nil)
	if err != nil {
		panic(err)
	}
	f, err := modelfile.OpenFolder(out)
	if err != nil {
		panic(err)
	}
	_, same := f.Model()
	fmt.Println(c == same, modelfile.Verify(context.Background(), out, nil))
	in, err := modelfile.Inspect(out)
	fmt.Println(len(in.Blocks), "blocks,", in.Parameters.Total, "parameters,", in.ReceptiveField, "bytes seen,", err)
	// Output:
	// true <nil>
	// 2 blocks, 1347 parameters, 9 bytes seen, <nil>
}

func TestInitIsDeterministic(t *testing.T) {
	ctx, parent := context.Background(), t.TempDir()
	var cids []string
	for i, seed := range []uint64{1, 1, 2} {
		c, err := modelfile.Init(ctx, filepath.Join(parent, fmt.Sprint(i)), tinyConfig, seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		cids = append(cids, c.String())
	}
	if cids[0] != cids[1] || cids[0] == cids[2] {
		t.Error(strings.Join(cids, " "))
	}
	if _, err := modelfile.Init(ctx, filepath.Join(parent, "x"), tcn.Config{}, 1, nil); !errors.Is(err, tcn.ErrConfig) {
		t.Error(err)
	}
}
