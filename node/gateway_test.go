package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
)

// TestSlowCaller: a caller that leaves its bytes unread stops the generation
// where they would pile up, may ask for the usage meanwhile, and gets the one
// answer when it reads on.
func TestSlowCaller(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	n := startNode(t, Options{Model: dir, Offline: true})
	waitReady(t, n)
	r := prompts(1, piecesQueued+2*piecesPerLap, 0.8)[0]
	r.Stop = [][]byte{[]byte(strings.Repeat("x", session.StopBytes))}
	g, err := n.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close() //nolint:errcheck // always nil
	eventually(t, "full", func() bool { return len(g.pieces) >= piecesQueued })
	asked := make(chan session.Usage)
	go func() { asked <- g.Usage() }()
	select {
	case u := <-asked:
		if u.GeneratedBytes < piecesQueued || u.GeneratedBytes > piecesQueued+piecesPerLap {
			t.Errorf("%d bytes were generated, %d are unread", u.GeneratedBytes, len(g.pieces))
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no usage")
	}
	var got []byte
	for {
		piece, err := g.Next()
		if err != nil {
			break
		}
		got = append(got, piece.Byte)
	}
	if want := reference(t, dir, r); string(got) != want || g.Finish() != session.FinishLength {
		t.Errorf("%d bytes, finish %q", len(got), g.Finish())
	}
}

// TestGenerationLimit: as many prompts as a gateway takes, and one more.
func TestGenerationLimit(t *testing.T) {
	n := startNode(t, Options{Model: seededFolder(t, sixBlocks), Offline: true})
	waitReady(t, n)
	for i := range generationsPerNode {
		if err := n.gateways.register(wire.SessionID{byte(i)}, nil); err != nil {
			t.Fatalf("prompt %d: %v", i, err)
		}
	}
	if _, err := n.Generate(t.Context(), prompts(1, 1, 0)[0]); !errors.Is(err, session.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	for i := range generationsPerNode {
		n.gateways.unregister(wire.SessionID{byte(i)})
		n.gateways.running.Done()
	}
	if _, err := answer(t.Context(), n, prompts(1, 1, 0)[0]); err != nil {
		t.Errorf("one again: %v", err)
	}
}

// TestUnknownNames: a Model or Soul that this node cannot know is refused as
// such, whatever is wrong with its name.
func TestUnknownNames(t *testing.T) {
	n := startNode(t, Options{Model: seededFolder(t, sixBlocks), Offline: true})
	waitReady(t, n)
	named := func(bytes int) string { // a CID that holds its content
		hash, err := multihash.Sum([]byte(strings.Repeat("s", bytes)), multihash.IDENTITY, -1)
		if err != nil {
			t.Fatal(err)
		}
		return cid.NewCidV1(cid.Raw, hash).String()
	}
	for _, c := range []struct {
		model, soul string
		want        error
	}{
		{"other", "", session.ErrModel},
		{"", "no CID", session.ErrSoul},
		{"", n.ModelCID(), session.ErrSoul},
		{"", named(wire.CIDBytes - 4), session.ErrSoul},
		{"", named(wire.CIDBytes - 3), session.ErrSoul},
		{"", named(300), session.ErrSoul},
	} {
		r := prompts(1, 1, 0)[0]
		r.Model, r.Soul = c.model, c.soul
		if _, err := answer(t.Context(), n, r); !errors.Is(err, c.want) {
			t.Errorf("model %q soul %.20q: %v, want %v", c.model, c.soul, err, c.want)
		}
	}
}
