package node

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/bootstrap"
	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/tcn"
)

// TestJoin starts one node with a model folder and three that know only its CID
// and one address; all must own blocks and give the one answer.
func TestJoin(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	first := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 0, Hi: 2}}})
	nodes := []*Node{first}
	block := first.library.blockBytes()
	var fetched atomic.Int64
	for range 3 {
		nodes = append(nodes, startNode(t, Options{
			Model: first.ModelCID(), Memory: 2 * block, Bootstrap: first.Addrs(),
			Progress: func(have, size int64) {
				if have == size {
					fetched.Add(1)
				}
			},
		}))
	}
	began := time.Now()
	for _, n := range nodes {
		waitReady(t, n)
	}
	if fetched.Load() < 3 {
		t.Errorf("%d nodes heard that their blocks are here, want 3", fetched.Load())
	}
	t.Logf("all ready after %v", time.Since(began).Round(time.Millisecond))
	for _, n := range nodes {
		waitCovered(t, n)
	}
	r := prompts(1, 16, 0.8)[0]
	want := reference(t, dir, r)
	for i, n := range nodes {
		if len(n.Blocks()) == 0 {
			t.Errorf("node %d owns nothing", i)
		}
		if got, err := answer(t.Context(), n, r); err != nil || got != want {
			t.Errorf("node %d: %q, want %q (%v)", i, got, want, err)
		}
	}
}

// waitCovered waits until n sees every block served.
func waitCovered(t testing.TB, n *Node) {
	t.Helper()
	events := n.Events(t.Context())
	for !n.Status().Covered {
		select {
		case <-events:
		case <-t.Context().Done():
			t.Fatalf("not covered: %+v", n.Status())
		}
	}
}

// TestGatewayWithoutBlocks: a node that owns nothing answers through others.
func TestGatewayWithoutBlocks(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	worker := startNode(t, Options{Model: dir, Blocks: []tcn.Range{sixBlocks.All()}})
	gateway := startNode(t, Options{Model: worker.ModelCID(), Memory: 0, Bootstrap: worker.Addrs()})
	waitReady(t, worker)
	waitReady(t, gateway)
	waitCovered(t, gateway)
	r := prompts(1, 16, 0)[0]
	want := reference(t, dir, r)
	if got, err := answer(t.Context(), gateway, r); err != nil || got != want {
		t.Errorf("%q, want %q (%v)", got, want, err)
	}
	if got := gateway.Blocks(); len(got) != 0 {
		t.Errorf("the gateway loaded %v", got)
	}
}

// TestDHTAlone: two nodes that know only a DHT bootstrap peer, which does no
// gossip, find each other and the model.
func TestDHTAlone(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	peer, err := bootstrap.Run(t.Context(), bootstrap.Options{Data: t.TempDir(), Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	first := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 0, Hi: 3}}, DHT: true, Bootstrap: peer.Addrs()})
	second := startNode(t, Options{Model: first.ModelCID(), Blocks: []tcn.Range{{Lo: 3, Hi: 6}}, DHT: true, Bootstrap: peer.Addrs()})
	for _, n := range []*Node{first, second} {
		waitReady(t, n)
		waitCovered(t, n)
	}
	r := prompts(1, 8, 0)[0]
	want := reference(t, dir, r)
	for _, n := range []*Node{first, second} {
		if got, err := answer(t.Context(), n, r); err != nil || got != want {
			t.Errorf("%q, want %q (%v)", got, want, err)
		}
	}
}

// TestRestartKeeps: a restart keeps the key, the tiles and the known peers.
func TestRestartKeeps(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	first := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 0, Hi: 3}}})
	data := t.TempDir()
	o := Options{Data: data, Model: first.ModelCID(), Blocks: []tcn.Range{{Lo: 3, Hi: 6}}, Bootstrap: first.Addrs()}
	second := startNode(t, o)
	waitReady(t, second)
	waitCovered(t, second)
	peer := second.Peer()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	tiles, err := filepath.Glob(filepath.Join(data, "content", "files", "*"))
	if err != nil || len(tiles) == 0 {
		t.Fatalf("no tiles kept: %v", err)
	}
	before := stampsOf(t, tiles)
	o.Bootstrap = nil // known peers must do
	second = startNode(t, o)
	waitReady(t, second)
	waitCovered(t, second)
	if second.Peer() != peer {
		t.Errorf("the key changed: %s, was %s", second.Peer(), peer)
	}
	if after := stampsOf(t, tiles); after != before {
		t.Errorf("tiles were written again: %s, were %s", after, before)
	}
}

func stampsOf(t *testing.T, paths []string) string {
	t.Helper()
	text := ""
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintln(info.Name(), info.ModTime())
	}
	return text
}

// TestUncoveredNamesTheBlocks: without a chain the error names what is missing.
func TestUncoveredNamesTheBlocks(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	n := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 1, Hi: 3}}})
	waitReady(t, n)
	_, err := answer(t.Context(), n, prompts(1, 1, 0)[0])
	if err == nil {
		t.Fatal("answered")
	}
	t.Log(err)
	if want := []api.Span{{0, 1}, {3, 6}}; fmt.Sprint(n.Status().Missing) != fmt.Sprint(want) {
		t.Errorf("missing %v, want %v", n.Status().Missing, want)
	}
}

// TestServesWithoutSeeder: nodes that are ready have all that a prompt needs, so
// the one they had it from may go.
func TestServesWithoutSeeder(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	seeder := startNode(t, Options{Model: dir, Memory: 0})
	low := startNode(t, Options{
		Model: seeder.ModelCID(), Blocks: []tcn.Range{{Lo: 0, Hi: 3}}, Bootstrap: seeder.Addrs(),
	})
	high := startNode(t, Options{
		Model: seeder.ModelCID(), Blocks: []tcn.Range{{Lo: 3, Hi: 6}}, Bootstrap: append(seeder.Addrs(), low.Addrs()...),
	})
	waitReady(t, low)
	waitReady(t, high)
	waitCovered(t, low)
	if err := seeder.Close(); err != nil {
		t.Fatal(err)
	}
	r := prompts(1, 16, 0)[0]
	want := reference(t, dir, r)
	if got, err := answer(t.Context(), low, r); err != nil || got != want {
		t.Errorf("%q, want %q (%v)", got, want, err)
	}
}
