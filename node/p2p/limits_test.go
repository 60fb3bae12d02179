package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pubsubpb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/zetagrid/zetagrid/shardmap"
)

// Only Ed25519 identities, only QUIC v1 and relays.
func TestGater(t *testing.T) {
	good := peerOf(t, newKey(t))
	g := &gater{}
	for name, generate := range map[string]func() (crypto.PrivKey, crypto.PubKey, error){
		"RSA":       func() (crypto.PrivKey, crypto.PubKey, error) { return crypto.GenerateRSAKeyPair(2048, rand.Reader) },
		"secp256k1": func() (crypto.PrivKey, crypto.PubKey, error) { return crypto.GenerateSecp256k1Key(rand.Reader) },
		"ECDSA":     func() (crypto.PrivKey, crypto.PubKey, error) { return crypto.GenerateECDSAKeyPair(rand.Reader) },
	} {
		key, _, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		id := peerOf(t, key)
		if g.InterceptPeerDial(id) || g.InterceptSecured(network.DirInbound, id, nil) {
			t.Errorf("%s admitted", name)
		}
	}
	if !g.InterceptPeerDial(good) || !g.InterceptSecured(network.DirInbound, good, nil) {
		t.Error("Ed25519 refused")
	}
	for addr, want := range map[string]bool{
		"/ip4/1.2.3.4/udp/1/quic-v1": true,
		"/ip6/::1/udp/1/quic-v1":     true,
		"/ip4/1.2.3.4/udp/1/quic-v1/p2p/" + good.String() + "/p2p-circuit": true,
		"/ip4/1.2.3.4/udp/1/quic-v1/webtransport":                          false,
		"/ip4/1.2.3.4/udp/1/webrtc-direct":                                 false,
		"/ip4/1.2.3.4/tcp/1":                                               false,
		"/ip4/1.2.3.4/tcp/1/ws":                                            false,
		"/ip4/1.2.3.4/tcp/1/p2p/" + good.String() + "/p2p-circuit":         false,
	} {
		if got := g.InterceptAddrDial(good, ma.StringCast(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}

// A host listens and dials on QUIC v1 alone.
func TestTransports(t *testing.T) {
	h := startHost(t, Options{})
	for _, addr := range h.Addrs() {
		if !strings.Contains(addr, "/quic-v1/p2p/") {
			t.Errorf("listens on %s", addr)
		}
	}
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0", "/p2p-circuit", "127.0.0.1:0"} {
		if _, err := New(t.Context(), Options{Key: newKey(t), Listen: []string{listen}}); !errors.Is(err, ErrOptions) {
			t.Errorf("listens on %s: %v", listen, err)
		}
	}
	taken, _, _ := strings.Cut(h.Addrs()[0], "/p2p/")
	if _, err := New(t.Context(), Options{Key: newKey(t), Listen: []string{taken}}); err == nil {
		t.Error("listens on a port that is taken")
	}
}

// The DHT has the filter, the validator and the prefix that its constructor leaves
// to us, and keeps no values.
func TestDHTIsOurs(t *testing.T) {
	h := startHost(t, Options{DHT: true})
	if _, ours := h.dht.Validator.(refuseValues); !ours {
		t.Errorf("validator is %T", h.dht.Validator)
	}
	if err := h.dht.Validator.Validate("/pk/x", nil); !errors.Is(err, errNoValues) {
		t.Errorf("a value record: %v", err)
	}
	if _, err := h.dht.Validator.Select("/pk/x", [][]byte{nil}); !errors.Is(err, errNoValues) {
		t.Errorf("a choice of value records: %v", err)
	}
	if h.dht.GetRoutingTableDiversityStats() == nil {
		t.Error("no diversity filter")
	}
	var ids []string
	for _, id := range h.Host().Mux().Protocols() {
		ids = append(ids, string(id))
	}
	if list := strings.Join(ids, " "); !strings.Contains(list, "/zetagrid/kad/1.0.0") || strings.Contains(list, "/ipfs/kad") {
		t.Errorf("protocols %s", list)
	}
	if startHost(t, Options{}).Routing() != nil {
		t.Error("routing without a DHT")
	}
}

// The table takes TablePeersPerIPGroup peers of a network and not one more; private
// networks and loopback without bound.
func TestDiversityFilter(t *testing.T) {
	for ip, limit := range map[string]int{
		"1.2.3.4": BucketPeersPerIPGroup, "127.0.0.1": 100, "10.1.2.3": 100, "192.168.1.1": 100,
	} {
		f := newDiversityFilter(startHost(t, Options{}).Host())
		group := peerdiversity.PeerGroupInfo{Cpl: 3, IPGroupKey: peerdiversity.IPGroupKey(net.ParseIP(ip))}
		admitted := 0
		for range 100 {
			if f.Allow(group) {
				admitted++
				f.Increment(group)
			}
		}
		if admitted != limit {
			t.Errorf("%s: %d in a bucket, want %d", ip, admitted, limit)
		}
		for cpl := range 100 {
			group.Cpl = cpl
			if f.Allow(group) {
				admitted++
				f.Increment(group)
			}
		}
		if limit < 100 && admitted != TablePeersPerIPGroup {
			t.Errorf("%s: %d in the table, want %d", ip, admitted, TablePeersPerIPGroup)
		}
	}
	for addr, want := range map[string]string{
		"/ip6/::1/udp/1/quic-v1": "/ip4/127.0.0.1", "/ip6/fd00::1/udp/1/quic-v1": "/ip4/10.0.0.1",
		"/ip6/fe80::1/udp/1/quic-v1": "/ip4/10.0.0.1", "/ip6/2001:db8::1/udp/1/quic-v1": "/ip6/2001:db8::1/udp/1/quic-v1",
	} {
		if got := localIPv6AsIPv4(ma.StringCast(addr)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}

// The store of provider records holds its limit and not one more.
func TestBoundedStore(t *testing.T) {
	const limit = 10
	store := newBoundedStore(limit)
	put := func(i int) {
		if err := store.Put(t.Context(), ds.NewKey(fmt.Sprint(i)), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	held := func() (n int) {
		for i := range limit + 2 {
			if ok, err := store.Has(t.Context(), ds.NewKey(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			} else if ok {
				n++
			}
		}
		return n
	}
	for i := range limit {
		put(i)
	}
	put(0) // once more the same
	if n := held(); n != limit {
		t.Fatalf("%d records, want %d", n, limit)
	}
	put(limit)
	if ok, err := store.Has(t.Context(), ds.NewKey(fmt.Sprint(limit))); err != nil || !ok || held() != limit {
		t.Fatalf("%d records after one more, the new one held: %v, %v", held(), ok, err)
	}
	batch, err := store.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(batch.Put(t.Context(), ds.NewKey(fmt.Sprint(limit+1)), nil), batch.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	if held() != limit {
		t.Fatalf("%d records after a batch", held())
	}
}

// Streams of the stage protocol with one peer are bounded, also on loopback, where
// addresses are not.
func TestStageStreamLimit(t *testing.T) {
	a := startHost(t, Options{})
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	awaitConnected(t, b, a.ID())
	for i := range StageStreamsPerPeer {
		if _, err := b.Dial(t.Context(), a.ID()); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	_, err := b.Dial(t.Context(), a.ID())
	if !errors.Is(err, network.ErrResourceLimitExceeded) {
		t.Fatalf("stream %d: %v", StageStreamsPerPeer, err)
	}
}

// Every limit of ours reaches the resource manager.
func TestResourceLimits(t *testing.T) {
	limits := resourceLimits().ToPartialLimitConfig()
	if limits.System.Conns != Connections || limits.System.Streams != Streams || limits.System.Memory != HostMemory {
		t.Errorf("host: %+v", limits.System)
	}
	if limits.PeerDefault.Conns != ConnectionsPerPeer || limits.PeerDefault.StreamsInbound != StreamsPerPeer || limits.PeerDefault.Memory != PeerMemory {
		t.Errorf("peer: %+v", limits.PeerDefault)
	}
	if l := limits.Protocol[StageProtocol]; l.StreamsInbound != StageStreams {
		t.Errorf("stage: %+v", l)
	}
	if l := limits.ServicePeer[exchangeService]; l.StreamsInbound != ExchangeStreamsPerPeer {
		t.Errorf("exchange: %+v", l)
	}
}

// The gate passes ClaimsPerNode claims of a node and ClaimNodes nodes a second.
func TestClaimGate(t *testing.T) {
	g := &claimGate{}
	for i := range ClaimsPerNode + 1 {
		if got, want := g.admit("a", 1), i < ClaimsPerNode; got != want {
			t.Fatalf("claim %d: %v", i, got)
		}
	}
	if !g.admit("a", 2) {
		t.Fatal("nothing in the next second")
	}
	for i := range ClaimNodes {
		if got, want := g.admit(shardmap.NodeID(fmt.Sprint(i)), 2), i < ClaimNodes-1; got != want {
			t.Fatalf("node %d: %v", i+1, got)
		}
	}
}

// The topic's validator accepts a sealed claim of the Genome and nothing else.
func TestClaimValidator(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claim := shardmap.Claim{
		Node: shardmap.NodeOf(public), Genome: "genome", Incarnation: 1, Sequence: 1,
		State: shardmap.Serving, Arithmetic: 1, Lease: shardmap.LeaseLeast,
	}
	sealed, err := claim.Seal(private)
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte(nil), sealed...)
	forged[len(forged)-1]++
	for name, c := range map[string]struct {
		genome string
		data   []byte
		want   pubsub.ValidationResult
	}{
		"sealed":         {"genome", sealed, pubsub.ValidationAccept},
		"another Genome": {"other", sealed, pubsub.ValidationReject},
		"forged":         {"genome", forged, pubsub.ValidationReject},
		"cut short":      {"genome", sealed[:40], pubsub.ValidationReject},
		"too long":       {"genome", make([]byte, shardmap.ClaimBytes+1), pubsub.ValidationReject},
		"empty":          {"genome", nil, pubsub.ValidationReject},
	} {
		g := &claimGate{genome: c.genome}
		m := &pubsub.Message{Message: &pubsubpb.Message{Data: c.data}}
		if got := g.validate(context.Background(), "", m); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A record that is too long is not kept, and the records of peers that left make
// room.
func TestPeerRecordsKept(t *testing.T) {
	var r peerRecords
	nobodyGone := func(peer.ID) bool { return false }
	r.keep("a", make([]byte, PeerRecordBytes), nobodyGone)
	r.keep("b", make([]byte, PeerRecordBytes+1), nobodyGone)
	if r.of("a") == nil || r.of("b") != nil {
		t.Fatal("the limit is elsewhere")
	}
	for i := range Connections {
		r.keep(peer.ID(fmt.Sprint(i)), []byte("x"), func(p peer.ID) bool { return p == "a" })
	}
	if r.of("a") != nil || len(r.sealed) != Connections {
		t.Fatalf("%d records", len(r.sealed))
	}
}

func TestGridProtocol(t *testing.T) {
	for id, want := range map[protocol.ID]bool{
		StageProtocol: true, "/zetagrid/kad/1.0.0": true, "/zetagridx/1": false, "/ipfs/ping/1.0.0": false,
	} {
		if isGridProtocol(id) != want {
			t.Errorf("%s: %v", id, !want)
		}
	}
}
