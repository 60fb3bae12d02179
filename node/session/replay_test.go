package session

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// A replay is what a lost hop could be rebuilt from at one moment: rows from
// start on, of which the outputs before valid mean nothing.
type replay struct {
	blocks       tcn.Range
	start, valid uint64
	rows         []float32
	rest         []float32 // the rows that follow, by the end of the generation
	want         []float32 // every row that the lost hop has computed
}

// validFrom is the first position whose output a state begun at start gets right.
func validFrom(start uint64, history int) uint64 {
	if start == 0 {
		return 0
	}
	return start + uint64(history)
}

// check feeds a fresh state and reports whether its outputs are those of the
// lost hop, to the bit. Chunks are of any size.
func (r *replay) check(s *simulation) bool {
	s.t.Helper()
	d := s.model.config.DModel
	state, err := s.model.stage.NewState(r.blocks, int(r.start))
	if err != nil {
		s.t.Fatal(err)
	}
	rows := slices.Concat(r.rows, r.rest)
	for position := int(r.start); len(rows) > 0; {
		n := min(1+s.random.IntN(40), len(rows)/d)
		s.model.compute(s.t, state, position, rows[:n*d])
		for i := range n {
			at := position + i
			if uint64(at) >= r.valid && !sameBits(rows[i*d:(i+1)*d], r.want[at*d:(at+1)*d]) {
				return false
			}
		}
		rows = rows[n*d:]
		position += n
	}
	return true
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
}

// moment is a replay whose rest is not known yet.
type moment struct {
	replay
	from int // the hop whose rows are replayed; -1 for the gateway's bytes
	lost int // the hop to be rebuilt
	end  uint64
}

// fromRing loses the hop behind one at random, and takes what its ring holds.
func (s *simulation) fromRing() (moment, bool) {
	from := s.random.IntN(len(s.hops))
	if from+1 == len(s.hops) || s.hops[from].worker == nil {
		return moment{}, false
	}
	blocks := s.gateway.plan.Hops[from+1].Blocks
	history, ring := s.model.config.HistoryRows(blocks), s.hops[from].worker.sent
	start := keepFrom(s.gateway.done, history)
	rows, err := ring.From(nil, start)
	if err != nil {
		s.t.Fatalf("hop %d, done %d, history %d: %v", from, s.gateway.done, history, err)
	}
	if got, want := ring.Begin(), keepFrom(s.hops[from].done, history); got != want {
		s.t.Fatalf("hop %d keeps rows from %d, a replay that it knows of needs them from %d", from, got, want)
	}
	if n := ring.End() - ring.Begin(); n > uint64(history+Window) {
		s.t.Fatalf("hop %d keeps %d rows, history %d", from, n, history)
	}
	return moment{
		replay: replay{blocks: blocks, start: start, valid: validFrom(start, history), rows: rows},
		from:   from, lost: from + 1, end: ring.End(),
	}, true
}

// fromGateway loses the hops up to one at random, and embeds the bytes that the
// gateway holds, at their true positions.
func (s *simulation) fromGateway() moment {
	lost := s.random.IntN(len(s.hops))
	blocks := tcn.Range{Lo: 0, Hi: s.gateway.plan.Hops[lost].Blocks.Hi}
	history := s.model.config.HistoryRows(blocks)
	start := keepFrom(s.gateway.done, history)
	text, err := s.gateway.history.From(nil, start)
	if err != nil {
		s.t.Fatalf("gateway, done %d, history %d: %v", s.gateway.done, history, err)
	}
	return moment{
		replay: replay{blocks: blocks, start: start, valid: validFrom(start, history), rows: s.embed(text, start)},
		from:   -1, lost: lost, end: s.gateway.next,
	}
}

// embed is the rows of text that begins at a position.
func (s *simulation) embed(text []byte, position uint64) []float32 {
	s.t.Helper()
	d := s.model.config.DModel
	rows := make([]float32, len(text)*d)
	for i, b := range text {
		if err := s.model.ends.Embed(int(position)+i, b, rows[i*d:(i+1)*d]); err != nil {
			s.t.Fatal(err)
		}
	}
	return rows
}

// complete tells a moment, after the generation, what followed.
func (s *simulation) complete(m moment) replay {
	d := uint64(s.model.config.DModel)
	r := m.replay
	r.want = s.hops[m.lost].out
	if m.from >= 0 {
		out := s.hops[m.from].out
		if !sameBits(r.rows, out[r.start*d:m.end*d]) {
			s.t.Fatalf("the ring of hop %d holds other rows than it sent at %d-%d", m.from, r.start, m.end)
		}
		r.rest = out[m.end*d:]
		return r
	}
	text := append(bytes.Clone(s.gateway.request.Prompt), bytesOf(s.pieces)...)
	sent := text[:s.gateway.next]
	if !sameBits(r.rows, s.embed(sent, 0)[r.start*d:m.end*d]) {
		s.t.Fatalf("the gateway holds other bytes than it sent at %d-%d", r.start, m.end)
	}
	r.rest = s.embed(sent[m.end:], m.end)
	return r
}

// TestReplay: at any moment, what a sender keeps rebuilds the next hop, and what
// the gateway keeps rebuilds any number of first hops (law 4). This is what
// healing stands on.
func TestReplay(t *testing.T) {
	for _, c := range []struct {
		cell      tcn.Cell
		boundary  tcn.Number
		positions int
	}{
		{tcn.CellRelease, tcn.F32, 0},
		{tcn.CellPaper, tcn.BF16, 700},
	} {
		m := newToy(t, c.cell, c.boundary, c.positions)
		for i, hops := range splits(m.config.Blocks()) {
			if testing.Short() && i%4 != 3 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/hops=%v", c.cell, c.boundary, hops), func(t *testing.T) {
				request := Request{
					Prompt: textOf(1 + 60*(i%11)), MaxBytes: 30, LogProbs: -1,
					Sampling: tcn.Sampling{Temperature: 0.8, Seed: uint64(i)},
				}
				plan := planOf(m.config, m.ends, hops...)
				plan.Chunk = 1 + 5*(i%13)
				s := newSimulation(t, uint64(i), m, plan, request)
				for _, r := range s.replays(8) {
					if !r.check(s) {
						t.Errorf("blocks %v from %d: other rows than the lost hop's", r.blocks, r.start)
					}
				}
			})
		}
	}
}

// replays runs the generation and returns up to n replays of random moments.
func (s *simulation) replays(n int) []replay {
	var moments []moment
	s.watch = func() {
		if len(moments) >= n || s.random.IntN(10) > 0 {
			return
		}
		moments = append(moments, s.fromGateway())
		if m, ok := s.fromRing(); ok {
			moments = append(moments, m)
		}
	}
	s.run()
	if len(moments) == 0 {
		s.t.Fatal("the generation was over before anything could be lost")
	}
	var replays []replay
	for _, m := range moments {
		replays = append(replays, s.complete(m))
	}
	return replays
}

// TestReplayNeedsEveryRow: the law is no wider than it must be. With one row of
// history less, some replay yields other bits.
func TestReplayNeedsEveryRow(t *testing.T) {
	m := newToy(t, tcn.CellRelease, tcn.F32, 0)
	plan := planOf(m.config, m.ends, tcn.Range{Lo: 0, Hi: 2}, tcn.Range{Lo: 2, Hi: 4}, tcn.Range{Lo: 4, Hi: 6})
	request := Request{Prompt: textOf(100), MaxBytes: 40, LogProbs: -1}
	s := newSimulation(t, 1, m, plan, request)
	differ := 0
	for _, r := range s.replays(60) {
		if r.start == 0 {
			continue
		}
		r.start++
		r.rows = r.rows[m.config.DModel:]
		if !r.check(s) {
			differ++
		}
	}
	if differ == 0 {
		t.Error("one row less made no difference: HistoryRows is too large, or the test sees nothing")
	}
}
