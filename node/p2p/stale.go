package p2p

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multistream"
)

// answerTime is how long a connection may take to answer when its peer has come
// by another one. A process that stalls that long is late on both.
const answerTime = 3 * time.Second

// cleanUp asks, when a peer connects once more, whether its earlier connections
// still lead to it. They do not after a crash: the peer is back, but QUIC keeps
// the connection of the process that died for half a minute, and libp2p, which
// prefers the one with more streams, would go on talking into it.
func (h *Host) cleanUp(n network.Network, latest network.Conn) {
	for _, earlier := range n.ConnsToPeer(latest.RemotePeer()) {
		if earlier.ID() == latest.ID() {
			continue
		}
		h.wait.Go(func() {
			if h.answers(earlier) || !h.answers(latest) {
				return
			}
			h.log.Debug("closing a connection to a peer that came back by another", "peer", earlier.RemotePeer())
			_ = earlier.Close() // it is dead
		})
	}
}

// answers says whether the other end of c says anything within answerTime.
func (h *Host) answers(c network.Conn) bool {
	ctx, cancel := context.WithTimeout(h.ctx, answerTime)
	defer cancel()
	s, err := c.NewStream(network.WithAllowLimitedConn(ctx, "does it still lead there"))
	if err != nil {
		return ctx.Err() == nil // closed, or no room for a stream: no sign of death
	}
	defer func() { _ = s.Reset() }()                           // it has served
	defer context.AfterFunc(h.ctx, func() { _ = s.Reset() })() // Close does not wait for it
	_ = s.SetDeadline(time.Now().Add(answerTime))              // a stream of QUIC has deadlines
	// Any answer will do, a refusal too.
	return !errors.Is(multistream.SelectProtoOrFail(ping.ID, s), os.ErrDeadlineExceeded)
}
