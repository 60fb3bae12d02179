package p2p

import (
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// loopbacks are exempt from limits per address: whoever can use them is already on
// this machine, and a rig of many nodes is built there.
var loopbacks = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128"),
}

// newResourceManager enforces the limits of limits.go on every connection, stream
// and buffer of a host.
func newResourceManager() (network.ResourceManager, error) {
	exempt4 := []rcmgr.NetworkPrefixLimit{{Network: loopbacks[0], ConnCount: math.MaxInt}}
	exempt6 := []rcmgr.NetworkPrefixLimit{{Network: loopbacks[1], ConnCount: math.MaxInt}}
	perAddress := rate.Limit{RPS: ConnectionRatePerIP, Burst: ConnectionBurstPerIP}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(resourceLimits()),
		rcmgr.WithNetworkPrefixLimit(exempt4, exempt6),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: ConnectionsPerIP4}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: ConnectionsPerIP6Net}},
		),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: loopbacks[0]}, {Prefix: loopbacks[1]}},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perAddress}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: perAddress}},
				GracePeriod:      time.Minute,
			},
		}),
		rcmgr.WithMetricsDisabled(),
	)
}

// resourceLimits are libp2p's base limits for its own services, not scaled to the
// machine, under ours for the host, for a peer and for our protocols.
func resourceLimits() rcmgr.ConcreteLimitConfig {
	services := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&services)
	host := rcmgr.ResourceLimits{
		Conns: Connections, ConnsInbound: Connections / 2, ConnsOutbound: Connections / 2,
		Streams: Streams, StreamsInbound: Streams / 2, StreamsOutbound: Streams / 2,
		Memory: HostMemory,
	}
	ours := rcmgr.PartialLimitConfig{
		System:            host,
		AllowlistedSystem: host,
		PeerDefault: rcmgr.ResourceLimits{
			Conns: ConnectionsPerPeer, ConnsInbound: ConnectionsPerPeer, ConnsOutbound: ConnectionsPerPeer,
			Streams: 2 * StreamsPerPeer, StreamsInbound: StreamsPerPeer, StreamsOutbound: StreamsPerPeer,
			Memory: PeerMemory,
		},
		Protocol: map[protocol.ID]rcmgr.ResourceLimits{
			StageProtocol: bothWays(StageStreams, HostMemory/2),
		},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{
			StageProtocol: bothWays(StageStreamsPerPeer, PeerMemory/2),
		},
		Service: map[string]rcmgr.ResourceLimits{
			exchangeService: bothWays(ExchangeStreams, 2*ExchangeStreams*ExchangeMemory),
		},
		ServicePeer: map[string]rcmgr.ResourceLimits{
			exchangeService: bothWays(ExchangeStreamsPerPeer, 2*ExchangeStreamsPerPeer*ExchangeMemory),
		},
	}
	return ours.Build(services.Scale(0, 0))
}

// bothWays allows n streams in and n out.
func bothWays(n rcmgr.LimitVal, memory rcmgr.LimitVal64) rcmgr.ResourceLimits {
	return rcmgr.ResourceLimits{Streams: 2 * n, StreamsInbound: n, StreamsOutbound: n, Memory: memory}
}
