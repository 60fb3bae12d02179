package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// StageProtocol carries frames between the hops of a chain. What is inside is the
// business of node/wire.
const StageProtocol protocol.ID = "/zetagrid/stage/1.0.0"

// holePunchTime is how long Dial waits for a relayed connection to become direct.
const holePunchTime = 3 * time.Second

// ErrNotDirect says that only a relay with limits leads to a peer, which carries
// control only; such a peer is no hop. Its text travels to the gateway, where nothing
// but the text is known, so it says what to do.
var ErrNotDirect = errors.New("only a relay without rows leads there, no hole could be punched: forward a UDP port, or bootstrap --relay-rows (docs/network.md)")

// Stream is one stream of the stage protocol to a peer. One goroutine may read
// while another writes; Close, CloseWrite, Reset and the deadlines may be called
// from any. A Write is sent at once, whatever its size, so a frame should be one
// Write.
type Stream interface {
	io.ReadWriteCloser
	// CloseWrite tells the peer that no more will come; reading goes on.
	CloseWrite() error
	// Reset drops the stream both ways, with what is still in flight.
	Reset() error
	// SetDeadline bounds reads and writes; the zero time removes the bound.
	SetDeadline(time.Time) error
	// SetReadDeadline bounds reads only.
	SetReadDeadline(time.Time) error
	// SetWriteDeadline bounds writes only.
	SetWriteDeadline(time.Time) error
	// Peer is the authenticated peer at the other end.
	Peer() peer.ID
}

// Incoming is a stage stream that a peer opened to us.
type Incoming struct {
	Peer   peer.ID
	Stream Stream
}

// stageStream is a libp2p stream with the peer's name on it.
type stageStream struct{ network.Stream }

// Peer is the authenticated peer at the other end.
func (s stageStream) Peer() peer.ID { return s.Conn().RemotePeer() }

// Dial opens a stage stream to p over a direct connection, which it makes when
// there is none and p's addresses are known, or through a relay without limits. With
// a connection at hand it costs no round trip: the protocol's name travels with the
// first Write.
//
// It fails with ErrNotDirect when only a relay with limits leads to p, and with
// libp2p's network.ErrResourceLimitExceeded past StageStreamsPerPeer.
func (h *Host) Dial(ctx context.Context, p peer.ID) (Stream, error) {
	if err := h.findAddresses(ctx, p); err != nil {
		return nil, fmt.Errorf("stage stream to %s: %w", p, err)
	}
	if h.host.Network().Connectedness(p) == network.Limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, holePunchTime)
		defer cancel()
	}
	s, err := h.host.NewStream(ctx, p, StageProtocol)
	if err != nil && h.host.Network().Connectedness(p) == network.Limited {
		h.log.Debug("no stage stream through a relay", "peer", p, "error", err)
		return nil, fmt.Errorf("stage stream to %s: %w", p, ErrNotDirect)
	}
	if err != nil {
		return nil, fmt.Errorf("stage stream to %s: %w", p, err)
	}
	if s.Conn().Stat().Limited {
		return nil, errors.Join(fmt.Errorf("stage stream to %s: %w", p, ErrNotDirect), s.Reset())
	}
	return stageStream{s}, nil
}

// findAddresses asks the DHT where p is, when p is not connected and nobody said.
func (h *Host) findAddresses(ctx context.Context, p peer.ID) error {
	if h.dht == nil || h.Connected(p) || len(h.host.Peerstore().Addrs(p)) > 0 {
		return nil
	}
	info, err := h.dht.FindPeer(ctx, p)
	if err != nil {
		return fmt.Errorf("no address known: %w", err)
	}
	h.host.Peerstore().AddAddrs(p, info.Addrs, peerstore.TempAddrTTL)
	return nil
}

// Accept yields the stage streams that peers open, in order of arrival. It is one
// channel for the host's life and is not closed; whoever takes a stream owns it.
// Streams that nobody takes are reset when StageBacklog of them wait, and at Close.
func (h *Host) Accept() <-chan Incoming { return h.incoming }

// acceptStage queues a stream for Accept, or resets it.
func (h *Host) acceptStage(s network.Stream) {
	if s.Conn().Stat().Limited || h.ctx.Err() != nil {
		_ = s.Reset() // the peer learns nothing more from an error here
		return
	}
	in := Incoming{Peer: s.Conn().RemotePeer(), Stream: stageStream{s}}
	select {
	case h.incoming <- in:
	default:
		h.log.Debug("stage stream refused, too many wait", "peer", in.Peer)
		_ = s.Reset()
	}
}

// drainIncoming resets the streams that nobody took.
func (h *Host) drainIncoming() {
	for {
		select {
		case in := <-h.incoming:
			_ = in.Stream.Reset()
		default:
			return
		}
	}
}
