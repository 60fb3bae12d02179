package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/tcn"
)

// TestOfflineWithoutTiles: an offline node whose data folder has the Model's
// manifests but not its blocks, as that of a gateway that owned none, ends with
// the reason: no peer will ever bring them.
func TestOfflineWithoutTiles(t *testing.T) {
	worker := startNode(t, Options{
		Model: seededFolder(t, sixBlocks), Blocks: []tcn.Range{sixBlocks.All()},
	})
	data := t.TempDir()
	gateway := startNode(t, Options{Data: data, Model: worker.ModelCID(), Memory: 0, Bootstrap: worker.Addrs()})
	waitReady(t, gateway)
	if err := gateway.Close(); err != nil {
		t.Fatal(err)
	}
	offline, err := Start(t.Context(), Options{
		Data: data, Model: worker.ModelCID(), Memory: -1, Offline: true, Compute: testCompute(),
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-offline.Ready():
		t.Error("it became ready")
	case <-offline.Done():
	case <-t.Context().Done():
		t.Error("it waits for ever")
	}
	if err := offline.Close(); !errors.Is(err, content.ErrAbsent) {
		t.Errorf("closed with %v, want %v", err, content.ErrAbsent)
	}
}

// TestOfflineCorruptTile: the same for a tile that is not what its CID says.
func TestOfflineCorruptTile(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	tiles, err := filepath.Glob(filepath.Join(dir, "tiles", "*"))
	if err != nil || len(tiles) == 0 {
		t.Fatal(tiles, err)
	}
	tile, err := os.ReadFile(tiles[0])
	if err != nil {
		t.Fatal(err)
	}
	tile[len(tile)-1] ^= 1
	if err := os.WriteFile(tiles[0], tile, 0o600); err != nil {
		t.Fatal(err)
	}
	offline, err := Start(t.Context(), Options{
		Data: t.TempDir(), Model: dir, Memory: -1, Offline: true, Compute: testCompute(),
	})
	if err != nil {
		return // refused at once is as well
	}
	select {
	case <-offline.Ready():
		t.Error("it became ready")
	case <-offline.Done():
	case <-t.Context().Done():
		t.Error("it waits for ever")
	}
	if err := offline.Close(); err == nil {
		t.Error("closed without a reason")
	}
}

// TestOfflineSmallMissing: what is not there of small parameters is named as what
// it is, as a tile is.
func TestOfflineSmallMissing(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	if err := os.RemoveAll(filepath.Join(dir, "small")); err != nil {
		t.Fatal(err)
	}
	offline, err := Start(t.Context(), Options{
		Data: t.TempDir(), Model: dir, Memory: -1, Offline: true, Compute: testCompute(),
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-offline.Ready():
		t.Error("it became ready")
	case <-offline.Done():
	}
	if err := offline.Close(); !errors.Is(err, content.ErrAbsent) {
		t.Errorf("closed with %v, want %v", err, content.ErrAbsent)
	}
}
