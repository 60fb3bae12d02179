package node

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/shardmap"
	"github.com/zetagrid/zetagrid/tcn"
)

// TestReadyServes: who chose its blocks itself is ready only when it serves them,
// not while others may still object.
func TestReadyServes(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	first := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 0, Hi: 3}}})
	waitReady(t, first)
	second := startNode(t, Options{Model: dir, Memory: 3 * first.library.blockBytes(), Bootstrap: first.Addrs()})
	waitReady(t, second)
	s := second.Status()
	for _, node := range s.Nodes {
		if node.Peer == s.Self && (node.State != shardmap.Serving.String() || len(node.Ranges) != 1 || node.Blocks != api.Span{3, 6}) {
			t.Errorf("ready as %+v", node)
		}
	}
	if !s.Covered {
		t.Errorf("missing %v", s.Missing)
	}
}

// TestCapacity: a node takes as many blocks as the tiles of them fit, to the byte.
func TestCapacity(t *testing.T) {
	n := startNode(t, Options{Model: seededFolder(t, sixBlocks), Memory: 0})
	block := n.library.blockBytes()
	tiles, err := n.store.File(t.Context(), n.library.genome.Tiles[0], n.library.tileBytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(tiles); err != nil || info.Size() != block {
		t.Fatalf("a tile of %d bytes counts as %d (%v)", info.Size(), block, err)
	}
	for _, each := range []struct {
		memory int64
		want   int
	}{{0, 0}, {1, 0}, {block - 1, 0}, {block, 1}, {3*block - 1, 2}, {3 * block, 3}, {100 * block, 6}, {-1, 6}} {
		one := &Node{options: Options{Memory: each.memory}, library: n.library}
		if got := one.capacity(nil); got != each.want {
			t.Errorf("%d bytes hold %d blocks, want %d", each.memory, got, each.want)
		}
	}
}

// TestReleaseEndsTheLoading: a node that gave up blocks nobody has goes on with
// others.
func TestReleaseEndsTheLoading(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	first := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 0, Hi: 3}}})
	waitReady(t, first)
	absent, present := tcn.Range{Lo: 3, Hi: 5}, tcn.Range{Lo: 0, Hi: 2}
	n := startNode(t, Options{Model: dir, Blocks: []tcn.Range{absent}, Bootstrap: first.Addrs(), Open: opens(lameBackend{tcn.NewCPU(nil), absent})})
	n.member.Do(shardmap.Pin{Ranges: []shardmap.Range{shardmap.Range(present)}})
	select {
	case <-n.Ready():
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	if got := n.Blocks(); len(got) != 1 || got[0] != present {
		t.Errorf("loaded %v", got)
	}
	n.member.Do(shardmap.Pin{})
	eventually(t, "unloaded", func() bool { return len(n.Blocks()) == 0 })
}

// lameBackend cannot load one range.
type lameBackend struct {
	tcn.Backend
	lame tcn.Range
}

func (b lameBackend) Load(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	if r == b.lame {
		return nil, io.ErrUnexpectedEOF
	}
	return b.Backend.Load(c, r, blocks)
}
