package p2p

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
)

const (
	// punchPatience is how long a peer that was connected directly may be connected
	// through a relay only: longer than the attempts to punch a hole take.
	punchPatience = 20 * time.Second
	// observeEvery is how often, at most, a host has its address observed anew.
	observeEvery = time.Minute
)

// followAddress has the host's public address observed anew when it seems to be
// another one. QUIC connections to peers that can be reached outlive a change of
// address, and with them what those peers said of it when they were made; holes are
// then punched from an address that is gone. What shows it is a peer that was once
// connected directly, and now through a relay only.
func (h *Host) followAddress() error {
	changes, err := h.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.Name("zetagrid/moved"))
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	h.wait.Go(func() {
		defer func() { _ = changes.Close() }() // it only fails when closed twice
		direct := map[peer.ID]struct{}{}       // peers that were connected directly; at most Connections
		relayed := map[peer.ID]time.Time{}     // those of them that are not now, since when
		look := time.NewTicker(punchPatience / 4)
		defer look.Stop()
		for {
			select {
			case e, ok := <-changes.Out():
				if !ok {
					return
				}
				change := e.(event.EvtPeerConnectednessChanged)
				_, known := direct[change.Peer]
				switch {
				case change.Connectedness == network.Connected:
					if !known && len(direct) == Connections {
						for gone := range direct { // any one: most are gone for good
							delete(direct, gone)
							delete(relayed, gone)
							break
						}
					}
					direct[change.Peer] = struct{}{}
					delete(relayed, change.Peer)
				case change.Connectedness == network.Limited && known:
					relayed[change.Peer] = time.Now()
				default:
					delete(relayed, change.Peer)
				}
			case <-look.C:
				for p, since := range relayed {
					if time.Since(since) > punchPatience {
						delete(direct, p) // once for each time that it was direct
						delete(relayed, p)
						h.observeAnew(p)
						break
					}
				}
			case <-h.ctx.Done():
				return
			}
		}
	})
	return nil
}

// observeAnew hangs up on the relays, which are dialled again soon and then say under
// which address they see this host, and on p, to which a hole is punched anew when it
// is next found through a relay.
func (h *Host) observeAnew(p peer.ID) {
	if time.Since(h.observed) < observeEvery {
		return
	}
	h.observed = time.Now()
	h.log.Info("only a relay leads to a peer that was connected directly; asking for this host's address anew", "peer", p)
	for _, relay := range h.host.Network().Peers() {
		if speaks(h, relay, proto.ProtoIDv2Hop) {
			_ = h.host.Network().ClosePeer(relay) // one that is gone needs no hanging up
		}
	}
	_ = h.host.Network().ClosePeer(p)
}
