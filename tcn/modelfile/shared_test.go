package modelfile_test

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestTilesAreShared: one mapping while anyone uses it, of the file that is
// there now.
func TestTilesAreShared(t *testing.T) {
	dir := t.TempDir()
	config := seedConfig("")
	var paths [2]string
	for i, name := range []string{"one", "other"} {
		if _, err := modelfile.Init(t.Context(), filepath.Join(dir, name), config, uint64(i), nil); err != nil {
			t.Fatal(err)
		}
		folder, err := modelfile.OpenFolder(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		g, _ := folder.Genome()
		paths[i], _ = folder.Path(g.Tiles[0])
	}
	open := func(block int) (*tcn.Block, io.Closer) {
		t.Helper()
		tile, closer, err := modelfile.OpenTile(paths[0], config, block)
		if err != nil {
			t.Fatal(err)
		}
		return tile, closer
	}
	closed := func(closers ...io.Closer) {
		t.Helper()
		for _, c := range closers {
			for range 2 { // the second changes nothing
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}

	first, a := open(0)
	second, b := open(2)
	if first != second {
		t.Error("two blocks of the same file have two tiles")
	}
	wider := config
	wider.DFF++
	if _, _, err := modelfile.OpenTile(paths[0], wider, 0); err == nil {
		t.Error("a tile of another size is opened")
	}
	closed(a)
	third, c := open(1)
	if third != first {
		t.Error("a tile that is still in use is mapped again")
	}
	if got := second.Layers[0].Conv[0]; got == 0 { // mapped still
		t.Error("a tile in use is gone")
	}

	if err := os.Rename(paths[1], paths[0]); err != nil {
		t.Fatal(err)
	}
	replaced, d := open(0)
	if replaced == first || replaced.Layers[0].Conv[0] == first.Layers[0].Conv[0] {
		t.Error("the tile of a file that was replaced is given out")
	}
	closed(b, c, d)

	var group sync.WaitGroup
	tiles := make([]*tcn.Block, 8)
	closers := make([]io.Closer, len(tiles))
	for i := range tiles {
		group.Go(func() { tiles[i], closers[i] = open(i % 3) })
	}
	group.Wait()
	for _, tile := range tiles {
		if tile != tiles[0] {
			t.Error("opened at once, a file has several tiles")
		}
	}
	closed(closers...)
}
