package node

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
)

// chainOf starts n nodes that know one another and makes the first route its
// prompts over all of them.
func chainOf(t testing.TB, dir string, c tcn.Config, n int) []*Node {
	t.Helper()
	var nodes []*Node
	var hops []session.Hop
	for i := range n {
		o := Options{Model: dir, Blocks: []tcn.Range{{Lo: i * c.Blocks() / n, Hi: (i + 1) * c.Blocks() / n}}}
		for _, other := range nodes {
			o.Bootstrap = append(o.Bootstrap, other.Addrs()...)
		}
		node := startNode(t, o)
		nodes = append(nodes, node)
		hops = append(hops, session.Hop{Peer: node.links.self, Blocks: o.Blocks[0]})
	}
	for _, node := range nodes {
		waitReady(t, node)
		waitCovered(t, node)
	}
	nodes[0].gateways.route = func([]string) ([]session.Hop, error) { return hops, nil }
	return nodes
}

// patience bounds the waiting for what must happen, also on a machine that others
// load.
const patience = 3 * time.Minute

// eventually polls until what holds, for things that end in their own time.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatal("not " + what)
		}
	}
}

// TestNothingOutlivesACanceledPrompt cancels prompts at several moments and
// waits for every session, stream and goroutine of theirs to be gone.
func TestNothingOutlivesACanceledPrompt(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	nodes := chainOf(t, dir, sixBlocks, 3)
	r := session.Request{Prompt: []byte("to be canceled"), MaxBytes: 1 << 20, LogProbs: -1}
	if _, err := answer(t.Context(), nodes[0], prompts(1, 4, 0)[0]); err != nil { // warm up
		t.Fatal(err)
	}
	quiet := func() bool {
		for _, n := range nodes {
			if n.hops.openSessions() != 0 || n.gateways.active() != 0 || n.hops.reserved() != 0 {
				return false
			}
		}
		return stageGoroutines() == len(nodes) // one accept loop each
	}
	eventually(t, "quiet before", quiet)
	for _, bytesRead := range []int{0, 1, 10} {
		ctx, cancel := context.WithCancel(t.Context())
		var open []*Generation
		for range 4 {
			g, err := nodes[0].Generate(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, g)
		}
		for range bytesRead {
			for _, g := range open {
				if _, err := g.Next(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cancel()
		for _, g := range open {
			for {
				if _, err := g.Next(); err != nil {
					break
				}
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
		eventually(t, "quiet after a cancel", quiet)
	}
}

// stageGoroutines counts the goroutines that serve streams, sessions or
// generations.
func stageGoroutines() int {
	buffer := make([]byte, 4<<20)
	count := 0
	for _, stack := range strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		for _, name := range []string{"node.(*Node).serve", "node.(*hopSession)", "node.(*Generation)", "node.(*links).accept", "node.(*gateways)"} {
			if strings.Contains(stack, name+"(") || strings.Contains(stack, name+".") {
				count++
				break
			}
		}
	}
	return count
}

// TestLostHopEndsThePrompt closes a hop in the middle of an answer: the caller
// gets a typed error, and what it has is a true prefix.
func TestLostHopEndsThePrompt(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	nodes := chainOf(t, dir, sixBlocks, 3)
	r := prompts(1, 1<<16, 0.8)[0]
	g, err := nodes[0].Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close() //nolint:errcheck // always nil
	var got []byte
	for range 20 {
		piece, err := g.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, piece.Byte)
	}
	closed := make(chan error, 1)
	go func() { closed <- nodes[1].Close() }()
	for {
		piece, err := g.Next()
		if err != nil {
			t.Log(err)
			break
		}
		got = append(got, piece.Byte)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	short := r
	short.MaxBytes = min(len(got), 400)
	if want := reference(t, dir, short); string(got[:short.MaxBytes]) != want {
		t.Errorf("what was emitted is no true prefix")
	}
}
