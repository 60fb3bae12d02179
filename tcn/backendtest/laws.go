package backendtest

import (
	"fmt"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// naive: a stage over all blocks computes what [Model.Naive] computes.
func naive(t *testing.T, b tcn.Backend, c Case, m *Model) {
	rows := m.Embed(Text(c.Seed, 120))
	all := c.Config.All()
	stage := open(t, b, m, all)
	got := feed(t, stage, newState(t, stage, all, 0), m.Variant(all, c.Souls), rows, 0, 120, 120)
	equal(t, "against the naive forward", got, m.Naive(all, c.Souls, rows), c.Config.DModel)
	d := c.Config.DModel
	var logits [256]float32
	if err := m.Ends.Logits(got[119*d:], &logits); err != nil {
		t.Fatal(err)
	}
	want := m.NaiveLogits(got[119*d:])
	equal(t, "logits", logits[:], want[:], 256)
}

// chunks is law 1.
func chunks(t *testing.T, b tcn.Backend, c Case, m *Model) {
	const n = 1010
	rows := m.Embed(Text(c.Seed, n))
	all := c.Config.All()
	stage, variant := open(t, b, m, all), m.Variant(all, c.Souls)
	want := feed(t, stage, newState(t, stage, all, 0), variant, rows, 0, n, 1)
	for _, cut := range []struct{ chunk, rows int }{{2, 200}, {7, 300}, {64, n}, {1000, n}} {
		got := feed(t, stage, newState(t, stage, all, 0), variant, rows, 0, cut.rows, cut.chunk)
		equal(t, fmt.Sprintf("chunks of %d against single rows", cut.chunk), got, want[:len(got)], c.Config.DModel)
	}
}

// batchMates is law 2: sequences of different texts, lengths, Souls and block
// ranges step together; each gets what it gets alone.
func batchMates(t *testing.T, b tcn.Backend, c Case, m *Model) {
	const mates, steps = 9, 6
	all := c.Config.All()
	stage := open(t, b, m, all)
	variants := []*tcn.Variant{m.Variant(all, c.Souls), m.Variant(all, 1), m.Variant(tcn.Range{Lo: 1, Hi: 5}, 2)}
	ranges := []tcn.Range{all, {Lo: 0, Hi: 3}, {Lo: 2, Hi: 4}}
	type sequence struct {
		state   tcn.State
		variant *tcn.Variant
		rows    []float32
		chunk   int
		alone   []float32
		out     []float32
	}
	var sequences []*sequence
	for i := range mates {
		s := &sequence{
			variant: variants[i%len(variants)],
			rows:    m.Embed(Text(uint64(100+i), 40*steps)),
			chunk:   1 + i*i%40, // from 1 row to more than half a batch
		}
		sub := ranges[i%len(ranges)]
		s.state = newState(t, stage, sub, 0)
		s.alone = feed(t, stage, newState(t, stage, sub, 0), s.variant, s.rows, 0, s.chunk*steps, s.chunk*steps)
		sequences = append(sequences, s)
	}
	for n := range steps {
		var works []*tcn.Work
		for i := range sequences {
			s := sequences[(i+n)%mates] // the order must not matter either
			works = append(works, work(s.state, s.variant, s.rows, c.Config.DModel, n*s.chunk, (n+1)*s.chunk))
		}
		step(t, stage, works...)
		for i, w := range works {
			s := sequences[(i+n)%mates]
			s.out = append(s.out, w.Rows.Data...)
		}
	}
	for i, s := range sequences {
		equal(t, fmt.Sprintf("sequence %d among %d mates", i, mates), s.out, s.alone, c.Config.DModel)
	}
}

// splits is law 3, over every way to cut the blocks, with stages of their own
// and with states over sub-ranges of one stage.
func splits(t *testing.T, b tcn.Backend, c Case, m *Model) {
	const n = 40
	rows := m.Embed(Text(c.Seed, n))
	all := c.Config.All()
	whole := open(t, b, m, all)
	variant := m.Variant(all, c.Souls)
	want := feed(t, whole, newState(t, whole, all, 0), variant, rows, 0, n, n)
	for cuts := range 1 << (all.Hi - 1) { // bit i: a cut after block i
		ranges := cutInto(all, cuts)
		t.Run(fmt.Sprint(ranges), func(t *testing.T) { // closes its stages: a device holds few at a time
			own, shared := rows, rows
			for _, r := range ranges {
				stage := open(t, b, m, r)
				own = feed(t, stage, newState(t, stage, r, 0), m.Variant(r, c.Souls), own, 0, n, 17)
				shared = feed(t, whole, newState(t, whole, r, 0), variant, shared, 0, n, 31)
			}
			equal(t, "stages of their own", own, want, c.Config.DModel)
			equal(t, "states of one stage", shared, want, c.Config.DModel)
		})
	}
}

// cutInto is the ranges between cuts: bit i of cuts is a cut after block i.
func cutInto(all tcn.Range, cuts int) []tcn.Range {
	var ranges []tcn.Range
	lo := all.Lo
	for b := all.Lo; b < all.Hi; b++ {
		if b == all.Hi-1 || cuts>>b&1 == 1 {
			ranges = append(ranges, tcn.Range{Lo: lo, Hi: b + 1})
			lo = b + 1
		}
	}
	return ranges
}

// truncate is law 4: detours of every allowed length, then the true text.
func truncate(t *testing.T, b tcn.Backend, c Case, m *Model) {
	const n = 130
	d, all := c.Config.DModel, c.Config.All()
	rows, other := m.Embed(Text(c.Seed, n)), m.Embed(Text(c.Seed+1, n))
	stage, variant := open(t, b, m, all), m.Variant(all, c.Souls)
	want := feed(t, stage, newState(t, stage, all, 0), variant, rows, 0, n, n)
	state := newState(t, stage, all, 0)
	var got []float32
	at := 0
	for detour := 0; at < n; detour = (detour + 5) % (tcn.DraftRows + 1) {
		end := min(at+detour, n)
		feed(t, stage, state, variant, other, at, end, 3)
		if err := state.Truncate(at); err != nil {
			t.Fatalf("Truncate(%d) from %d: %v", at, end, err)
		}
		if state.Position() != at {
			t.Fatalf("position %d after Truncate(%d)", state.Position(), at)
		}
		next := min(at+max(1, detour), n) // at least as far as the detour went
		got = append(got, feed(t, stage, state, variant, rows, at, next, 2)...)
		at = next
	}
	equal(t, "after truncations", got, want, d)

	bytes := state.Bytes()
	for _, bad := range []int{n + 1, n - tcn.DraftRows - 1, -1} {
		wantError(t, fmt.Sprintf("Truncate(%d) from %d", bad, n), state.Truncate(bad), tcn.ErrPosition)
	}
	if state.Position() != n || state.Bytes() != bytes {
		t.Errorf("a refused Truncate left position %d and %d bytes", state.Position(), state.Bytes())
	}
}

// history is law 5: for every single block and for the whole, HistoryRows input
// rows before a position make the outputs from there on exact.
func history(t *testing.T, b tcn.Backend, c Case, m *Model) {
	const n = 150
	all := c.Config.All()
	d := c.Config.DModel
	rows := m.Embed(Text(c.Seed, n))
	stage, variant := open(t, b, m, all), m.Variant(all, c.Souls)
	ranges := []tcn.Range{all, {Lo: 1, Hi: 4}}
	for lo := range all.Hi {
		ranges = append(ranges, tcn.Range{Lo: lo, Hi: lo + 1})
	}
	for _, r := range ranges {
		want := feed(t, stage, newState(t, stage, r, 0), variant, rows, 0, n, n)
		rows := c.Config.HistoryRows(r)
		at := rows + 30 // the first position that must be exact
		input := m.Embed(Text(c.Seed, n))
		after := func(start int) []float32 {
			out := feed(t, stage, newState(t, stage, r, start), variant, input, start, n, 40)
			return out[(at-start)*d:]
		}
		equal(t, fmt.Sprintf("blocks %v after %d rows", r, rows), after(at-rows), want[at*d:], d)
		if r.Len() == 1 && m.Small[r.Lo].Routing != 0 && same(after(at-rows+1), want[at*d:]) {
			t.Errorf("blocks %v: one row fewer than HistoryRows makes no difference", r)
		}
	}
}

// steady: neither state bytes nor their figure in the config depend on how long
// the text is.
func steady(t *testing.T, b tcn.Backend, c Case, m *Model) {
	sub := tcn.Range{Lo: 1, Hi: c.Config.Blocks()}
	stage := open(t, b, m, c.Config.All())
	state := newState(t, stage, sub, 0)
	before := state.Bytes()
	feed(t, stage, state, m.Variant(sub, c.Souls), m.Embed(Text(c.Seed, 500)), 0, 500, 100)
	if got := state.Bytes(); got != before || got < c.Config.StateBytes(sub) {
		t.Errorf("state bytes %d at the start, %d after 500 rows, config says %d", before, got, c.Config.StateBytes(sub))
	}
	if state.Range() != sub || state.Position() != 500 {
		t.Errorf("state of %v at %d, want %v at 500", state.Range(), state.Position(), sub)
	}
}

// skipped: a block with r = 0 is not computed at all. Its small parameters would
// overflow, and a zero keeps its sign, which x + 0·(F(x) - x) would take.
func skipped(t *testing.T, b tcn.Backend, c Case, m *Model) {
	const n = 20
	r := tcn.Range{Lo: 1, Hi: 2}
	layers := make([]tcn.SmallLayer, len(m.Small[r.Lo].Layers))
	for i := range layers {
		gain := make([]float32, c.Config.DModel)
		for j := range gain {
			gain[j] = math.MaxFloat32
		}
		layers[i] = tcn.SmallLayer{NormGain: gain, Scale: 1}
	}
	variant := &tcn.Variant{Range: r, Small: []*tcn.Small{{Layers: layers}}}
	rows := m.Embed(Text(c.Seed, n))
	for i := range rows {
		if i%3 == 0 {
			rows[i] = float32(math.Copysign(0, -1))
		}
	}
	stage := open(t, b, m, r)
	got := feed(t, stage, newState(t, stage, r, 0), variant, rows, 0, n, 7)
	equal(t, "a skipped block's rows", got, rows, c.Config.DModel)
}
