package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multihash"

	"github.com/zetagrid/zetagrid/shardmap"
)

// testGrid is a grid of six blocks. The same test in another process, whose hosts
// multicast too, is no part of it.
var testGrid = Grid{Genome: testGenome(fmt.Sprint("genome of process ", os.Getpid())), Blocks: 6, Arithmetic: 1}

func testGenome(name string) cid.Cid {
	sum, err := multihash.Sum([]byte(name), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagJSON, sum)
}

// join joins the test grid and owns ranges, all of them loaded at once.
func join(t testing.TB, h *Host, ranges ...shardmap.Range) *Membership {
	t.Helper()
	m, err := h.Join(t.Context(), testGrid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close membership: %v", err)
		}
	})
	m.Do(shardmap.Pin{Ranges: ranges})
	m.Do(shardmap.Loaded{Ranges: ranges})
	return m
}

// await blocks until the map of m satisfies ok, looking after each claim heard.
func await(t testing.TB, m *Membership, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	for {
		changed := m.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("node %s never: %s", NodeOf(m.host.ID()), what)
		}
	}
}

// awaitRoute blocks until m finds a chain of the given hops.
func awaitRoute(t testing.TB, m *Membership, want []shardmap.Hop) {
	t.Helper()
	await(t, m, "routes over all blocks", func() bool {
		hops, err := m.Route(nil)
		if err != nil && !errors.Is(err, shardmap.ErrUncovered) {
			t.Fatal(err)
		}
		return err == nil && len(hops) == len(want)
	})
	hops, err := m.Route(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if hops[i] != want[i] {
			t.Fatalf("hop %d is %v, want %v", i, hops[i], want[i])
		}
	}
}

// threeJoin lets three hosts own two blocks each and waits until each finds the
// chain.
func threeJoin(t *testing.T, hosts []*Host, begun time.Time) []*Membership {
	t.Helper()
	var members []*Membership
	var chain []shardmap.Hop
	for i, h := range hosts {
		r := shardmap.Range{Lo: 2 * i, Hi: 2*i + 2}
		members = append(members, join(t, h, r))
		chain = append(chain, shardmap.Hop{Node: NodeOf(h.ID()), Range: r})
	}
	for _, m := range members {
		awaitRoute(t, m, chain)
	}
	t.Logf("three nodes find the chain %v after the first started", time.Since(begun).Round(time.Millisecond))
	for _, m := range members {
		if seen := m.View(); len(seen) != 3 {
			t.Fatalf("%d claims in the map, want 3", len(seen))
		}
		for block, owners := range m.Coverage() {
			if owners != 1 {
				t.Fatalf("block %d has %d owners", block, owners)
			}
		}
	}
	return members
}

// The nodes know one of them by its address and nothing else.
func TestGridByBootstrapAlone(t *testing.T) {
	begun := time.Now()
	first := startHost(t, Options{})
	hosts := []*Host{first}
	for range 2 {
		hosts = append(hosts, startHost(t, Options{Bootstrap: first.Addrs()}))
	}
	threeJoin(t, hosts, begun)
	// The exchange told the second and the third of one another.
	awaitConnected(t, hosts[1], hosts[2].ID())
}

// The nodes know a peer that is in no grid, and ask the DHT.
func TestGridByDHTAlone(t *testing.T) {
	bootstrap := startHost(t, Options{DHT: true, Relay: true})
	begun := time.Now()
	var hosts []*Host
	for range 3 {
		hosts = append(hosts, startHost(t, Options{DHT: true, Bootstrap: bootstrap.Addrs()}))
	}
	threeJoin(t, hosts, begun)
}

// The nodes know nobody and find each other by multicast.
func TestGridByMDNSAlone(t *testing.T) {
	if why := noMulticast(); why != "" {
		t.Skip(why)
	}
	begun := time.Now()
	var hosts []*Host
	for range 3 {
		hosts = append(hosts, startHost(t, Options{MDNS: true}))
	}
	threeJoin(t, hosts, begun)
}

// noMulticast says why this machine cannot find peers by multicast, or nothing.
func noMulticast() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err.Error()
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 {
			if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
				return ""
			}
		}
	}
	return "no network interface that is up can do multicast"
}

// A claim that changes is heard by gossip.
func TestClaimsTravel(t *testing.T) {
	a := startHost(t, Options{})
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	ma := join(t, a, shardmap.Range{Lo: 0, Hi: 3})
	mb := join(t, b)
	await(t, mb, "hears the first claim", func() bool { return len(mb.View()) == 2 })
	begun := time.Now()
	ma.Do(shardmap.Pin{Ranges: []shardmap.Range{{Lo: 0, Hi: 6}}})
	ma.Do(shardmap.Loaded{Ranges: []shardmap.Range{{Lo: 0, Hi: 6}}})
	awaitRoute(t, mb, []shardmap.Hop{{Node: NodeOf(a.ID()), Range: shardmap.Range{Lo: 0, Hi: 6}}})
	t.Logf("new blocks are routable after %v", time.Since(begun).Round(time.Millisecond))
}

// Who was told has the claim, without waiting for gossip.
func TestTell(t *testing.T) {
	a := startHost(t, Options{})
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	ma := join(t, a, shardmap.Range{Lo: 0, Hi: 6})
	mb := join(t, b)
	awaitRoute(t, mb, []shardmap.Hop{{Node: NodeOf(a.ID()), Range: shardmap.Range{Lo: 0, Hi: 6}}})
	ma.Do(shardmap.Drain{})
	ma.Tell(t.Context())
	for _, seen := range mb.View() {
		if seen.Claim.Node == NodeOf(a.ID()) && seen.Claim.State != shardmap.Draining {
			t.Errorf("the other is still %v", seen.Claim.State)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ma.Tell(ended) // does not wait
}

// logged calls itself for each line of a log.
type logged func(message string)

func (logged) Enabled(context.Context, slog.Level) bool        { return true }
func (l logged) Handle(_ context.Context, r slog.Record) error { l(r.Message); return nil }
func (l logged) WithAttrs([]slog.Attr) slog.Handler            { return l }
func (l logged) WithGroup(string) slog.Handler                 { return l }

// Who has no room for an exchange now is told when it has.
func TestTellTheBusy(t *testing.T) {
	busy := make(chan struct{}, 1)
	a := startHost(t, Options{Logger: slog.New(logged(func(message string) {
		if message == "not told yet" {
			signal(busy)
		}
	}))})
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	ma := join(t, a, shardmap.Range{Lo: 0, Hi: 6})
	mb := join(t, b)
	awaitRoute(t, mb, []shardmap.Hop{{Node: NodeOf(a.ID()), Range: shardmap.Range{Lo: 0, Hi: 6}}})
	var taken []network.Stream
	for len(taken) < ExchangeStreamsPerPeer {
		s, err := a.Host().NewStream(t.Context(), b.ID(), ma.protocol)
		if err != nil {
			t.Fatal(err)
		}
		if s.Scope().SetService(exchangeService) != nil {
			_ = s.Reset() // an exchange of its own is under way
			continue
		}
		taken = append(taken, s)
	}
	ma.Do(shardmap.Drain{})
	var told sync.WaitGroup
	told.Go(func() { ma.Tell(t.Context()) })
	<-busy
	for _, s := range taken {
		_ = s.Reset()
	}
	told.Wait()
	if claim := claimOf(mb, a); claim.State != shardmap.Draining {
		t.Errorf("the other is still %v", claim.State)
	}
}

// claimOf is what m knows of a host.
func claimOf(m *Membership, h *Host) shardmap.Claim {
	for _, seen := range m.View() {
		if seen.Claim.Node == NodeOf(h.ID()) {
			return seen.Claim
		}
	}
	return shardmap.Claim{}
}

// Effects of the node's own ranges reach the daemon, and the channel ends.
func TestEffects(t *testing.T) {
	h := startHost(t, Options{})
	m, err := h.Join(t.Context(), testGrid)
	if err != nil {
		t.Fatal(err)
	}
	want := shardmap.Range{Lo: 1, Hi: 4}
	m.Do(shardmap.Pin{Ranges: []shardmap.Range{want}})
	for effect := range m.Effects() {
		if load, ok := effect.(shardmap.Load); ok {
			if load.Range != want {
				t.Fatalf("load %v, want %v", load.Range, want)
			}
			break
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for range m.Effects() { // closed, so this ends
	}
	if _, err := h.Join(t.Context(), testGrid); err != nil {
		t.Fatalf("joining again: %v", err)
	}
}

// Too much news of others is dropped, what concerns this node is not.
func TestEffectsBacklog(t *testing.T) {
	m := &Membership{queued: make(chan struct{}, 1)}
	for range EffectsBacklog + 1 {
		m.enqueue(shardmap.Joined{})
	}
	if len(m.queue) != EffectsBacklog {
		t.Fatalf("%d effects wait, want %d", len(m.queue), EffectsBacklog)
	}
	m.enqueue(shardmap.Load{})
	if len(m.queue) != EffectsBacklog+1 {
		t.Fatal("a load was dropped")
	}
}

func TestJoinRefuses(t *testing.T) {
	h := startHost(t, Options{})
	if _, err := h.Join(t.Context(), Grid{Blocks: 1, Arithmetic: 1}); !errors.Is(err, ErrOptions) {
		t.Errorf("no Genome: %v", err)
	}
	if _, err := h.Join(t.Context(), Grid{Genome: testGenome("x"), Arithmetic: 1}); !errors.Is(err, shardmap.ErrOptions) {
		t.Errorf("no blocks: %v", err)
	}
}
