package backendtest

import (
	"errors"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// refusedLoads: what Load and NewState must refuse.
func refusedLoads(t *testing.T, b tcn.Backend, c Case, m *Model) {
	all := c.Config.All()
	bad := c.Config
	bad.DModel = 0
	wider := c.Config
	wider.DFF++
	for _, refused := range []struct {
		name   string
		config tcn.Config
		r      tcn.Range
		blocks []*tcn.Block
		want   error
	}{
		{"zero config", tcn.Config{}, all, m.Blocks, tcn.ErrConfig},
		{"bad config", bad, all, m.Blocks, tcn.ErrConfig},
		{"empty range", c.Config, tcn.Range{Lo: 1, Hi: 1}, nil, tcn.ErrRange},
		{"reversed range", c.Config, tcn.Range{Lo: 2, Hi: 1}, nil, tcn.ErrRange},
		{"range below 0", c.Config, tcn.Range{Lo: -1, Hi: 1}, m.Blocks[:2], tcn.ErrRange},
		{"range past the end", c.Config, tcn.Range{Lo: 5, Hi: 7}, m.Blocks[:2], tcn.ErrRange},
		{"too few blocks", c.Config, all, m.Blocks[1:], tcn.ErrShape},
		{"missing block", c.Config, tcn.Range{Lo: 0, Hi: 1}, []*tcn.Block{nil}, tcn.ErrShape},
		{"short last block first", c.Config, tcn.Range{Lo: 0, Hi: 1}, m.Blocks[5:], tcn.ErrShape},
		{"other widths", wider, all, m.Blocks, tcn.ErrShape},
	} {
		stage, err := b.Load(refused.config, refused.r, refused.blocks)
		wantError(t, "Load: "+refused.name, err, refused.want)
		if err == nil {
			wantError(t, "Close", stage.Close(), nil)
		}
	}
	stage, err := b.Load(c.Config, tcn.Range{Lo: 1, Hi: 3}, m.Blocks[1:3])
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []struct {
		sub   tcn.Range
		start int
		want  error
	}{
		{tcn.Range{Lo: 0, Hi: 2}, 0, tcn.ErrRange},
		{tcn.Range{Lo: 2, Hi: 4}, 0, tcn.ErrRange},
		{tcn.Range{Lo: 2, Hi: 2}, 0, tcn.ErrRange},
		{tcn.Range{Lo: 1, Hi: 3}, -1, tcn.ErrPosition},
	} {
		_, err := stage.NewState(refused.sub, refused.start)
		wantError(t, "NewState", err, refused.want)
	}
	if err := stage.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = stage.NewState(tcn.Range{Lo: 1, Hi: 2}, 0)
	wantError(t, "NewState after Close", err, tcn.ErrClosed)
	wantError(t, "Step after Close", stage.Step(nil), tcn.ErrClosed)
}

// refusedWorks: one bad Work of each kind beside a good one. The bad one gets
// its error and its state stands where it stood; the good one gets its bits.
func refusedWorks(t *testing.T, b tcn.Backend, c Case, m *Model) {
	all, d := c.Config.All(), c.Config.DModel
	stage, variant := open(t, b, m, all), m.Variant(all, c.Souls)
	rows := m.Embed(Text(c.Seed, 60))
	want := feed(t, stage, newState(t, stage, all, 0), variant, rows, 0, 60, 60)
	other := open(t, b, m, all)
	good := newState(t, stage, all, 0)
	at := 0

	huge := m.Variant(all, 0)
	huge.Small = append([]*tcn.Small(nil), huge.Small...)
	first := *huge.Small[0]
	first.Layers = append([]tcn.SmallLayer(nil), first.Layers...)
	first.Routing = 1
	first.Layers[0].NormGain = make([]float32, d)
	for i := range first.Layers[0].NormGain {
		first.Layers[0].NormGain[i] = math.MaxFloat32
	}
	huge.Small[0] = &first

	for _, refused := range []struct {
		name  string
		spoil func(w *tcn.Work)
		want  error
	}{
		{"no state", func(w *tcn.Work) { w.State = nil }, tcn.ErrShape},
		{"state of another stage", func(w *tcn.Work) { w.State = newState(t, other, all, 0) }, tcn.ErrShape},
		{"closed state", func(w *tcn.Work) { wantError(t, "Close", w.State.Close(), nil) }, tcn.ErrClosed},
		{"rows ahead", func(w *tcn.Work) { w.Rows.Position++ }, tcn.ErrPosition},
		{"rows behind", func(w *tcn.Work) { w.Rows.Position-- }, tcn.ErrPosition},
		{"no rows", func(w *tcn.Work) { w.Rows.Count, w.Rows.Data = 0, nil }, tcn.ErrShape},
		{"negative count", func(w *tcn.Work) { w.Rows.Count = -1 }, tcn.ErrShape},
		{"count past the data", func(w *tcn.Work) { w.Rows.Count = math.MaxInt }, tcn.ErrShape},
		{"data past the count", func(w *tcn.Work) { w.Rows.Data = append(w.Rows.Data, 0) }, tcn.ErrShape},
		{"infinity", func(w *tcn.Work) { w.Rows.Data[d] = float32(math.Inf(-1)) }, tcn.ErrNotFinite},
		{"not a number", func(w *tcn.Work) { w.Rows.Data[1] = float32(math.NaN()) }, tcn.ErrNotFinite},
		{"no variant", func(w *tcn.Work) { w.Variant = nil }, tcn.ErrShape},
		{"variant of fewer blocks", func(w *tcn.Work) { w.Variant = m.Variant(tcn.Range{Lo: 1, Hi: 6}, 0) }, tcn.ErrShape},
		{"variant without small parameters", func(w *tcn.Work) { w.Variant = &tcn.Variant{Range: all} }, tcn.ErrShape},
		{"overflow inside", func(w *tcn.Work) { w.Variant = huge }, tcn.ErrNotFinite},
	} {
		state := newState(t, stage, all, 0)
		feed(t, stage, state, variant, rows, 0, 5, 5)
		bad, beside := work(state, variant, rows, d, 5, 8), work(good, variant, rows, d, at, at+3)
		refused.spoil(bad)
		if err := stage.Step([]*tcn.Work{bad, beside}); err != nil {
			t.Fatalf("%s: Step: %v", refused.name, err)
		}
		wantError(t, refused.name, bad.Err, refused.want)
		if got := state.Position(); got != 5 {
			t.Errorf("%s: the state moved from 5 to %d", refused.name, got)
		}
		wantError(t, refused.name+": the Work beside it", beside.Err, nil)
		equal(t, refused.name+": the Work beside it", beside.Rows.Data, want[at*d:(at+3)*d], d)
		at += 3
	}

	one, two := work(good, variant, rows, d, at, at+2), work(good, variant, rows, d, at, at+2)
	if err := stage.Step([]*tcn.Work{one, two}); err != nil {
		t.Fatal(err)
	}
	wantError(t, "first Work of a state", one.Err, nil)
	wantError(t, "second Work of a state", two.Err, tcn.ErrPosition)
	equal(t, "first Work of a state", one.Rows.Data, want[at*d:(at+2)*d], d)
	if good.Position() != at+2 {
		t.Errorf("position %d after two Works of one state, want %d", good.Position(), at+2)
	}
}
