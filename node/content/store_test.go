package content

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	ipld "github.com/ipfs/go-ipld-format"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// What is served, block by block, is what kubo would store.
func TestServedBlocks(t *testing.T) {
	s := openStore(t, t.TempDir())
	data, dag, _ := give(t, s, 3, 3*leafBytes+5)
	v := view{s}
	var leaves []byte
	for _, c := range dag.Leaves {
		block, err := v.Get(t.Context(), c)
		check(t, err)
		if size, err := v.GetSize(t.Context(), c); err != nil || size != len(block.RawData()) {
			t.Fatalf("size %d of %d, %v", size, len(block.RawData()), err)
		}
		leaves = append(leaves, block.RawData()...)
	}
	if !bytes.Equal(leaves, data) {
		t.Error("the leaves are not the file")
	}
	for _, inner := range dag.Inner {
		block, err := v.Get(t.Context(), inner.Cid())
		if err != nil || !bytes.Equal(block.RawData(), inner.RawData()) {
			t.Errorf("inner node %s: %v", inner.Cid(), err)
		}
		if size, err := v.GetSize(t.Context(), inner.Cid()); err != nil || size != len(inner.RawData()) {
			t.Errorf("inner node %s: %d bytes, %v", inner.Cid(), size, err)
		}
	}
	nobodys := rawCID(t, []byte("nobody's"))
	if _, err := v.Get(t.Context(), nobodys); !ipld.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := v.GetSize(t.Context(), nobodys); !ipld.IsNotFound(err) {
		t.Error(err)
	}
	if known, err := v.Has(t.Context(), nobodys); known || err != nil {
		t.Error(known, err)
	}
}

// Bitswap changes nothing on disk.
func TestViewIsReadOnly(t *testing.T) {
	v := view{openStore(t, t.TempDir())}
	block := mustBlock(t, nil, rawCID(t, nil))
	_, listed := v.AllKeysChan(t.Context())
	for _, err := range []error{
		listed, v.Put(t.Context(), block), v.PutMany(t.Context(), nil), v.DeleteBlock(t.Context(), block.Cid()),
	} {
		wantError(t, err, errReadOnly)
	}
}

// A file that changes under the store is not served where it is wrong, and is
// where only its times changed.
func TestChangedWhileServed(t *testing.T) {
	s := openStore(t, t.TempDir())
	_, dag, path := give(t, s, 9, 3*leafBytes)
	v := view{s}
	touch(t, path)
	_, err := v.Get(t.Context(), dag.Leaves[1])
	check(t, err)
	flip(t, path, leafBytes+1)
	_, err = v.Get(t.Context(), dag.Leaves[0])
	check(t, err)
	for _, ask := range []func() error{
		func() error { _, err := v.Get(t.Context(), dag.Leaves[1]); return err },
		func() error { _, err := v.GetSize(t.Context(), dag.Leaves[1]); return err },
	} {
		if err := ask(); !ipld.IsNotFound(err) {
			t.Errorf("a corrupt leaf: %v", err)
		}
	}
	if s.Has(dag.Root) {
		t.Error("the corrupt file is still here")
	}
	_, err = s.File(t.Context(), dag.Root, plenty, nil)
	wantError(t, err, ErrAbsent)
	wantError(t, s.addFile(t.Context(), dag.Root, path), ErrCorrupt)
	check(t, os.Truncate(path, leafBytes))
	if _, err = v.Get(t.Context(), dag.Leaves[2]); err == nil {
		t.Error("served a leaf that is gone")
	}
}

// A changed file is hashed again before it is handed out: it may be good, or its
// good leaves kept and the others fetched, or it may be gone.
func TestChangedWhileKept(t *testing.T) {
	giver, taker := pair(t)
	data, dag, source := give(t, giver, 9, 3*leafBytes)
	path := take(t, taker, dag.Root, data)
	steps := []struct {
		name    string
		change  func()
		fetched uint64 // blocks
	}{
		{"touched", func() { touch(t, path) }, 0},
		{"a byte flipped", func() { flip(t, path, leafBytes) }, 2},
		{"cut short", func() { check(t, os.Truncate(path, 2*leafBytes)); touch(t, path) }, 2},
		{"gone", func() { check(t, os.Remove(path)) }, 4},
	}
	for _, step := range steps {
		before := sent(t, giver.exchange)
		step.change()
		if got := take(t, taker, dag.Root, data); got != path {
			t.Errorf("%s: now at %s", step.name, got)
		}
		if n := sent(t, giver.exchange) - before; n != step.fetched {
			t.Errorf("%s: fetched %d blocks, want %d", step.name, n, step.fetched)
		}
	}
	// The giver's own copy lies outside its store; spoilt, it comes back inside.
	flip(t, source, 0)
	if got := take(t, giver, dag.Root, data); got != giver.path(fileName(dag.Root)) {
		t.Errorf("now at %s", got)
	}
}

// An opened store knows what an earlier one kept, hashes only what has changed,
// and lets nothing spoilt through.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	files := map[string]modelfile.FileDAG{}
	contents := map[string][]byte{}
	for i, name := range []string{"good", "one leaf", "bad", "touched", "without index", "with a spoilt index"} {
		size := 2*leafBytes + i
		if name == "one leaf" {
			size = 100
		}
		contents[name] = randomBytes(uint64(20+i), size)
		_, dag := outside(t, contents[name])
		files[name] = dag
		path := s.path(fileName(dag.Root))
		check(t, os.WriteFile(path, contents[name], 0o600))
		check(t, s.addFile(t.Context(), dag.Root, path))
	}
	flip(t, s.path(fileName(files["bad"].Root)), 5)
	touch(t, s.path(fileName(files["touched"].Root)))
	check(t, os.Remove(s.path(indexName(files["without index"].Root))))
	check(t, os.WriteFile(s.path(indexName(files["with a spoilt index"].Root)), []byte(`{"stamp":`), 0o600))
	manifest := []byte(`{"kind":"test"}`)
	c, err := modelfile.ManifestCID(manifest)
	check(t, err)
	check(t, os.WriteFile(s.path(manifestName(c)), []byte(`{"kind":"tess"}`), 0o600))
	for _, junk := range []string{
		filepath.Join(filesDir, "no-cid"), filepath.Join(filesDir, atomicfile.TempPrefix+"x"),
		filepath.Join(indexDir, atomicfile.TempPrefix+"x"), filepath.Join(manifestsDir, atomicfile.TempPrefix+"x"),
	} {
		check(t, os.WriteFile(s.path(junk), []byte("x"), 0o600))
	}
	check(t, s.Close())

	again := openStore(t, dir)
	holds(t, again, map[string]int{filesDir: len(files) + 1, manifestsDir: 1})
	for name, known := range map[string]bool{"good": true, "one leaf": true} {
		if again.Has(files[name].Root) != known {
			t.Errorf("%s: known without hashing: %v", name, !known)
		}
	}
	for name, want := range map[string]error{
		"good": nil, "one leaf": nil, "touched": nil, "without index": nil, "with a spoilt index": nil, "bad": ErrAbsent,
	} {
		path, err := again.File(t.Context(), files[name].Root, plenty, nil)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
			continue
		}
		if got, err := os.ReadFile(path); want == nil && (err != nil || !bytes.Equal(got, contents[name])) {
			t.Errorf("%s: other bytes, %v", name, err)
		}
	}
	if _, err := os.Stat(again.path(fileName(files["bad"].Root))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bad file has kept its name: %v", err)
	}
	_, err = again.Manifest(t.Context(), c)
	wantError(t, err, ErrAbsent)
}

// Links in a store lead nobody out of it.
func TestLinksLeadNowhere(t *testing.T) {
	elsewhere := t.TempDir()
	giver, taker := pair(t)
	data, dag, path := give(t, giver, 1, 2*leafBytes)
	secret := filepath.Join(elsewhere, "secret")
	check(t, os.WriteFile(secret, []byte("secret"), 0o600))
	if err := os.Symlink(secret, taker.path(partialName(dag.Root))); err != nil {
		t.Skip("no links here:", err)
	}
	_, err := taker.File(t.Context(), dag.Root, plenty, nil)
	wantError(t, err, ErrDisk)
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("wrote %q through a link, %v", got, err)
	}
	check(t, os.Remove(taker.path(partialName(dag.Root))))
	take(t, taker, dag.Root, data)

	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, filesDir), 0o700))
	check(t, os.Symlink(path, filepath.Join(dir, fileName(dag.Root))))
	if openStore(t, dir).Has(dag.Root) {
		t.Error("took a link for a file of its own")
	}
	check(t, os.RemoveAll(filepath.Join(dir, manifestsDir)))
	check(t, os.Symlink(elsewhere, filepath.Join(dir, manifestsDir)))
	if _, err := Open(dir, nil); err == nil {
		t.Error("opened a store whose folder leads out of it")
	}
}

var toy = tcn.Config{
	Cell: tcn.CellRelease, VocabSize: 256, DModel: 16, DFF: 32, Layers: 6, LayersPerBlock: 2,
	KernelSize: 3, Dilations: []int{1, 2}, RMSEps: 1e-6,
}.WithDefaults()

// newFolder is a small model folder with a few tiles.
func newFolder(t testing.TB) *modelfile.Folder {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	_, err := modelfile.Init(t.Context(), dir, toy, 1, nil)
	check(t, err)
	folder, err := modelfile.OpenFolder(dir)
	check(t, err)
	return folder
}

// A model folder is served where it lies, and with a tile missing that tile is
// fetched. A store that has only the Model CID ends up with all of it.
func TestAddFolder(t *testing.T) {
	folder, partial := newFolder(t), newFolder(t)
	genome, genomeCID := partial.Genome()
	gone, _ := partial.Path(genome.Tiles[1])
	check(t, os.Remove(gone))

	giver, giverHost := online(t)
	check(t, giver.AddFolder(t.Context(), folder))
	holds(t, giver, map[string]int{filesDir: 0, manifestsDir: 0, partialDir: 0})
	holder, holderHost := online(t)
	check(t, holder.AddFolder(t.Context(), partial))
	empty, emptyHost := online(t)
	connect(t, holderHost, giverHost)
	connect(t, emptyHost, giverHost)

	_, modelCID := folder.Model()
	for _, s := range []*Store{giver, holder, empty} {
		data, err := s.Manifest(t.Context(), modelCID)
		check(t, err)
		model, err := modelfile.DecodeModel(data)
		check(t, err)
		if model.Genome != genomeCID {
			t.Fatal("another Genome")
		}
		_, err = s.Manifest(t.Context(), genomeCID)
		check(t, err)
		for _, ref := range folder.Files() {
			path, err := s.File(t.Context(), ref.CID, plenty, nil)
			check(t, err)
			original, _ := folder.Path(ref.CID)
			if s == giver && path != original {
				t.Errorf("%s is handed out from %s", original, path)
			}
			want, err := os.ReadFile(original)
			check(t, err)
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: other bytes, %v", ref.Path, err)
			}
		}
	}
	holds(t, holder, map[string]int{filesDir: 1})
	holds(t, empty, map[string]int{filesDir: len(folder.Files()), manifestsDir: 2})
}

// A second start reads no tile: what the index vouches for may even be unreadable.
func TestAddFolderTwice(t *testing.T) {
	folder, dir := newFolder(t), t.TempDir()
	check(t, openStore(t, dir).AddFolder(t.Context(), folder))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no byte is hashed under an ended context
	again := openStore(t, dir)
	check(t, again.AddFolder(ctx, folder))
	for _, ref := range folder.Files() {
		if !again.Has(ref.CID) {
			t.Errorf("%s is not known", ref.Path)
		}
	}
	wantError(t, openStore(t, t.TempDir()).AddFolder(ctx, folder), context.Canceled)
}

// A tile that does not match is named.
func TestAddFolderCorrupt(t *testing.T) {
	folder := newFolder(t)
	genome, _ := folder.Genome()
	path, _ := folder.Path(genome.Tiles[0])
	flip(t, path, 100)
	err := openStore(t, t.TempDir()).AddFolder(t.Context(), folder)
	wantError(t, err, ErrCorrupt)
	if !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("%q does not name %s", err, path)
	}
}
