package node

import (
	"io"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// countingCloser counts what a mapped file would lose.
type countingCloser struct{ closed int }

func (c *countingCloser) Close() error { c.closed++; return nil }

// heldVariants is a cache of variantsPerNode loaded variants, none in use. Those
// of other blocks count as other keys.
func heldVariants() (*variants, []*countingCloser) {
	v := newVariants(nil)
	closers := make([]*countingCloser, variantsPerNode)
	for i := range closers {
		closers[i] = &countingCloser{}
		entry := &variantEntry{loaded: make(chan struct{}), variant: &tcn.Variant{}, closers: []io.Closer{closers[i]}}
		close(entry.loaded)
		key := variantKey{blocks: tcn.Range{Lo: i, Hi: i + 1}}
		v.held[key] = entry
		v.touch(key)
	}
	return v, closers
}

// TestVariantsAreKeptWhileUsed: past the limit the longest unused goes, its
// files when the last session that uses it ends.
func TestVariantsAreKeptWhileUsed(t *testing.T) {
	v, closers := heldVariants()
	_, release0, err := v.get(t.Context(), nil, nil, tcn.Range{Lo: 0, Hi: 1})
	if err != nil {
		t.Fatal(err)
	}
	past := variantKey{blocks: tcn.Range{Lo: 1000, Hi: 1001}}
	v.held[past] = &variantEntry{loaded: ended()}
	v.touch(past) // evicts 1, since 0 was used last
	if closers[1].closed != 1 || closers[0].closed != 0 {
		t.Errorf("closed %d and %d times", closers[0].closed, closers[1].closed)
	}
	v.close()
	if closers[0].closed != 0 {
		t.Error("closed in use")
	}
	release0()
	for i, c := range closers {
		if c.closed != 1 {
			t.Errorf("variant %d was closed %d times", i, c.closed)
		}
	}
}

func ended() chan struct{} {
	loaded := make(chan struct{})
	close(loaded)
	return loaded
}

// TestUnloadedRangeIsKeptWhileUsed: a stage that was given up computes on for the
// sessions it has, takes no more, and then goes.
func TestUnloadedRangeIsKeptWhileUsed(t *testing.T) {
	r := tcn.Range{Lo: 2, Hi: 4}
	var blocks []*tcn.Block
	for b := r.Lo; b < r.Hi; b++ {
		block, err := tcn.SeededBlock(sixBlocks, 1, b)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, block)
	}
	stage, err := tcn.NewCPU(nil).Load(sixBlocks, r, blocks)
	if err != nil {
		t.Fatal(err)
	}
	files := &countingCloser{}
	s := &resident{config: sixBlocks}
	s.use(tcn.NewCPU(nil))
	on, err := s.enter()
	if err != nil {
		t.Fatal(err)
	}
	s.loaded = []*loadedRange{{on: on, stage: stage, closers: []io.Closer{files}}}
	used, release := s.acquire(tcn.Range{Lo: 3, Hi: 4})
	if used == nil || used.stage != stage {
		t.Fatal("not found")
	}
	s.unload(tcn.Range{Lo: 3, Hi: 4}) // only a part
	if s.stage(r) != stage {
		t.Error("unloaded with a part of it")
	}
	s.unload(sixBlocks.All())
	if s.stage(r) != nil || len(s.ranges()) != 0 {
		t.Error("still there")
	}
	if _, err := used.stage.NewState(r, 0); err != nil || files.closed != 0 {
		t.Errorf("closed in use: %v", err)
	}
	release()
	if _, err := used.stage.NewState(r, 0); err == nil || files.closed != 1 {
		t.Errorf("files closed %d times, %v", files.closed, err)
	}
	if on.inUse != 0 {
		t.Errorf("%d uses of the device are left", on.inUse)
	}
}
