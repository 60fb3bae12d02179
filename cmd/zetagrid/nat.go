package main

import (
	"context"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	ma "github.com/multiformats/go-multiaddr"
)

// natClass is what stands between this machine and those who want to connect to it.
type natClass string

const (
	natUnknown   natClass = "unknown"   // nobody tried to connect
	natPublic    natClass = "public"    // others can connect
	natFirewall  natClass = "firewall"  // seen under its own address, but others cannot connect
	natCone      natClass = "cone"      // behind a NAT that shows one address to everybody
	natSymmetric natClass = "symmetric" // behind a NAT that shows each peer another
	natPrivate   natClass = "private"   // behind a NAT; one sighting does not tell which
)

// sighting is one peer's word on where this machine's datagrams come from.
type sighting struct {
	by string // address of the peer, /ip4/…/udp/…
	as string // where they come from, as it sees them
}

// sightings is what all peers asked say about this machine.
type sightings struct {
	own     []string // addresses of this machine, /ip4/…
	list    []sighting
	answers []bool // of those who tried to connect: whether they could
}

// class judges what was seen.
func (s *sightings) class() natClass {
	switch {
	case slices.Contains(s.answers, true):
		return natPublic
	case len(s.answers) == 0 || len(s.list) == 0:
		return natUnknown
	}
	seen := func(of func(sighting) string) []string {
		var all []string
		for _, one := range s.list {
			if family(one.as) == family(s.list[0].as) {
				all = append(all, of(one))
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	as, by := seen(func(o sighting) string { return o.as }), seen(func(o sighting) string { return o.by })
	switch {
	case slices.ContainsFunc(as, func(a string) bool { return slices.Contains(s.own, hostPart(a)) }):
		return natFirewall
	case len(as) > 1:
		return natSymmetric
	case len(by) > 1:
		return natCone
	}
	return natPrivate
}

// check says what the class means and what to do.
func (s *sightings) check() check {
	const forward = "forward a UDP port to this machine and name it with --listen and --announce (docs/network.md)"
	var as []string
	for _, one := range s.list {
		as = append(as, one.as)
	}
	slices.Sort(as)
	where := strings.Join(slices.Compact(as), ", ")
	switch s.class() {
	case natPublic:
		return ok("NAT", "peers can connect to this machine, at %s", where)
	case natFirewall:
		return warn("NAT", "allow incoming UDP to the port of --listen",
			"no NAT, but a firewall: peers see %s and cannot connect to it", where)
	case natCone:
		return warn("NAT", forward+" to be reached by all",
			"behind a NAT that shows all peers %s; holes can be punched to peers behind the same kind", where)
	case natSymmetric:
		return warn("NAT", forward+"; as it is, peers behind NATs are no hops of this one",
			"behind a NAT that shows each peer another address (%s); no holes can be punched", where)
	case natPrivate:
		return warn("NAT", "name another --bootstrap, or a second port of it, to learn which kind; or "+forward,
			"behind a NAT of unknown kind, seen as %s", where)
	}
	return warn("NAT", "name a peer that runs zetagrid bootstrap with --bootstrap", "no peer tried to connect to this machine")
}

// hear takes what the peers that were just dialled say about this machine.
func (s *sightings) hear(identified event.Subscription) {
	for {
		select {
		case e := <-identified.Out():
			id := e.(event.EvtPeerIdentificationCompleted)
			by, as := socketPart(id.Conn.RemoteMultiaddr()), socketPart(id.ObservedAddr)
			if by != "" && as != "" {
				s.list = append(s.list, sighting{by, as})
			}
		default:
			return
		}
	}
}

// askBack asks the connected peers to connect to this machine. Peers that do not
// offer to, or have been asked too often, say nothing about it.
func (s *sightings) askBack(ctx context.Context, h host.Host) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialPatience)
	defer cancel()
	for _, p := range h.Network().Peers() {
		switch err := autonat.NewAutoNATClient(h, nil, nil).DialBack(ctx, p); {
		case err == nil:
			s.answers = append(s.answers, true)
		case autonat.IsDialError(err):
			s.answers = append(s.answers, false)
		}
	}
}

// forget hangs up on everybody, so that another address of the same peer is really
// dialled.
func forget(h host.Host) {
	for _, p := range h.Network().Peers() {
		_ = h.Network().ClosePeer(p) // whoever is gone already is forgotten too
		h.Peerstore().ClearAddrs(p)
	}
}

// ownAddresses are the addresses of this machine's interfaces, /ip4/….
func ownAddresses(h host.Host) []string {
	addrs, err := h.Network().InterfaceListenAddresses()
	if err != nil {
		return nil // then no peer sees this machine under one
	}
	var own []string
	for _, a := range addrs {
		own = append(own, hostPart(a.String()))
	}
	return own
}

// socketPart is the host and port of an address, "" of one that is relayed or has
// none.
func socketPart(a ma.Multiaddr) string {
	if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil || len(a) < 2 || a[1].Code() != ma.P_UDP {
		return ""
	}
	return a[:2].String()
}

// hostPart is the beginning of an address, /ip4/192.0.2.1, and family of that, ip4.
func hostPart(addr string) string { return strings.Join(strings.SplitN(addr, "/", 4)[:3], "/") }
func family(addr string) string   { return strings.SplitN(addr, "/", 3)[1] }
