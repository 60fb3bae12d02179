package p2p

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/zetagrid/zetagrid/shardmap"
)

// Through a relay peers exchange claims, and no stage stream.
func TestRelayCarriesControlOnly(t *testing.T) {
	_, a, b := throughRelay(t, Options{Relay: true})
	if !b.Connected(a.ID()) || b.Direct(a.ID()) {
		t.Fatalf("connectedness %v", b.Host().Network().Connectedness(a.ID()))
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // no hole can be punched here
	defer cancel()
	if _, err := b.Dial(short, a.ID()); !errors.Is(err, ErrNotDirect) {
		t.Fatalf("stage stream through a relay: %v", err)
	}
	// A peer that does not play by the rules is refused at the other end.
	s, err := b.Host().NewStream(network.WithAllowLimitedConn(t.Context(), "test"), a.ID(), StageProtocol)
	if err != nil {
		t.Fatal(err)
	}
	// In time: the relay itself resets the stream after two minutes.
	if err := s.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, writeErr := s.Write([]byte("row"))
	_, readErr := s.Read(make([]byte, 1))
	if !errors.Is(errors.Join(writeErr, readErr), network.ErrReset) {
		t.Fatalf("stage stream accepted through a relay: %v, %v", writeErr, readErr)
	}
	ma := join(t, a)
	mb := join(t, b, shardmap.Range{Lo: 0, Hi: 6})
	if err := mb.openExchange(t.Context(), a.ID()); err != nil {
		t.Fatal(err)
	}
	await(t, ma, "hears the claim", func() bool { return len(ma.View()) == 2 })
}

// Through a relay without limits rows go, both ways.
func TestRelayOfRows(t *testing.T) {
	_, a, b := throughRelay(t, Options{Relay: true, RelayRows: true})
	if !b.Direct(a.ID()) {
		t.Fatalf("connectedness %v", b.Host().Network().Connectedness(a.ID()))
	}
	s, err := b.Dial(t.Context(), a.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("row")); err != nil {
		t.Fatal(err)
	}
	in := <-a.Accept()
	got := make([]byte, 3)
	if _, err := io.ReadFull(in.Stream, got); err != nil || string(got) != "row" || in.Peer != b.ID() {
		t.Fatalf("%q from %s: %v", got, in.Peer, err)
	}
	if err := errors.Join(in.Stream.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// A host whose address seems to be another one hangs up on the peer that it lost, and
// comes back to its relay.
func TestObserveAnew(t *testing.T) {
	relay, a, b := throughRelay(t, Options{Relay: true})
	toRelay := b.Host().Network().ConnsToPeer(relay.ID())
	b.observeAnew(a.ID())
	if b.Connected(a.ID()) {
		t.Fatal("still connected to the peer that was lost")
	}
	for _, c := range toRelay {
		if !c.IsClosed() {
			t.Fatal("still asks by the old connection to the relay")
		}
	}
	awaitConnected(t, b, relay.ID())
	again := b.observed
	b.observeAnew(relay.ID())
	if b.observed != again {
		t.Fatal("hung up twice in a minute")
	}
}

// throughRelay starts a relay with options, and two hosts that it connects.
func throughRelay(t *testing.T, o Options) (relay, a, b *Host) {
	t.Helper()
	relay = startHost(t, o)
	a = startHost(t, Options{Bootstrap: relay.Addrs()})
	b = startHost(t, Options{Bootstrap: relay.Addrs()})
	awaitConnected(t, a, relay.ID())
	awaitConnected(t, b, relay.ID())
	if _, err := client.Reserve(t.Context(), a.Host(), peer.AddrInfo{ID: relay.ID(), Addrs: relay.Host().Addrs()}); err != nil {
		t.Fatal(err)
	}
	through := ma.StringCast(relay.Addrs()[0] + "/p2p-circuit")
	if err := b.Host().Connect(network.WithAllowLimitedConn(t.Context(), "test"), peer.AddrInfo{ID: a.ID(), Addrs: []ma.Multiaddr{through}}); err != nil {
		t.Fatal(err)
	}
	return relay, a, b
}
