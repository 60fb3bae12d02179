package node

import (
	"math"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
)

// TestEcho: a grid repeats the prompt with the log-probabilities that the bytes
// before each give, holds back when they are not read, and then answers.
func TestEcho(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	first := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 0, Hi: 4}}})
	second := startNode(t, Options{Model: dir, Blocks: []tcn.Range{{Lo: 4, Hi: 6}}, Bootstrap: first.Addrs()})
	waitReady(t, first)
	waitReady(t, second)
	waitCovered(t, first)
	r := prompts(1, 8, 0.8)[0]
	plain := r
	r.Prompt = []byte(strings.Repeat("What was said is said again. ", (piecesQueued+3*piecesPerLap)/29))
	r.Echo, r.LogProbs = true, 0
	g, err := first.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close() //nolint:errcheck // always nil
	eventually(t, "held back", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.pieces) >= piecesQueued && len(g.out) > 0 && !g.writing
	})
	var pieces []session.Piece
	for {
		piece, err := g.Next()
		if err != nil {
			break
		}
		pieces = append(pieces, piece)
	}
	if len(pieces) != len(r.Prompt)+r.MaxBytes || g.Usage().GeneratedBytes != r.MaxBytes {
		t.Fatalf("%d pieces of %d bytes and %d, %d generated (%v)", len(pieces), len(r.Prompt), r.MaxBytes, g.Usage().GeneratedBytes, g.err)
	}
	for i, piece := range pieces {
		if piece.Position != i || i < len(r.Prompt) && piece.Byte != r.Prompt[i] || math.IsNaN(float64(piece.LogProb)) != (i == 0) {
			t.Fatalf("piece %d is %+v", i, piece)
		}
	}
	plain.MaxBytes, plain.LogProbs = 1, session.TopLogProbs
	for _, p := range []int{1, 2, 63, 64, 65, 256, 257, len(r.Prompt) - 1, len(r.Prompt)} {
		plain.Prompt = r.Prompt[:p]
		one, err := first.Generate(t.Context(), plain)
		if err != nil {
			t.Fatal(err)
		}
		piece, err := one.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, top := range piece.Top {
			if top.Byte == pieces[p].Byte && top.LogProb != pieces[p].LogProb {
				t.Errorf("position %d: %v, want %v", p, pieces[p].LogProb, top.LogProb)
			}
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	answer := r
	answer.Echo = false
	want, got := reference(t, dir, answer), pieces[len(r.Prompt):]
	for i := range got {
		if got[i].Byte != want[i] {
			t.Errorf("byte %d of the answer is %q, want %q", i, got[i].Byte, want[i])
		}
	}
}
