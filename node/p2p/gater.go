package p2p

import (
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater refuses peers and addresses before they cost anything: identities other
// than Ed25519, and addresses that are neither QUIC v1 nor relayed.
type gater struct {
	// dialable narrows the addresses we dial; nil allows all. Tests keep to this
	// machine with it.
	dialable func(ma.Multiaddr) bool
}

// InterceptPeerDial refuses to dial an identity that is not Ed25519.
func (g *gater) InterceptPeerDial(p peer.ID) bool { return isEd25519(p) }

// InterceptAddrDial refuses addresses of transports we do not speak.
func (g *gater) InterceptAddrDial(_ peer.ID, addr ma.Multiaddr) bool {
	return isOurTransport(addr) && (g.dialable == nil || g.dialable(addr))
}

// InterceptAccept lets the resource manager decide: nothing is known of the peer.
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses an identity that is not Ed25519 once it is proven.
func (g *gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return isEd25519(p)
}

// InterceptUpgraded has nothing to add to the checks before it.
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// isEd25519 says whether a peer ID carries an Ed25519 key, which is short enough
// to be inlined in the ID; any other kind is either hashed or of another type.
func isEd25519(p peer.ID) bool {
	key, err := p.ExtractPublicKey()
	return err == nil && key != nil && key.Type() == pb.KeyType_Ed25519
}

// undialable says that nothing we speak can come of an address: it is of another
// transport, and no name to be looked up either.
func undialable(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_DNSADDR)
	return err != nil && !isOurTransport(addr)
}

// isOurTransport accepts QUIC v1 and a relay reached over QUIC v1 (or one that
// only names a relay by its peer ID), and nothing on top of QUIC.
func isOurTransport(addr ma.Multiaddr) bool {
	var quic, relayed, other bool
	ma.ForEach(addr, func(c ma.Component) bool {
		switch c.Protocol().Code {
		case ma.P_QUIC_V1:
			quic = true
		case ma.P_CIRCUIT:
			relayed = true
		case ma.P_TCP, ma.P_QUIC, ma.P_WEBTRANSPORT, ma.P_WEBRTC, ma.P_WEBRTC_DIRECT, ma.P_WS, ma.P_WSS:
			other = true
		}
		return true
	})
	return !other && (quic || relayed)
}
