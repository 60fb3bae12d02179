package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/pbnjay/memory"

	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/shardmap"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// join takes part in the Genome's grid and begins to load what this node owns.
func (n *Node) join(ctx context.Context) error {
	if n.host == nil {
		n.running.Go(func() {
			// No peer can bring what is not here, so there is nothing to wait for.
			all := n.library.config.All()
			err := n.bring(n.ctx, all)
			if err == nil {
				close(n.ready)
			} else if n.ctx.Err() == nil {
				n.fail(err)
			}
		})
		return nil
	}
	var err error
	n.member, err = n.host.Join(ctx, p2p.Grid{
		Genome: n.library.genomeCID, Blocks: n.library.config.Blocks(), Arithmetic: modelfile.Arithmetic,
	})
	if err != nil {
		return err
	}
	n.member.Do(shardmap.Speed{FreeSlots: sessionsPerNode})
	wish := n.wish(n.resident.backend())
	n.member.Do(wish)
	seek, chooses := wish.(shardmap.Seek)
	owns := !chooses || seek.CapacityBlocks > 0
	if !owns {
		close(n.ready)
	}
	n.running.Go(func() { n.follow(owns) })
	n.running.Go(n.report)
	n.running.Go(n.provide)
	n.running.Go(n.watch)
	return nil
}

// wish is what the node asks of the shard map: the blocks it was told to own, or
// to choose some.
func (n *Node) wish(b tcn.Backend) shardmap.Event {
	if len(n.options.Blocks) == 0 {
		room := n.capacity(b)
		if room == 0 && n.options.Memory != 0 {
			n.log.Warn("this node owns no block: none fits the memory for weights", "block_bytes", n.library.blockBytes())
		}
		return shardmap.Seek{CapacityBlocks: room}
	}
	ranges := make([]shardmap.Range, len(n.options.Blocks))
	for i, r := range n.options.Blocks {
		ranges[i] = shardmap.Range(r)
	}
	return shardmap.Pin{Ranges: ranges}
}

// capacity is how many blocks the node may choose to own. In the machine's memory
// blocks of one tile take its memory once: a node that has room for every tile has
// room for every block. A device with memory of its own holds a copy of each.
func (n *Node) capacity(b tcn.Backend) int {
	budget := n.options.Memory
	if m, ok := b.(tcn.Memory); ok && m.WeightBytes() > 0 {
		if budget < 0 || budget > m.WeightBytes() {
			budget = m.WeightBytes()
		}
		return int(min(budget/n.library.blockBytes(), int64(n.library.config.Blocks())))
	}
	if budget < 0 {
		budget = int64(memory.TotalMemory() / 2)
	}
	tiles, blocks := budget/n.library.blockBytes(), n.library.config.Blocks()
	if tiles >= int64(n.library.distinctTiles()) {
		return blocks
	}
	return int(min(tiles, int64(blocks)))
}

// loading is a range on its way to the device.
type loading struct {
	blocks tcn.Range
	cancel context.CancelFunc
}

// follow carries out what the shard map decides for this node: it loads ranges
// and says so when they are ready, and lets go of those it gave up.
func (n *Node) follow(owns bool) {
	loads := map[tcn.Range]*loading{}
	loaded := make(chan *loading)
	for ready := !owns; ; {
		var changed <-chan struct{}
		if !ready {
			changed = n.member.Changed()
			if ready = n.serves(); ready {
				close(n.ready)
			}
		}
		select {
		case effect, ok := <-n.member.Effects():
			if !ok {
				return
			}
			switch effect := effect.(type) {
			case shardmap.Load:
				n.load(tcn.Range(effect.Range), loads, loaded)
			case shardmap.Release:
				n.unload(tcn.Range(effect.Range), loads)
			case shardmap.Lost:
				if effect.Cause == shardmap.Expired {
					n.gateways.expired(string(effect.Node))
				}
			case shardmap.Refused:
				n.log.Error("the shard map refused", "error", effect.Err)
			}
		case l := <-loaded:
			if loads[l.blocks] != l { // given up meanwhile
				if loads[l.blocks] == nil {
					n.resident.unload(l.blocks)
				}
				continue
			}
			delete(loads, l.blocks)
			if n.resident.stage(l.blocks) == nil { // the device failed meanwhile
				continue
			}
			n.member.Do(shardmap.Loaded{Ranges: []shardmap.Range{shardmap.Range(l.blocks)}})
		case <-changed:
		}
	}
}

// load begins to load a range; loaded hears when it is done.
func (n *Node) load(r tcn.Range, loads map[tcn.Range]*loading, loaded chan<- *loading) {
	ctx, cancel := context.WithCancel(n.ctx)
	l := &loading{blocks: r, cancel: cancel}
	if before := loads[r]; before != nil { // on a device that failed since
		before.cancel()
	}
	loads[r] = l
	n.running.Go(func() {
		defer cancel()
		if !n.loadUntilDone(ctx, r) {
			return
		}
		select {
		case loaded <- l:
		case <-n.ctx.Done():
		}
	})
}

// unload ends the loading of ranges within r and frees what is loaded of it.
func (n *Node) unload(r tcn.Range, loads map[tcn.Range]*loading) {
	for blocks, l := range loads {
		if r.Contains(blocks) {
			l.cancel()
			delete(loads, blocks)
		}
	}
	n.resident.unload(r)
	n.log.Info("blocks given up", "lo", r.Lo, "hi", r.Hi)
}

// serves reports whether this node's claim says that it serves what it owns, be it
// nothing after all.
func (n *Node) serves() bool {
	for _, seen := range n.member.View() {
		if seen.Self {
			return seen.Claim.State == shardmap.Serving && (len(seen.Claim.Ranges) > 0 || n.device.ownsNothing())
		}
	}
	return false
}

// bring makes a range resident with all that a prompt to the Model needs of it:
// small parameters and the default Soul's slices too. A node that serves may be the
// last that has them, and nobody wants to wait for them with the first prompt.
func (n *Node) bring(ctx context.Context, r tcn.Range) error {
	var came atomic.Int64
	end := n.remind(&came, "no peer brings what these blocks lack", "lo", r.Lo, "hi", r.Hi)
	defer end()
	on, err := n.resident.load(ctx, n.library, r, func(have, size int64) {
		came.Store(have)
		if n.options.Progress != nil {
			n.options.Progress(have, size)
		}
	})
	if errors.Is(err, tcn.ErrDevice) {
		n.deviceLost(on, err)
	}
	if err != nil {
		return err
	}
	var soul []byte
	if n.library.model.Soul != nil {
		soul = n.library.model.Soul.Bytes()
	}
	_, release, err := n.variants.get(ctx, n.library.modelCID.Bytes(), soul, r)
	switch {
	case err == nil:
		release() // sessions find it
		return nil
	case ctx.Err() != nil:
		return nil // the range is resident: follow is told, and frees it if it was given up
	default:
		return fmt.Errorf("small parameters and Soul of blocks %d-%d: %w", r.Lo, r.Hi, err)
	}
}

// loadUntilDone makes a range resident, trying again until ctx ends: a peer that
// has the tiles may be on its way. A device that failed or is full is not one that
// trying again would help; who is told of it goes on from there.
func (n *Node) loadUntilDone(ctx context.Context, r tcn.Range) bool {
	began := time.Now()
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := n.bring(ctx, r)
		if errors.Is(err, tcn.ErrDevice) || errors.Is(err, errNoDevice) || errors.Is(err, tcn.ErrNoRoom) {
			return struct{}{}, backoff.Permanent(err)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("blocks not loaded yet", "lo", r.Lo, "hi", r.Hi, "error", err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(0))
	if errors.Is(err, tcn.ErrNoRoom) && ctx.Err() == nil {
		n.noRoom(r, err)
	}
	if err != nil {
		return false
	}
	n.log.Info("blocks loaded", "lo", r.Lo, "hi", r.Hi, "took", time.Since(began).Round(time.Millisecond))
	return true
}

// report tells the map this node's speed and room when they have moved.
func (n *Node) report() {
	ticker := time.NewTicker(reportInterval)
	defer ticker.Stop()
	var said shardmap.Speed
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
		speed := shardmap.Speed{BlockMicros: n.executor.blockMicros(), FreeSlots: uint16(n.hops.freeSlots())}
		if worthSaying(said, speed) {
			said = speed
			n.member.Do(speed)
		}
	}
}

// worthSaying spares the grid a claim for every little change.
func worthSaying(said, now shardmap.Speed) bool {
	const part = 4 // a quarter
	moved := func(a, b int64) bool { return max(a, b)-min(a, b) > max(a, b)/part }
	return (said.FreeSlots == 0) != (now.FreeSlots == 0) ||
		moved(int64(said.FreeSlots), int64(now.FreeSlots)) || moved(int64(said.BlockMicros), int64(now.BlockMicros))
}

// provide tells the DHT that this node has the Model, so that a node that knows
// nothing but its CID can find the grid.
func (n *Node) provide() {
	routing := n.host.Routing()
	if routing == nil {
		return
	}
	for {
		if _, err := backoff.Retry(n.ctx, func() (struct{}, error) {
			ctx, cancel := context.WithTimeout(n.ctx, provideTimeout)
			defer cancel()
			return struct{}{}, errors.Join(
				routing.Provide(ctx, n.library.modelCID, true),
				routing.Provide(ctx, n.library.genomeCID, true),
			)
		}, backoff.WithMaxElapsedTime(0)); err != nil {
			return
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(provideInterval):
		}
	}
}

// route picks a chain over all blocks.
func (n *Node) route(avoid []string) ([]session.Hop, error) {
	if n.member == nil {
		all := n.library.config.All()
		if n.resident.stage(all) == nil {
			return nil, fmt.Errorf("%w: blocks %d-%d %s", session.ErrUncovered, all.Lo, all.Hi, n.device.whyNot())
		}
		return []session.Hop{{Peer: n.links.self, Blocks: all}}, nil
	}
	nodes := make([]shardmap.NodeID, len(avoid))
	for i, peer := range avoid {
		nodes[i] = shardmap.NodeID(peer)
	}
	chain, err := n.member.Route(nodes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrUncovered, err)
	}
	hops := make([]session.Hop, len(chain))
	for i, hop := range chain {
		hops[i] = session.Hop{Peer: string(hop.Node), Blocks: tcn.Range(hop.Range)}
	}
	return hops, nil
}
