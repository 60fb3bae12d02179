package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/zetagrid/zetagrid/node/p2p"
)

// dialPatience bounds one dial, and one probe: longer is as good as never.
const dialPatience = 10 * time.Second

func deadline() time.Time { return time.Now().Add(dialPatience) }

// dial is how one address of a peer went.
type dial struct {
	Address   string  `json:"address"`
	Transport string  `json:"transport"` // quic-v1, relay, …
	Outcome   outcome `json:"outcome"`
	Reason    string  `json:"reason"` // of a failure; else what answered
}

// dialBootstrap dials each address from a host with a fresh key, so that it
// works beside a running node. seen is how the peers see this machine.
func dialBootstrap(ctx context.Context, addrs, listen []string) (dials []dial, seen *sightings, err error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	h, err := p2p.New(ctx, p2p.Options{Key: key, Listen: listen, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, &remedy{err, "allow UDP for this program in the firewall, and check --listen"}
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	identified, err := h.Host().EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = identified.Close() }() // it only fails when closed twice
	seen = &sightings{own: ownAddresses(h.Host())}
	for _, addr := range addrs {
		dials = append(dials, dialOne(ctx, h.Host(), addr)...)
		seen.hear(identified)
		seen.askBack(ctx, h.Host())
		forget(h.Host())
	}
	return dials, seen, nil
}

// dialOne dials a peer at the given address and reports on each address tried:
// a DNS name may stand for several.
func dialOne(ctx context.Context, h host.Host, addr string) []dial {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return []dial{{addr, "", outcomeFail, fmt.Sprintf("not a multiaddr ending in /p2p/PEER: %v", err)}}
	}
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "doctor"), dialPatience)
	defer cancel()
	began := time.Now()
	if err := h.Connect(ctx, *info); err != nil {
		return failures(addr, err)
	}
	answered := fmt.Sprintf("answered in %v", time.Since(began).Round(time.Millisecond))
	// What identify learned: the program, and which protocol version it speaks.
	for _, about := range []struct{ key, says string }{{"AgentVersion", "runs"}, {"ProtocolVersion", "speaks"}} {
		if value, err := h.Peerstore().Get(info.ID, about.key); err == nil {
			answered += fmt.Sprintf(", %s %v", about.says, value)
		}
	}
	var dials []dial
	for _, conn := range h.Network().ConnsToPeer(info.ID) {
		remote := conn.RemoteMultiaddr()
		dials = append(dials, dial{remote.String(), transportOf(remote), outcomeOK, answered})
	}
	return dials
}

// failures lists what went wrong, address by address where libp2p says so.
func failures(addr string, err error) []dial {
	var failed *swarm.DialError
	if !errors.As(err, &failed) || len(failed.DialErrors) == 0 {
		return []dial{{addr, transportOfText(addr), outcomeFail, reasonOf(err)}}
	}
	var dials []dial
	for _, e := range failed.DialErrors {
		dials = append(dials, dial{e.Address.String(), transportOf(e.Address), outcomeFail, reasonOf(e.Cause)})
	}
	return dials
}

// reasonOf is an error in one line, with what it usually means.
func reasonOf(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	switch {
	case errors.Is(err, context.DeadlineExceeded) || strings.Contains(text, "timeout"):
		return text + " (no answer: wrong address, or a firewall drops UDP)"
	case strings.Contains(text, "peer id mismatch"):
		return text + " (another peer lives there now)"
	case strings.Contains(text, "no transport"):
		return text + " (only /udp/PORT/quic-v1 is spoken)"
	}
	return text
}

func transportOfText(addr string) string {
	m, err := ma.NewMultiaddr(addr)
	if err != nil {
		return ""
	}
	return transportOf(m)
}

// transportOf is how an address is reached: the last protocol that is neither a
// peer nor a certificate.
func transportOf(addr ma.Multiaddr) string {
	name := ""
	for _, p := range addr.Protocols() {
		switch p.Code {
		case ma.P_CIRCUIT:
			return "relay"
		case ma.P_P2P, ma.P_CERTHASH:
		default:
			name = p.Name
		}
	}
	return name
}

// summary is the check of all dials together.
func summary(dials []dial) check {
	reached := 0
	for _, d := range dials {
		if d.Outcome == outcomeOK {
			reached++
		}
	}
	switch reached {
	case 0:
		return fail("bootstrap", "see the reasons below", fmt.Errorf("0 of %d addresses answer", len(dials)))
	case len(dials):
		return ok("bootstrap", "%d of %d addresses answer", reached, len(dials))
	}
	return warn("bootstrap", "see the reasons below", "%d of %d addresses answer", reached, len(dials))
}
