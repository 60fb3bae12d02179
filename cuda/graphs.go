package cuda

import (
	"errors"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// blockSet is some of a stage's blocks: bit i is the i-th of 64 runs of blocks of
// equal length, of one block each in a stage of up to 64.
type blockSet uint64

// setBits is the runs that a blockSet tells apart.
const setBits = 64

// perBit is the blocks of one bit.
func (s *stage) perBit() int { return (s.blocks.Len() + setBits - 1) / setBits }

// blockSet is the runs that blocks [lo, hi), counted from the stage's first, touch.
func (s *stage) blockSet(lo, hi int) blockSet {
	n := s.perBit()
	first, last := lo/n, (hi-1)/n
	return ^blockSet(0) >> (setBits - 1 - (last - first)) << first
}

// has reports whether block b, counted from the stage's first, is in one of k's runs.
func (s *stage) has(k blockSet, b int) bool { return k>>(b/s.perBit())&1 != 0 }

// shape is everything of a pass that decides what is launched: two passes of one
// shape replay one graph.
type shape struct {
	slot   int // of the workspace
	rows   int // a bucket
	shares int // a power of two, or rows
	terms  int // of a product of any sequence at most, rounded up; 0: no Souls
	eight  bool
	half   bool // some block must keep its input
	blocks blockSet
}

// graphs are the recorded shapes of a stage.
type graphs struct {
	made  map[shape]*recorded
	clock uint64
}

// recorded is a graph and when it was last used.
type recorded struct {
	graph device.Graph
	used  uint64
}

// find is the graph of a shape; nil if there is none.
func (g *graphs) find(k shape) device.Graph {
	r, ok := g.made[k]
	if !ok {
		return nil
	}
	g.clock++
	r.used = g.clock
	return r.graph
}

// add keeps a graph, in place of the one unused for longest if there are too many.
func (g *graphs) add(k shape, graph device.Graph) error {
	if g.made == nil {
		g.made = map[shape]*recorded{}
	}
	g.clock++
	var err error
	if len(g.made) >= maxGraphs {
		var oldest shape
		least := g.clock
		for k, r := range g.made {
			if r.used < least {
				oldest, least = k, r.used
			}
		}
		err = g.made[oldest].graph.Close()
		delete(g.made, oldest)
	}
	g.made[k] = &recorded{graph, g.clock}
	return err
}

// drop closes every graph: what they name has moved, or memory is short.
func (g *graphs) drop() error {
	var errs []error
	for _, r := range g.made {
		errs = append(errs, r.graph.Close())
	}
	clear(g.made)
	return errors.Join(errs...)
}

// graph is the graph of a shape, recorded if need be, when the pass before is done.
// It is nil where there is no memory for one, and where every sequence skips every
// block.
func (s *stage) graph(k shape) (device.Graph, error) {
	if graph := s.graphs.find(k); graph != nil || k.blocks == 0 {
		return graph, nil
	}
	b := s.backend
	// Graphs, and what no sequence wears, may be given back for this one: not what
	// the pass before may still use.
	if err := await(b.stream, b.options.Watchdog); err != nil {
		return nil, err
	}
	record := func() error { return s.record(k) }
	graph, err := b.stream.Record(record)
	if errors.Is(err, device.ErrOutOfMemory) {
		b.dropIdle()
		if err = s.graphs.drop(); err == nil {
			graph, err = b.stream.Record(record)
		}
	}
	switch {
	case errors.Is(err, device.ErrOutOfMemory):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return graph, s.graphs.add(k, graph)
}

// compute does what a shape asks for: its graph, or where there is none its launches
// one by one, to the same bits.
func (s *stage) compute(k shape, graph device.Graph) error {
	switch {
	case graph != nil:
		return s.backend.stream.Replay(graph)
	case k.blocks == 0:
		return nil
	}
	return s.record(k)
}
