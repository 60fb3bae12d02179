package session

import (
	"fmt"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// Hop is one stage, or part of one, at a peer.
type Hop struct {
	Peer   string // peer ID bytes
	Blocks tcn.Range
}

// Plan is what a gateway fixes before the first frame.
type Plan struct {
	ID     wire.SessionID // drawn at random
	Self   string         // peer ID bytes of the gateway
	Model  []byte         // CID bytes
	Soul   []byte         // CID bytes; empty is none
	Config tcn.Config
	Ends   *tcn.Ends
	Hops   []Hop // cover all blocks, in order
	Chunk  int   // rows a frame at most; 0 is wire.RowsPerFrame
}

func (p *Plan) check() error {
	if len(p.Hops) == 0 || len(p.Hops) > wire.HopsPerChain {
		return fmt.Errorf("%w: a chain of %d hops, limit %d", ErrUncovered, len(p.Hops), wire.HopsPerChain)
	}
	at := 0
	for i, hop := range p.Hops {
		if hop.Blocks.Lo != at || hop.Blocks.Hi <= at {
			return fmt.Errorf("%w: hop %d has blocks %d-%d, want them from %d on", ErrUncovered, i, hop.Blocks.Lo, hop.Blocks.Hi, at)
		}
		at = hop.Blocks.Hi
	}
	if at != p.Config.Blocks() {
		return fmt.Errorf("%w: blocks %d-%d", ErrUncovered, at, p.Config.Blocks())
	}
	return nil
}

// peer names the hop at place i of the chain; both ends of it are the gateway.
func (p *Plan) peer(i int) string {
	if i < 0 || i >= len(p.Hops) {
		return p.Self
	}
	return p.Hops[i].Peer
}

// open is what hop i is told.
func (p *Plan) open(i int, epoch uint32, window int) wire.Frame {
	nextHi := p.Hops[i].Blocks.Hi
	if i+1 < len(p.Hops) {
		nextHi = p.Hops[i+1].Blocks.Hi
	}
	open := wire.Open{
		Model: p.Model, Soul: p.Soul,
		Lo: uint32(p.Hops[i].Blocks.Lo), Hi: uint32(p.Hops[i].Blocks.Hi), NextHi: uint32(nextHi),
		Hops: uint16(len(p.Hops)), Window: uint32(window),
		Previous: []byte(p.peer(i - 1)), Next: []byte(p.peer(i + 1)),
	}
	return wire.Frame{
		Header: wire.Header{Kind: wire.KindOpen, Session: p.ID, Epoch: epoch, Hop: uint16(i)},
		Body:   open.Append(nil),
	}
}

// number is how rows of the model cross the wire.
func number(c tcn.Config) wire.Number {
	if c.Boundary == tcn.BF16 {
		return wire.BF16
	}
	return wire.F32
}

// rowsPerFrame is how many rows fit a frame beside a full chain's timings.
func rowsPerFrame(c tcn.Config, chunk int) int {
	const timings = wire.HopsPerChain * 8
	if chunk <= 0 {
		chunk = wire.RowsPerFrame
	}
	fit := (wire.PayloadBytes - timings) / (c.DModel * number(c).Bytes())
	return max(1, min(chunk, fit, wire.RowsPerFrame))
}
