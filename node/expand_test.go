package node

import (
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestExpandedModel: a node with room for the tiles of a model that was grown
// has room for all its blocks, and a grid of it gives the seed's answer.
func TestExpandedModel(t *testing.T) {
	config := sixBlocks
	config.Layers = 6 // two blocks
	seed, grown := seededFolder(t, config), t.TempDir()
	if _, err := modelfile.Expand(t.Context(), seed, grown, modelfile.Expansion{Blocks: 6, Mode: modelfile.ExpandMirror}, nil); err != nil {
		t.Fatal(err)
	}
	first := startNode(t, Options{Model: grown, Blocks: []tcn.Range{{Lo: 0, Hi: 3}}})
	second := startNode(t, Options{
		Model: first.ModelCID(), Memory: 2 * first.library.blockBytes(), Bootstrap: first.Addrs(),
	})
	if got := second.capacity(second.resident.backend()); got != 6 {
		t.Errorf("room for two tiles is room for %d blocks, want 6", got)
	}
	waitReady(t, first)
	waitReady(t, second)
	waitCovered(t, first) // each node learns of the other by itself
	waitCovered(t, second)
	r := prompts(1, 16, 0.8)[0]
	want := reference(t, seed, r)
	for _, n := range []*Node{first, second} {
		if got, err := answer(t.Context(), n, r); err != nil || got != want {
			t.Errorf("%q, want the seed's %q (%v)", got, want, err)
		}
	}
}
