package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
)

// loopback is where every test listens.
var loopback = []string{"/ip4/127.0.0.1/udp/0/quic-v1"}

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// startHost starts a host on loopback that dials nothing but loopback.
func startHost(t testing.TB, o Options) *Host {
	t.Helper()
	if o.Key == nil {
		o.Key = newKey(t)
	}
	if o.Listen == nil {
		o.Listen = loopback
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.dialable = manet.IsIPLoopback
	h, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

// testWait is how long a test waits for what must come, also on a machine that
// others load; it only bounds failure.
const testWait = 3 * time.Minute

// awaitConnected blocks until h is connected to p.
func awaitConnected(t testing.TB, h *Host, p peer.ID) {
	t.Helper()
	changes, err := h.Host().EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = changes.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	for h.Host().Network().Connectedness(p) != network.Connected {
		select {
		case <-changes.Out():
		case <-ctx.Done():
			t.Fatalf("%s never connected to %s", h.ID(), p)
		}
	}
}

func TestBootstrapAlone(t *testing.T) {
	a := startHost(t, Options{})
	start := time.Now()
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	awaitConnected(t, b, a.ID())
	t.Logf("connected %v after start", time.Since(start))
}

func TestStage(t *testing.T) {
	a := startHost(t, Options{})
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	awaitConnected(t, b, a.ID())
	s, err := b.Dial(t.Context(), a.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Reset() }()
	if _, err := s.Write([]byte("row")); err != nil {
		t.Fatal(err)
	}
	in := <-a.Accept()
	if in.Peer != b.ID() || in.Stream.Peer() != b.ID() || s.Peer() != a.ID() {
		t.Fatalf("stream from %s, want %s", in.Peer, b.ID())
	}
	buf := make([]byte, 8)
	n, err := in.Stream.Read(buf)
	if err != nil || string(buf[:n]) != "row" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	if err := in.Stream.Reset(); err != nil {
		t.Fatal(err)
	}
}

// What is announced is handed out beside what is listened on.
func TestAnnounce(t *testing.T) {
	const outside = "/ip4/192.0.2.1/udp/4001/quic-v1"
	h := startHost(t, Options{Announce: []string{outside}})
	addrs := h.Addrs()
	if len(addrs) != 2 || !slices.Contains(addrs, outside+"/p2p/"+h.ID().String()) {
		t.Fatalf("addresses %v", addrs)
	}
	for name, announce := range map[string][]string{
		"not QUIC": {"/ip4/192.0.2.1/tcp/4001"},
		"nonsense": {"192.0.2.1:4001"},
		"too many": slices.Repeat([]string{outside}, AddressesPerPeer+1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), Options{Key: newKey(t), Listen: loopback, Announce: announce})
			if !errors.Is(err, ErrOptions) {
				t.Fatal(err)
			}
		})
	}
}
