// Package bootstrap is a peer that helps others to find one another: it answers
// questions of the DHT, relays control traffic of peers behind NATs and tells them
// whether they can be reached. It belongs to no grid: it holds no Genome, joins no
// gossip and serves no stage.
//
// Laws:
//
//  1. It can hide peers from a newcomer, never forge them: claims are signed.
//  2. A grid that is connected goes on without it.
//
// Limits: those of package p2p for connections, streams, memory and provider
// records; relayed circuits carry 128 KiB and 2 minutes at most, 16 per peer
// relayed for, 128 reservations in all, 16 of one address. With
// Options.RelayRows circuits carry any amount for any time.
package bootstrap

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/zetagrid/zetagrid/node/p2p"
)

// Options say where a bootstrap peer lives.
type Options struct {
	// Data is the folder of the identity and the known peers, created when missing.
	// Required: others name this peer by its identity.
	Data string
	// Listen are QUIC v1 addresses; nil is a free port on every interface.
	Listen []string
	// Announce are QUIC v1 addresses that lead here from outside, such as a cloud's
	// public address of a machine that only sees a private one.
	Announce []string
	// Bootstrap are full addresses of other bootstrap peers to stay connected to.
	Bootstrap []string
	// RelayRows carries rows too, not only control, between peers that no direct
	// connection joins: all that they compute, without a limit.
	RelayRows bool
	// Logger receives what the peer does; nil is slog.Default.
	Logger *slog.Logger
}

// Peer is a running bootstrap peer.
type Peer struct{ host *p2p.Host }

// Run starts a bootstrap peer, which runs until Close.
func Run(ctx context.Context, o Options) (*Peer, error) {
	if o.Data == "" {
		return nil, fmt.Errorf("bootstrap: %w: no data folder", p2p.ErrOptions)
	}
	key, err := p2p.LoadKey(o.Data)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	host, err := p2p.New(ctx, p2p.Options{
		Key:       key,
		Listen:    o.Listen,
		Announce:  o.Announce,
		Bootstrap: o.Bootstrap,
		DHT:       true,
		DataDir:   o.Data,
		Relay:     true,
		RelayRows: o.RelayRows,
		Logger:    o.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return &Peer{host}, nil
}

// ID is the peer ID, the same over restarts with the same data folder.
func (p *Peer) ID() string { return p.host.ID().String() }

// Addrs are the full addresses to hand to others, each ending in /p2p/<peer ID>.
func (p *Peer) Addrs() []string { return p.host.Addrs() }

// Close stops the peer and waits for everything it started.
func (p *Peer) Close() error { return p.host.Close() }
