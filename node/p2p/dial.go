package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// mdnsService is what our nodes call themselves on the local network.
	mdnsService = "_zetagrid._udp"

	// A dial of an address where nobody listens takes QUIC its whole handshake
	// timeout to fail, so the first attempts are cut short and later ones are not.
	firstDialTimeout = time.Second
	lastDialTimeout  = 10 * time.Second

	// Pauses between attempts to reach a bootstrap peer, and between looks at
	// whether it is still connected.
	firstBootstrapPause = 250 * time.Millisecond
	lastBootstrapPause  = 30 * time.Second
	bootstrapWatch      = 5 * time.Second
	// bootstrapFailures in a row, some seconds, are worth a word to the user.
	bootstrapFailures = 3

	// relaySearchEvery is how often a node that cannot be reached looks for a relay
	// among its peers, and how long it leaves one alone that refused.
	relaySearchEvery = 10 * time.Second

	// knownAttempts is how often a known peer is tried after a start.
	knownAttempts = 3

	// savePeersEvery is how long news of a peer may wait to reach peers.json. The
	// first save comes at once, so that a kill soon after a start loses nothing.
	savePeersEvery = 10 * time.Second
)

// startDialling begins to look for peers: bootstrap peers for ever, known peers a
// few times, discovered ones once per discovery.
func (h *Host) startDialling() {
	for _, info := range h.bootstrap {
		h.wait.Go(func() { h.keepConnected(info) })
	}
	for range Dials {
		h.wait.Go(h.dialFound)
	}
	h.wait.Go(h.dialKnown)
}

// keepConnected dials a bootstrap peer whenever it is not connected.
func (h *Host) keepConnected(info peer.AddrInfo) {
	if info.ID == h.ID() {
		return // a peer may be handed a list with itself in it
	}
	h.host.ConnManager().Protect(info.ID, "bootstrap")
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstBootstrapPause, lastBootstrapPause
	timeout := firstDialTimeout
	failed := 0
	for {
		wait := bootstrapWatch
		if h.Connected(info.ID) {
			pause.Reset()
			timeout = firstDialTimeout
			failed = 0
		} else if err := h.connect(h.ctx, info, timeout); err != nil {
			level := slog.LevelDebug
			if failed++; failed == bootstrapFailures {
				level = slog.LevelWarn
			}
			h.log.Log(h.ctx, level, "bootstrap peer not reached yet", "peer", info.ID, "error", err)
			wait = pause.NextBackOff()
			timeout = min(2*timeout, lastDialTimeout)
		}
		if !sleep(h.ctx, wait) {
			return
		}
	}
}

// connect dials a peer, within timeout, unless it is connected. It forgets what
// libp2p remembers of failed dials: the pauses are ours.
func (h *Host) connect(ctx context.Context, info peer.AddrInfo, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID)
	}
	if err := h.host.Connect(ctx, info); err != nil {
		return fmt.Errorf("connect %s: %w", info.ID, err)
	}
	return nil
}

// dialKnown tries the peers of peers.json, the latest first, Dials at a time.
func (h *Host) dialKnown() {
	pause := firstDialTimeout
	for range knownAttempts {
		for _, info := range h.known.list() {
			if h.Connected(info.ID) || info.ID == h.ID() {
				continue
			}
			select {
			case h.found <- info:
			case <-h.ctx.Done():
				return
			}
		}
		if !sleep(h.ctx, pause) {
			return
		}
		pause *= 4
	}
}

// Discovered hands the host a peer that some other means found. It is dialled
// soon; when too many wait it is dropped, for discovery repeats.
func (h *Host) Discovered(info peer.AddrInfo) {
	if info.ID == h.ID() || h.Connected(info.ID) {
		return
	}
	select {
	case h.found <- info:
	default:
	}
}

// dialFound dials discovered peers one after the other.
func (h *Host) dialFound() {
	for {
		select {
		case info := <-h.found:
			if h.Connected(info.ID) {
				continue
			}
			if err := h.connect(h.ctx, info, lastDialTimeout/2); err != nil {
				h.log.Debug("discovered peer not reached", "peer", info.ID, "error", err)
			}
		case <-h.ctx.Done():
			return
		}
	}
}

// startMDNS announces this node on the local network and listens for others. A
// machine without multicast goes without.
func (h *Host) startMDNS() {
	service := mdns.NewMdnsService(h.host, mdnsService, notifee{h})
	if err := service.Start(); err != nil {
		h.log.Warn("no discovery on the local network", "error", err)
		return
	}
	h.mdns = service
}

// notifee hands peers that mDNS finds to the host.
type notifee struct{ *Host }

// HandlePeerFound takes a peer from the local network.
func (n notifee) HandlePeerFound(info peer.AddrInfo) { n.Discovered(info) }

// remember keeps peers.json up to date with the grid's peers as they are met.
func (h *Host) remember() error {
	met, err := h.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.Name("zetagrid/known"))
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	h.wait.Go(func() {
		defer func() { _ = met.Close() }() // it only fails when closed twice
		var due <-chan time.Time           // nil while nothing waits to be saved
		pause := time.Duration(0)
		for {
			select {
			case e, ok := <-met.Out():
				if !ok {
					return
				}
				if !h.meet(e.(event.EvtPeerIdentificationCompleted)) || due != nil {
					continue
				}
				due = time.After(pause)
				pause = savePeersEvery
			case <-due:
				due = nil
				if err := h.known.save(); err != nil {
					h.log.Warn("known peers not saved", "error", err)
				}
			case <-h.ctx.Done():
				h.meetRest(met)
				return
			}
		}
	})
	return nil
}

// meetRest remembers those met just before the host closed.
func (h *Host) meetRest(met event.Subscription) {
	for {
		select {
		case e, ok := <-met.Out():
			if !ok {
				return
			}
			h.meet(e.(event.EvtPeerIdentificationCompleted))
		default:
			return
		}
	}
}

// meet remembers a peer, and the addresses it signed, if it is one of ours and directly connected.
func (h *Host) meet(e event.EvtPeerIdentificationCompleted) bool {
	if e.Conn.Stat().Limited || !anyGridProtocol(e.Protocols) {
		return false
	}
	addrs := e.ListenAddrs
	if e.Conn.Stat().Direction == network.DirOutbound {
		// The address that just worked comes first.
		addrs = append([]ma.Multiaddr{e.Conn.RemoteMultiaddr()}, addrs...)
	}
	if e.SignedPeerRecord != nil {
		if sealed, err := e.SignedPeerRecord.Marshal(); err == nil {
			h.records.keep(e.Peer, sealed, func(p peer.ID) bool { return !h.Connected(p) })
		}
	}
	h.known.add(peer.AddrInfo{ID: e.Peer, Addrs: ma.Unique(addrs)})
	return true
}

func anyGridProtocol(ids []protocol.ID) bool {
	for _, id := range ids {
		if isGridProtocol(id) {
			return true
		}
	}
	return false
}

// sleep pauses for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
