package backendtest

import (
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// open loads blocks r of the model; the stage is closed when the test ends.
func open(t *testing.T, b tcn.Backend, m *Model, r tcn.Range) tcn.Stage {
	t.Helper()
	stage, err := b.Load(m.Config, r, m.Blocks[r.Lo:r.Hi])
	if err != nil {
		t.Fatalf("Load(%v): %v", r, err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return stage
}

// newState opens a state; it is closed when the test ends.
func newState(t *testing.T, stage tcn.Stage, sub tcn.Range, start int) tcn.State {
	t.Helper()
	state, err := stage.NewState(sub, start)
	if err != nil {
		t.Fatalf("NewState(%v, %d): %v", sub, start, err)
	}
	t.Cleanup(func() {
		if err := state.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return state
}

// step runs works and fails the test on any error.
func step(t *testing.T, stage tcn.Stage, works ...*tcn.Work) {
	t.Helper()
	if err := stage.Step(works); err != nil {
		t.Fatalf("Step: %v", err)
	}
	for i, w := range works {
		if w.Err != nil {
			t.Fatalf("Step, work %d: %v", i, w.Err)
		}
	}
}

// work is rows [from, to) of a text, copied, for a state.
//
//	rows [to, d] or more, rows[0] at position 0
func work(state tcn.State, v *tcn.Variant, rows []float32, d, from, to int) *tcn.Work {
	data := append([]float32(nil), rows[from*d:to*d]...)
	return &tcn.Work{State: state, Variant: v, Rows: tcn.Rows{Position: from, Count: to - from, Data: data}}
}

// feed steps rows [from, to) in chunks of a size and returns their outputs.
func feed(t *testing.T, stage tcn.Stage, state tcn.State, v *tcn.Variant, rows []float32, from, to, chunk int) []float32 {
	t.Helper()
	d := stage.Config().DModel
	var out []float32
	for p := from; p < to; p += chunk {
		w := work(state, v, rows, d, p, min(p+chunk, to))
		step(t, stage, w)
		out = append(out, w.Rows.Data...)
	}
	return out
}

// equal fails the test at the first number that differs in a bit.
func equal(t *testing.T, what string, got, want []float32, d int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: row %d column %d is %v (%08x), want %v (%08x)", what, i/d, i%d,
				got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// same reports whether all bits agree.
func same(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}
