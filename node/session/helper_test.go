package session

import (
	"testing"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// sessionID is the ID of the tests' sessions.
var sessionID = wire.SessionID{0xa1, 0xb2, 0xc3, 0xd4, 15: 1}

// spelling is a config whose rows spell bytes: emb is the identity, so the row
// of byte b is 1 at b and 0 elsewhere, and such a row coming back makes b the
// next byte. A block is one layer with one row of history.
func spelling(blocks, positions int) (tcn.Config, *tcn.Ends) {
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 256, DFF: 1, Layers: blocks,
		LayersPerBlock: 1, KernelSize: 2, Dilations: []int{1}, MaxPositions: positions,
		RMSEps: 1e-5, State: tcn.F32, Boundary: tcn.F32,
	}
	emb, normF := make([]float32, 256*256), make([]float32, 256)
	for b := range 256 {
		emb[b*256+b], normF[b] = 1, 1
	}
	var pos []float32
	if positions > 0 {
		pos = make([]float32, positions*256)
	}
	ends, err := tcn.NewEnds(c, emb, pos, normF)
	if err != nil {
		panic(err)
	}
	return c, ends
}

// spell is the row that makes b the next byte.
func spell(b byte) []float32 {
	row := make([]float32, 256)
	row[b] = 1
	return row
}

// spelled reads the bytes that rows spell.
func spelled(rows []float32) string {
	var text []byte
	for ; len(rows) > 0; rows = rows[256:] {
		for b, v := range rows[:256] {
			if v == 1 {
				text = append(text, byte(b))
			}
		}
	}
	return string(text)
}

// planOf is a plan over hops that have these blocks, at peers a, b, c, ….
func planOf(c tcn.Config, ends *tcn.Ends, hops ...tcn.Range) Plan {
	plan := Plan{ID: sessionID, Self: "g", Model: []byte("model"), Soul: []byte("soul"), Config: c, Ends: ends}
	for i, blocks := range hops {
		plan.Hops = append(plan.Hops, Hop{Peer: string(rune('a' + i)), Blocks: blocks})
	}
	return plan
}

// requestOf asks for n bytes, greedily.
func requestOf(prompt string, n int) Request {
	return Request{Prompt: []byte(prompt), MaxBytes: n, LogProbs: -1}
}

// openOf is what a hop is told, as it arrives there.
func openOf(t testing.TB, plan Plan, hop int) (wire.Header, wire.Open) {
	t.Helper()
	frame := plan.open(hop, 1, Window)
	open, err := wire.ParseOpen(frame.Body)
	if err != nil {
		t.Fatal(err)
	}
	return frame.Header, open
}
