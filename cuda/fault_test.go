package cuda

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// life is one Backend's whole life: a stage that lasts, another that is loaded,
// stepped in batches of two shapes with Souls and closed.
type life struct {
	c    backendtest.Case
	m    *backendtest.Model
	errs []error // in order: whatever failed

	wanted map[string][]float32
}

// do lives on f. It goes on after every error that is not of the device for good.
func (l *life) do(f *fake) {
	b, err := New(f, Options{StateBytes: 1 << 20, MaxRows: 16, staging: 8 << 10})
	if err != nil {
		l.errs = append(l.errs, err)
		_ = f.Close()
		return
	}
	first := l.load(b, tcn.Range{Lo: 0, Hi: 2})
	second := l.load(b, tcn.Range{Lo: 2, Hi: 5})
	for _, stage := range []tcn.Stage{first, second, first} {
		if stage != nil {
			l.steps(stage)
		}
	}
	for _, stage := range []tcn.Stage{second, first} {
		if stage != nil {
			l.note(stage.Close())
		}
	}
	l.note(b.Close())
}

func (l *life) note(err error) {
	if err != nil {
		l.errs = append(l.errs, err)
	}
}

func (l *life) load(b *Backend, r tcn.Range) tcn.Stage {
	stage, err := b.Load(l.c.Config, r, l.m.Blocks[r.Lo:r.Hi])
	if err != nil {
		l.note(err)
		return nil
	}
	return stage
}

// steps steps two sequences, one with Souls, and checks what did not fail.
func (l *life) steps(stage tcn.Stage) {
	d, r := l.c.Config.DModel, stage.Range()
	rows := l.m.Embed(backendtest.Text(l.c.Seed, 40))
	variants := []*tcn.Variant{l.m.Variant(r, 0), l.m.Variant(r, 2)}
	var states [2]tcn.State
	for i := range states {
		var err error
		if states[i], err = stage.NewState(r, 0); err != nil {
			l.note(err)
			return
		}
		defer func() { l.note(states[i].Close()) }()
	}
	for at, n := 0, 20; at < 40; at, n = at+n, 10 {
		var works []*tcn.Work
		for i, state := range states {
			if state.Position() == at { // its Work before did not fail
				data := slices.Clone(rows[at*d : (at+n)*d])
				works = append(works, &tcn.Work{State: state, Variant: variants[i], Rows: tcn.Rows{Position: at, Count: n, Data: data}})
			}
		}
		if err := stage.Step(works); err != nil {
			l.note(err)
			return
		}
		for _, w := range works {
			want := l.want(r, len(w.Variant.Souls))[at*d : (at+n)*d]
			if w.Err != nil {
				l.note(w.Err)
			} else if !slices.Equal(w.Rows.Data, want) { // no zero of either sign is among them
				l.note(errors.New("other bits than the CPU's"))
			}
		}
	}
}

// want is what the CPU makes of the text.
func (l *life) want(r tcn.Range, souls int) []float32 {
	key := fmt.Sprint(r, souls)
	if made, ok := l.wanted[key]; ok {
		return made
	}
	stage := must(cpu.Load(l.c.Config, r, l.m.Blocks[r.Lo:r.Hi]))
	w := &tcn.Work{State: must(stage.NewState(r, 0)), Variant: l.m.Variant(r, souls)}
	w.Rows = tcn.Rows{Count: 40, Data: l.m.Embed(backendtest.Text(l.c.Seed, 40))}
	if err := errors.Join(stage.Step([]*tcn.Work{w}), w.Err, w.State.Close(), stage.Close()); err != nil {
		panic(err)
	}
	if l.wanted == nil {
		l.wanted = map[string][]float32{}
	}
	l.wanted[key] = w.Rows.Data
	return w.Rows.Data
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestEveryCallFails: every call of the device fails once, in every way, at once or
// when waited for. Whatever fails says what and where; nothing panics; what did not
// fail has the CPU's bits; and everything is given back.
func TestEveryCallFails(t *testing.T) {
	l := life{c: backendtest.Cases()[14]}
	l.m = l.c.Model()
	f := newFake(1 << 30)
	l.do(f)
	if len(l.errs) > 0 || f.left() != nothingLeft {
		t.Fatalf("without faults: %v; %s", l.errs, f.left())
	}
	calls := f.count
	t.Logf("%d calls that can fail", calls)
	every := 1
	if raceEnabled {
		every = 37
	} else if testing.Short() {
		every = 5
	}
	for _, kind := range []error{device.ErrOutOfMemory, device.ErrLost, device.ErrIllegalAccess, device.ErrHung} {
		for _, late := range []bool{false, true} {
			for at := range calls {
				if at%every != 0 {
					continue
				}
				l.errs = nil
				f := newFake(1 << 30)
				f.failAt, f.failKind, f.late = at, kind, late
				l.do(f)
				l.check(t, f, fmt.Sprintf("%v at call %d, late %v", kind, at, late))
			}
		}
	}
}

// check holds the errors of a life against the one fault of its device.
func (l *life) check(t *testing.T, f *fake, what string) {
	t.Helper()
	if got := f.left(); got != nothingLeft {
		t.Errorf("%s: %s", what, got)
	}
	for _, err := range l.errs {
		switch {
		case !errors.Is(err, f.failKind):
			t.Errorf("%s: %v", what, err)
		case !strings.Contains(err.Error(), "cuda/Fake, ") || !strings.Contains(err.Error(), "Injected (700)"):
			t.Errorf("%s: %q does not say what and where", what, err)
		case !errors.Is(err, tcn.ErrDevice) && !errors.Is(err, tcn.ErrNoRoom):
			t.Errorf("%s: %q is no error of tcn", what, err)
		case device.Fatal(f.failKind) && !errors.Is(err, tcn.ErrDevice):
			t.Errorf("%s: %q is not tcn.ErrDevice", what, err)
		}
	}
	if device.Fatal(f.failKind) && len(l.errs) == 0 {
		t.Errorf("%s: nobody noticed", what)
	}
}

// TestMemoryRunsOut: devices of every size up to one that suffices.
func TestMemoryRunsOut(t *testing.T) {
	l := life{c: backendtest.Cases()[13]}
	l.m = l.c.Model()
	enough := int64(0)
	for memory := int64(1 << 18); enough == 0 && memory < 1<<26; memory += 1 << 16 {
		l.errs = nil
		f := newFake(memory)
		l.do(f)
		for _, err := range l.errs {
			if !errors.Is(err, tcn.ErrNoRoom) || !errors.Is(err, device.ErrOutOfMemory) {
				t.Errorf("with %d bytes: %v", memory, err)
			}
		}
		if got := f.left(); got != nothingLeft {
			t.Errorf("with %d bytes: %s", memory, got)
		}
		if len(l.errs) == 0 {
			enough = memory
		}
	}
	if enough == 0 {
		t.Error("64 MiB are not enough")
	}
}
