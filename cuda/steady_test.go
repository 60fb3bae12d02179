package cuda

import (
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// loaded is a whole model of a case on a fake device.
func loaded(t *testing.T, c backendtest.Case, o Options) (*stage, *fake, *backendtest.Model) {
	t.Helper()
	b, f := openFake(t, o)
	m := c.Model()
	s, err := b.Load(c.Config, c.Config.All(), m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*stage), f, m
}

func newState(t *testing.T, s tcn.Stage, sub tcn.Range) tcn.State {
	t.Helper()
	state, err := s.NewState(sub, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := state.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return state
}

// works are n rows of zeros for each state, where it stands.
func works(v *tcn.Variant, d, n int, states ...tcn.State) []*tcn.Work {
	var list []*tcn.Work
	for _, state := range states {
		rows := tcn.Rows{Position: state.Position(), Count: n, Data: make([]float32, n*d)}
		list = append(list, &tcn.Work{State: state, Variant: v, Rows: rows})
	}
	return list
}

func step(t *testing.T, s tcn.Stage, list []*tcn.Work) {
	t.Helper()
	if err := s.Step(list); err != nil {
		t.Fatal(err)
	}
	for i, w := range list {
		if w.Err != nil {
			t.Fatalf("work %d: %v", i, w.Err)
		}
	}
}

// TestSteadyState: a Step of a shape seen before takes no memory on either side and
// asks the device for one copy each way and one graph a pass. One of a single pass
// orders no streams.
func TestSteadyState(t *testing.T) {
	for _, shape := range []struct{ sequences, rows, passes int }{{1, 1, 1}, {7, 1, 1}, {2, 100, 1}, {3, 200, 3}} {
		c := backendtest.Cases()[13]
		s, f, m := loaded(t, c, Options{})
		v, d := m.Variant(c.Config.All(), 2), c.Config.DModel
		var states []tcn.State
		for range shape.sequences {
			states = append(states, newState(t, s, c.Config.All()))
		}
		list := works(v, d, shape.rows, states...)
		next := func() {
			for _, w := range list {
				w.Rows.Position = w.State.Position()
			}
			if err := s.Step(list); err != nil {
				t.Fatal(err)
			}
		}
		next()
		before := maps.Clone(f.calls)
		next()
		after := 2 * shape.passes
		if shape.passes == 1 {
			after = 0
		}
		for name, want := range map[string]int{
			"copy in": shape.passes, "replay": shape.passes, "copy out": shape.passes, "wait": shape.passes,
			"allocate": 0, "pinned": 0, "fill": 0, "launch": 0, "record": 0, "stream": 0,
			"after": after,
		} {
			if got := f.calls[name] - before[name]; got != want {
				t.Errorf("%v: %d calls of %s, want %d", shape, got, name, want)
			}
		}
		if f.waited != DefaultWatchdog {
			t.Errorf("waits %v, want %v", f.waited, DefaultWatchdog)
		}
		f.lazy = true
		if raceEnabled {
			continue // the detector allocates
		}
		if n := testing.AllocsPerRun(20, next); n != 0 {
			t.Errorf("%v: %v allocations a Step, want 0", shape, n)
		}
	}
}

// TestGraphsAreBounded: more shapes than are kept, over and over.
func TestGraphsAreBounded(t *testing.T) {
	c := backendtest.Cases()[0]
	c.Config.LayersPerBlock = 1 // 17 blocks
	s, f, m := loaded(t, c, Options{})
	all, d := c.Config.All(), c.Config.DModel
	v := m.Variant(all, 0)
	f.lazy = true
	for range 2 {
		for lo := range all.Hi {
			for hi := lo + 1; hi <= all.Hi; hi++ {
				state, err := s.NewState(tcn.Range{Lo: lo, Hi: hi}, 0)
				if err != nil {
					t.Fatal(err)
				}
				step(t, s, works(v, d, 1, state))
				if err := state.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(s.graphs.made) != maxGraphs || f.calls["record"] != 2*17*18/2 {
		t.Errorf("%d graphs kept of %d recorded", len(s.graphs.made), f.calls["record"])
	}
	before := f.calls["record"]
	state := newState(t, s, tcn.Range{Lo: 16, Hi: 17}) // the last shape
	step(t, s, works(v, d, 1, state))
	if f.calls["record"] != before {
		t.Error("a shape used a moment ago was recorded again")
	}
}

// TestStatesComeAndGoBesideSteps: states never call the device, and may be opened
// and closed at any time.
func TestStatesComeAndGoBesideSteps(t *testing.T) {
	c := backendtest.Cases()[2]
	s, f, m := loaded(t, c, Options{})
	all, d := c.Config.All(), c.Config.DModel
	variants := []*tcn.Variant{m.Variant(all, 1), m.Variant(all, 2)}
	mine := newState(t, s, all)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for range 200 {
				state, err := s.NewState(tcn.Range{Lo: 1, Hi: 3}, 5)
				if err == nil {
					err = state.Close()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	worn := newState(t, s, all)
	step(t, s, works(variants[1], d, 1, worn))
	group.Go(func() {
		if err := worn.Close(); err != nil { // lets go of an outfit beside Steps
			t.Error(err)
		}
	})
	for n := range 30 {
		step(t, s, works(variants[0], d, 1+n%3, mine))
	}
	group.Wait()
	before := f.count
	for range 10 {
		newState(t, s, all)
	}
	if f.count != before {
		t.Errorf("10 states called the device %d times", f.count-before)
	}
}

// TestStatesFillThePool: what does not fit is refused, and fits once another is
// closed.
func TestStatesFillThePool(t *testing.T) {
	c := backendtest.Cases()[0]
	s, _, _ := loaded(t, c, Options{StateBytes: 1 << 20})
	all := c.Config.All()
	var states []tcn.State
	for {
		state, err := s.NewState(all, 0)
		if err != nil {
			if !errors.Is(err, tcn.ErrNoRoom) || !errors.Is(err, device.ErrOutOfMemory) {
				t.Errorf("a full pool says %v", err)
			}
			break
		}
		states = append(states, state)
	}
	if want := int(1 << 20 / s.layout.ring); len(states) != want || want < 3 {
		t.Errorf("%d states fit, want %d", len(states), want)
	}
	for _, i := range []int{1, 0, 2} {
		if err := states[i].Close(); err != nil {
			t.Fatal(err)
		}
		if err := states[i].Close(); err != nil { // once more does nothing
			t.Fatal(err)
		}
		state, err := s.NewState(all, 0)
		if err != nil {
			t.Fatalf("after one was closed: %v", err)
		}
		states[i] = state
	}
	for _, state := range states {
		if err := state.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s.states.left() != s.states.bytes {
		t.Errorf("%d of %d bytes free with no state open", s.states.left(), s.states.bytes)
	}
}

// TestRingsBeginClean: a state does not see what a sequence before it left, even if
// its Variant skipped a block and then does not.
func TestRingsBeginClean(t *testing.T) {
	c := backendtest.Cases()[0]
	b, _ := openFake(t, Options{})
	m := c.Model()
	all, d := c.Config.All(), c.Config.DModel
	skips := m.Variant(all, 0)
	skips.Small = append([]*tcn.Small(nil), skips.Small...)
	for i := range skips.Small {
		small := *skips.Small[i]
		small.Routing = 0
		skips.Small[i] = &small
	}
	var results [2][]*tcn.Work
	for i, backend := range []tcn.Backend{b, cpu} {
		s, err := backend.Load(c.Config, all, m.Blocks)
		if err != nil {
			t.Fatal(err)
		}
		before, err := s.NewState(all, 0)
		if err != nil {
			t.Fatal(err)
		}
		first := works(m.Variant(all, 0), d, 40, before)
		copy(first[0].Rows.Data, m.Embed(backendtest.Text(9, 40)))
		step(t, s, first)
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		state := newState(t, s, all)
		step(t, s, works(skips, d, 5, state))
		results[i] = works(m.Variant(all, 0), d, 5, state)
		copy(results[i][0].Rows.Data, m.Embed(backendtest.Text(8, 5)))
		step(t, s, results[i])
	}
	compare(t, "after another sequence", results[0], results[1])
}

// TestWatchdog: the limit is handed on, and what it says ends the backend.
func TestWatchdog(t *testing.T) {
	c := backendtest.Cases()[0]
	s, f, m := loaded(t, c, Options{Watchdog: time.Minute})
	all := c.Config.All()
	state := newState(t, s, all)
	list := works(m.Variant(all, 0), c.Config.DModel, 1, state)
	step(t, s, list)
	if f.waited != time.Minute {
		t.Errorf("waited %v, want a minute", f.waited)
	}
	f.failAt, f.failKind = f.count+3, device.ErrHung // after copy in, replay and copy out
	list[0].Rows.Position = 1
	for range 2 {
		if err := s.Step(list); !errors.Is(err, tcn.ErrDevice) || !errors.Is(err, device.ErrHung) || !errors.Is(list[0].Err, device.ErrHung) {
			t.Errorf("a hung Step says %v, its Work %v", err, list[0].Err)
		}
	}
	calls := f.count
	if _, err := s.NewState(all, 0); !errors.Is(err, device.ErrHung) {
		t.Errorf("NewState says %v", err)
	}
	if _, err := s.backend.Load(c.Config, all, m.Blocks); !errors.Is(err, device.ErrHung) {
		t.Errorf("Load says %v", err)
	}
	if !errors.Is(s.backend.Err(), device.ErrHung) || f.count != calls {
		t.Errorf("Err is %v; %d more calls of a lost device", s.backend.Err(), f.count-calls)
	}
	if state.Position() != 1 {
		t.Errorf("the state moved to %d", state.Position())
	}
}
