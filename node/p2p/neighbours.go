package p2p

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"golang.org/x/sync/errgroup"

	"github.com/zetagrid/zetagrid/shardmap"
)

const (
	// healEvery is how often the map is compared with one neighbour, so that a claim
	// that gossip lost arrives all the same.
	healEvery = 3 * time.Second
	// measureEvery is how often round trips to the neighbours are measured, and
	// pingTime how long one may take.
	measureEvery = 5 * time.Second
	pingTime     = 2 * time.Second
	pingsAtOnce  = 8
	// gridWeight keeps neighbours of the grid when connections are trimmed.
	gridWeight = 50
)

func (m *Membership) subscribe() (event.Subscription, error) {
	return m.host.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtLocalAddressesUpdated),
	}, eventbus.Name("zetagrid/neighbours"), eventbus.BufSize(256))
}

// watch runs an exchange with each peer of the grid as it appears, which it does by
// connecting or by joining after, and tells the map who went.
func (m *Membership) watch(events event.Subscription) {
	defer func() { _ = events.Close() }() // it only fails when closed twice
	for _, p := range m.connectedGridPeers() {
		m.greet(p) // connected before we joined
	}
	for {
		select {
		case e, ok := <-events.Out():
			if !ok {
				return
			}
			m.notice(e)
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *Membership) notice(e any) {
	switch e := e.(type) {
	case event.EvtPeerIdentificationCompleted:
		signal(m.kick)
		if slices.Contains(e.Protocols, m.protocol) {
			m.greet(e.Peer)
		}
	case event.EvtPeerProtocolsUpdated:
		if slices.Contains(e.Added, m.protocol) {
			m.greet(e.Peer)
		}
		if slices.Contains(e.Removed, m.protocol) {
			m.host.host.ConnManager().UntagPeer(e.Peer, string(m.protocol))
		}
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness == network.NotConnected {
			m.Do(shardmap.Gone{Node: NodeOf(e.Peer)})
		}
	case event.EvtLocalAddressesUpdated:
		signal(m.moved)
	}
}

// tellAtOnce is how many neighbours are told something at a time.
const tellAtOnce = 32

// Tell hands the neighbours this node's latest claim, and returns when all of them
// have it, are gone, or ctx has ended: gossip alone may be lost with a host that
// closes. Whoever is too busy is told again.
func (m *Membership) Tell(ctx context.Context) {
	var told errgroup.Group
	told.SetLimit(tellAtOnce)
	for _, p := range m.connectedGridPeers() {
		told.Go(func() error {
			_, err := backoff.Retry(ctx, func() (struct{}, error) {
				err := m.openExchange(ctx, p)
				if m.host.host.Network().Connectedness(p) == network.NotConnected {
					err = nil // nobody is left to be told
				}
				return struct{}{}, err
			}, backoff.WithBackOff(tellAgain()), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, _ time.Duration) {
				m.log.Debug("not told yet", "peer", p, "error", err)
			}))
			if err != nil {
				m.log.Debug("not told", "peer", p, "error", err)
			}
			return nil
		})
	}
	_ = told.Wait() // there are no errors
}

// tellAgain is how long to wait for a busy neighbour: exchanges take milliseconds.
func tellAgain() backoff.BackOff {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = 10 * time.Millisecond
	return pauses
}

// belongs marks a connected peer as one of this grid, whatever it has said of
// itself so far.
func (m *Membership) belongs(p peer.ID) {
	m.host.host.ConnManager().TagPeer(p, string(m.protocol), gridWeight)
}

// greet compares maps with a new neighbour and measures the way to it.
func (m *Membership) greet(p peer.ID) {
	m.belongs(p)
	m.wait.Go(func() {
		if err := m.openExchange(m.ctx, p); err != nil {
			m.log.Debug("no exchange with a new neighbour", "error", err)
		}
		m.ping(p)
	})
}

// heal compares maps with a random neighbour every few seconds.
func (m *Membership) heal() {
	for sleep(m.ctx, jitter(healEvery)) {
		peers := m.connectedGridPeers()
		if len(peers) == 0 {
			continue
		}
		if err := m.openExchange(m.ctx, peers[rand.IntN(len(peers))]); err != nil {
			m.log.Debug("no exchange with a neighbour", "error", err)
		}
	}
}

// measure pings the neighbours, a few at once so that a dead one delays few.
func (m *Membership) measure() {
	for sleep(m.ctx, jitter(measureEvery)) {
		var pings errgroup.Group
		pings.SetLimit(pingsAtOnce)
		for _, p := range m.connectedGridPeers() {
			pings.Go(func() error { m.ping(p); return nil })
		}
		_ = pings.Wait() // a ping reports nothing
	}
}

// ping measures one round trip to p and tells the map.
func (m *Membership) ping(p peer.ID) {
	ctx, cancel := context.WithTimeout(m.ctx, pingTime)
	defer cancel()
	result, ok := <-ping.Ping(ctx, m.host.host, p)
	if !ok || result.Error != nil || result.RTT <= 0 {
		return
	}
	m.Do(shardmap.Measured{Node: NodeOf(p), RoundTripMicros: max(1, result.RTT.Microseconds())})
}

// connectedGridPeers are the connected peers that joined this grid too: they say
// that they speak its protocol, or have spoken it.
func (m *Membership) connectedGridPeers() []peer.ID {
	h := m.host.host
	return slices.DeleteFunc(h.Network().Peers(), func(p peer.ID) bool {
		tags := h.ConnManager().GetTagInfo(p)
		return (tags == nil || tags.Tags[string(m.protocol)] == 0) && !speaks(m.host, p, m.protocol)
	})
}

// gridPeers counts them.
func (m *Membership) gridPeers() int { return len(m.connectedGridPeers()) }

// speaks says whether p told us that it speaks a protocol.
func speaks(h *Host, p peer.ID, id protocol.ID) bool {
	spoken, err := h.host.Peerstore().SupportsProtocols(p, id)
	return err == nil && len(spoken) > 0
}

// jitter spreads d over ±20 %, so that nodes started together do not act together.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}
