package node

import (
	"errors"
	"io"
	"net"
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
	eventually(t, "held back", func() bool {
		if !g.mu.TryLock() {
			return false
		}
		defer g.mu.Unlock()
		return len(g.pieces) >= piecesQueued && len(g.out) == 1 && !g.writing
	})
	asked := make(chan session.Usage)
	go func() { asked <- g.Usage() }()
	select {
	case u := <-asked:
		if u.GeneratedBytes < piecesQueued || u.GeneratedBytes > piecesQueued+piecesPerLap {
			t.Errorf("%d bytes were generated, %d are unread", u.GeneratedBytes, len(g.pieces))
		}
	case <-time.After(patience):
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

// TestFalseHops plays the hop of a chain of one: what it does wrong ends the
// prompt with an error that says so, and leaves nothing behind.
func TestFalseHops(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	for _, c := range []struct {
		name string
		play func(t *testing.T, h falseHop)
		want error
		text string
	}{
		{"answer for another session", func(t *testing.T, h falseHop) {
			h.send(t, h.control, wire.Header{Kind: wire.KindOpened, Session: wire.SessionID{1}})
		}, session.ErrHopLost, "another session"},
		{"answer of another hop", func(t *testing.T, h falseHop) {
			h.send(t, h.control, wire.Header{Kind: wire.KindOpened, Session: h.id, Hop: 1})
		}, session.ErrHopLost, "another session"},
		{"rows on the control stream", func(t *testing.T, h falseHop) {
			h.send(t, h.control, wire.Header{Kind: wire.KindRows, Session: h.id, Rows: 1})
		}, session.ErrHopLost, "kind 5"},
		{"refusal", func(t *testing.T, h falseHop) {
			h.send(t, h.control, wire.Header{Kind: wire.KindRefused, Session: h.id, Code: wire.CodeNoSlot})
		}, session.ErrBusy, "no free slot"},
		{"no frame at all", func(t *testing.T, h falseHop) {
			if _, err := h.control.Write(make([]byte, wire.HeaderBytes)); err != nil {
				t.Error(err)
			}
		}, session.ErrHopLost, "bad frame"},
		{"rows back before they were sent", func(t *testing.T, h falseHop) {
			h.send(t, h.attach("self"), wire.Header{Kind: wire.KindRows, Session: h.id, Hop: 1, Rows: 1, Timings: 1})
		}, session.ErrRefused, "not asked for"},
		{"stranger's rows, a second stream, then the end of the first", func(t *testing.T, h falseHop) {
			refused := func(who string, s stream) {
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v", who, err)
				}
			}
			refused("a stranger", h.attach("stranger"))
			first := h.attach("self")
			eventually(t, "attached", func() bool {
				h.gen.mu.Lock()
				defer h.gen.mu.Unlock()
				return h.gen.back != nil
			})
			refused("a second stream", h.attach("self"))
			hangUp(first)
		}, session.ErrHopLost, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t, Options{Model: dir, Offline: true})
			waitReady(t, n)
			n.gateways.links = newLinks(n.links.self, nil) // nobody but the test accepts
			g, err := n.Generate(t.Context(), prompts(1, 4, 0)[0])
			if err != nil {
				t.Fatal(err)
			}
			h := falseHop{node: n, gen: g, control: (<-n.gateways.links.local).stream}
			var open wire.Frame
			if err := open.Read(h.control); err != nil {
				t.Fatal(err)
			}
			h.id = open.Session
			c.play(t, h)
			if _, err := g.Next(); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %v that says %q", err, c.want, c.text)
			}
			if err := g.Close(); err != nil || n.gateways.active() != 0 {
				t.Errorf("%d are active, %v", n.gateways.active(), err)
			}
			if _, err := h.control.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the control stream is still there: %v", err)
			}
		})
	}
}

// falseHop is the hop of a gateway's chain, played by a test.
type falseHop struct {
	node    *Node
	gen     *Generation
	control stream
	id      wire.SessionID
}

func (h falseHop) send(t *testing.T, s stream, head wire.Header) {
	t.Helper()
	head.Epoch = 1
	if err := writeFrame(s, &wire.Frame{Header: head}); err != nil {
		t.Error(err)
	}
}

// attach opens the stream of rows back, as a peer.
func (h falseHop) attach(peer string) stream {
	near, far := net.Pipe()
	attach := &wire.Frame{Header: wire.Header{Kind: wire.KindAttach, Session: h.id, Epoch: 1, Hop: 1}}
	go h.node.gateways.rows(incoming{peer, pipe{far}}, attach)
	return pipe{near}
}
