package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	ma "github.com/multiformats/go-multiaddr"
)

// ErrOptions says that a host cannot start with these options.
var ErrOptions = errors.New("invalid host options")

// ErrListen says that no address could be listened on, most often because another
// program has them.
var ErrListen = errors.New("cannot listen")

// Options say how a host listens and how it finds peers.
type Options struct {
	// Key is the identity, an Ed25519 key. Required.
	Key crypto.PrivKey
	// Listen are QUIC v1 addresses, "/ip4/127.0.0.1/udp/0/quic-v1"; port 0 picks a
	// free one. nil listens on a free port of every interface, IPv4 and IPv6.
	Listen []string
	// Announce are QUIC v1 addresses by which others reach this host and which it cannot
	// know itself: those of a router or a cloud that forward a port to it. They are
	// handed out beside those it listens on. At most AddressesPerPeer.
	Announce []string
	// Bootstrap are full addresses, ending in /p2p/<peer ID>, which are dialled
	// until connected for as long as the host lives. At most BootstrapPeers.
	Bootstrap []string
	// MDNS finds peers on the local network, by multicast.
	MDNS bool
	// DHT takes part in the DHT, which finds peers and content anywhere.
	DHT bool
	// DataDir is the folder of peers.json, held until Close: ErrInUse when another
	// host holds it. "" remembers no peers.
	DataDir string
	// Relay offers to relay control traffic of peers behind NATs and to test whether
	// others can be reached. For bootstrap peers.
	Relay bool
	// RelayRows has Relay carry rows too, without a limit on bytes or time: for peers
	// that no direct connection can join.
	RelayRows bool
	// Logger receives what the host does; nil is slog.Default.
	Logger *slog.Logger

	dialable func(ma.Multiaddr) bool // addresses that may be dialled; nil is all
}

// Host is this node's presence on the network: its identity, connections and ways
// of finding peers. Its methods may be called from any goroutine.
type Host struct {
	host      host.Host
	key       crypto.PrivKey
	dataDir   string       // "" keeps nothing
	dht       *dht.IpfsDHT // nil without Options.DHT
	mdns      mdns.Service // nil without Options.MDNS
	log       *slog.Logger
	known     *knownPeers
	unlock    func() error // lets go of the data folder
	records   peerRecords
	observed  time.Time // when the address was last observed anew; of followAddress
	bootstrap []peer.AddrInfo

	ready    chan struct{}      // closed when host is set
	found    chan peer.AddrInfo // discovered peers waiting to be dialled
	incoming chan Incoming      // accepted stage streams

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wait   sync.WaitGroup
	close  func() error // runs once

	gossipOnce func() (*pubsub.PubSub, error) // starts gossip at the first Join
}

// New starts a host: it listens, dials its bootstrap and known peers in the
// background and answers others until Close. A bootstrap peer that does not answer
// does not stop it. ctx ends the host early when it is cancelled before New returns.
func New(ctx context.Context, o Options) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Key == nil || o.Key.Type() != pb.KeyType_Ed25519 {
		return nil, fmt.Errorf("%w: %w", ErrOptions, ErrKeyType)
	}
	if len(o.Bootstrap) > BootstrapPeers {
		return nil, fmt.Errorf("%w: %d bootstrap addresses, at most %d", ErrOptions, len(o.Bootstrap), BootstrapPeers)
	}
	bootstrap, err := parsePeers(o.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("%w: bootstrap %w", ErrOptions, err)
	}
	for _, info := range bootstrap {
		if i := slices.IndexFunc(info.Addrs, undialable); i >= 0 {
			return nil, fmt.Errorf("%w: bootstrap address %q is not QUIC v1", ErrOptions, info.Addrs[i])
		}
	}
	if o.Listen == nil {
		o.Listen = listenAnywhere
	}
	listen, err := parseListen(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: listen %w", ErrOptions, err)
	}
	announce, err := parseListen(o.Announce)
	if err != nil {
		return nil, fmt.Errorf("%w: announce %w", ErrOptions, err)
	}
	if len(announce) > AddressesPerPeer {
		return nil, fmt.Errorf("%w: %d addresses to announce, at most %d", ErrOptions, len(announce), AddressesPerPeer)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	unlock, err := lockFolder(o.DataDir, o.Logger)
	if err != nil {
		return nil, err
	}
	known, err := loadKnownPeers(o.DataDir)
	if err != nil {
		o.Logger.Warn("starting without known peers", "error", err)
	}
	h := &Host{
		key:       o.Key,
		dataDir:   o.DataDir,
		log:       o.Logger,
		known:     known,
		unlock:    unlock,
		bootstrap: bootstrap,
		ready:     make(chan struct{}),
		found:     make(chan peer.AddrInfo, DiscoveredBacklog),
		incoming:  make(chan Incoming, StageBacklog),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.close = sync.OnceValue(h.shutDown)
	h.gossipOnce = sync.OnceValues(h.startGossip)
	if err := h.start(o, listen, announce); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// listenAnywhere is a free port of every interface.
var listenAnywhere = []string{"/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"}

// parseListen parses addresses to listen on, all QUIC v1.
func parseListen(addrs []string) ([]ma.Multiaddr, error) {
	var parsed []ma.Multiaddr
	for _, s := range addrs {
		addr, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", s, err)
		}
		if _, err := addr.ValueForProtocol(ma.P_QUIC_V1); err != nil || !isOurTransport(addr) {
			return nil, fmt.Errorf("address %q is not QUIC v1", s)
		}
		parsed = append(parsed, addr)
	}
	return parsed, nil
}

// start brings up the parts in the order in which they need one another.
func (h *Host) start(o Options, listen, announce []ma.Multiaddr) error {
	quietQUIC()
	options, err := h.libp2pOptions(o, announce)
	if err != nil {
		return err
	}
	if h.host, err = libp2p.New(options...); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	close(h.ready)
	// Listening is not left to libp2p.New, which leaks the host when it fails.
	if err := h.host.Network().Listen(listen...); err != nil {
		return fmt.Errorf("%w: %w", ErrListen, err)
	}
	h.host.SetStreamHandler(StageProtocol, h.acceptStage)
	h.host.Network().Notify(&network.NotifyBundle{ConnectedF: h.cleanUp})
	if o.DHT {
		if h.dht, err = newDHT(h.host, func() []peer.AddrInfo { return h.bootstrap }); err != nil {
			return err
		}
	}
	if err := h.remember(); err != nil {
		return err
	}
	if err := h.followAddress(); err != nil {
		return err
	}
	if o.MDNS {
		h.startMDNS()
	}
	h.startDialling()
	return nil
}

// libp2pOptions names every part of the libp2p host on purpose: its defaults
// include transports that we leave out.
func (h *Host) libp2pOptions(o Options, announce []ma.Multiaddr) ([]libp2p.Option, error) {
	resources, err := newResourceManager()
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	connections, err := connmgr.NewConnManager(ConnectionsLow, ConnectionsHigh, connmgr.WithGracePeriod(ConnectionGrace))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connection manager: %w", err), resources.Close())
	}
	options := []libp2p.Option{
		libp2p.Identity(o.Key),
		libp2p.Transport(quic.NewTransport),
		libp2p.NoListenAddrs,
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connections),
		libp2p.ConnectionGater(&gater{dialable: o.dialable}),
		libp2p.UserAgent("zetagrid"),
		libp2p.ProtocolVersion("zetagrid/1"),
		libp2p.Ping(true),
		libp2p.EnableRelay(),
		libp2p.EnableHolePunching(),
		libp2p.AddrsFactory(func(own []ma.Multiaddr) []ma.Multiaddr {
			return ma.Unique(slices.Concat(announce, own))
		}),
		libp2p.DisableMetrics(), // they would label series by peer
	}
	if o.Relay {
		resources := relay.DefaultResources()
		resources.MaxReservationsPerIP = ConnectionsPerIP4 // a site behind one NAT
		service := []relay.Option{relay.WithResources(resources)}
		if o.RelayRows {
			service = append(service, relay.WithInfiniteLimits())
		}
		return append(options,
			libp2p.EnableRelayService(service...),
			libp2p.ForceReachabilityPublic(),
			libp2p.EnableNATService(),
		), nil
	}
	return append(options, libp2p.EnableAutoRelayWithPeerSource(h.relays,
		// A grid may have one bootstrap peer: libp2p would wait minutes for more, and
		// an hour before it asked one again that was away.
		autorelay.WithMinCandidates(1),
		autorelay.WithMinInterval(relaySearchEvery),
		autorelay.WithBackoff(relaySearchEvery),
	)), nil
}

// relays offers connected peers that relay, up to n of them, for when this node
// finds that it cannot be reached directly.
func (h *Host) relays(ctx context.Context, n int) <-chan peer.AddrInfo {
	candidates := make(chan peer.AddrInfo)
	h.wait.Go(func() {
		defer close(candidates)
		select {
		case <-h.ready: // libp2p may ask before New has the host in hand
		case <-h.ctx.Done():
			return
		}
		for _, p := range h.host.Network().Peers() {
			if n <= 0 {
				return
			}
			if !speaks(h, p, proto.ProtoIDv2Hop) {
				continue
			}
			select {
			case candidates <- h.host.Peerstore().PeerInfo(p):
				n--
			case <-ctx.Done():
				return
			case <-h.ctx.Done():
				return
			}
		}
	})
	return candidates
}

var _ autorelay.PeerSource = (*Host)(nil).relays

// quietQUIC keeps quic-go from writing to the program's standard error that the
// system's receive buffers are small: it would break the output of commands, and
// `zetagrid doctor` is where such things belong.
var quietQUIC = sync.OnceFunc(func() {
	const name = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"
	if _, set := os.LookupEnv(name); !set {
		_ = os.Setenv(name, "true") // failing only costs a line of noise
	}
})

// ID is the peer ID, the same over restarts with the same key.
func (h *Host) ID() peer.ID { return h.host.ID() }

// Addrs are the full addresses by which others may reach this host, each ending in
// /p2p/<peer ID>.
func (h *Host) Addrs() []string {
	full, err := peer.AddrInfoToP2pAddrs(host.InfoFromHost(h.host))
	if err != nil {
		return nil // the ID of a running host always prints
	}
	addrs := make([]string, len(full))
	for i, a := range full {
		addrs[i] = a.String()
	}
	return addrs
}

// Host is the libp2p host, for packages that speak protocols of their own on it.
func (h *Host) Host() host.Host { return h.host }

// Routing finds who provides content. It is nil without Options.DHT.
func (h *Host) Routing() routing.ContentRouting {
	if h.dht == nil {
		return nil
	}
	return h.dht
}

// Connected says whether p can be reached without dialling, directly or relayed.
func (h *Host) Connected(p peer.ID) bool {
	switch h.host.Network().Connectedness(p) {
	case network.Connected, network.Limited:
		return true
	}
	return false
}

// Direct says whether a connection that may carry rows leads to p, so that p can be
// a hop: a direct one, or one through a relay without limits.
func (h *Host) Direct(p peer.ID) bool {
	return h.host.Network().Connectedness(p) == network.Connected
}

// Close stops everything the host started and waits for it. Later calls return
// what the first did.
func (h *Host) Close() error { return h.close() }

func (h *Host) shutDown() error {
	h.cancel()
	var errs []error
	if h.mdns != nil {
		errs = append(errs, h.mdns.Close())
	}
	if h.dht != nil {
		errs = append(errs, h.dht.Close())
	}
	if h.host != nil {
		errs = append(errs, h.host.Close())
	}
	h.wait.Wait()
	h.drainIncoming()
	errs = append(errs, h.known.save(), h.unlock())
	return errors.Join(errs...)
}
