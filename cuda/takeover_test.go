package cuda

import (
	"cmp"
	"errors"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// link is one stage of a chain and all rows that ever entered it.
type link struct {
	stage   tcn.Stage
	state   tcn.State
	variant *tcn.Variant
	history []float32
}

// chain generates bytes as a gateway and its hops do.
type chain struct {
	c     backendtest.Case
	m     *backendtest.Model
	links []*link
	text  []byte
	bytes int // that it generates; 0: 60
}

// add puts blocks r of a backend at the end of the chain.
func (h *chain) add(b tcn.Backend, r tcn.Range) error {
	l := &link{variant: h.m.Variant(r, h.c.Souls)}
	h.links = append(h.links, l)
	return h.replace(l, b, r)
}

// replace gives a link another stage, whose state is made anew of the history.
func (h *chain) replace(l *link, b tcn.Backend, r tcn.Range) (err error) {
	if l.stage, err = b.Load(h.c.Config, r, h.m.Blocks[r.Lo:r.Hi]); err != nil {
		return err
	}
	d := h.c.Config.DModel
	position := len(l.history) / d
	start := max(0, position-h.c.Config.HistoryRows(r))
	if l.state, err = l.stage.NewState(r, start); err != nil || start == position {
		return err
	}
	return l.step(start, append([]float32(nil), l.history[start*d:]...), d)
}

func (l *link) step(position int, rows []float32, d int) error {
	w := &tcn.Work{State: l.state, Variant: l.variant, Rows: tcn.Rows{Position: position, Count: len(rows) / d, Data: rows}}
	return errors.Join(l.stage.Step([]*tcn.Work{w}), w.Err)
}

// next generates one byte. A link whose device fails is replaced by takeover.
func (h *chain) next(takeover func(l *link) error) error {
	d, last := h.c.Config.DModel, len(h.text)-1
	rows := make([]float32, d)
	if err := h.m.Ends.Embed(last, h.text[last], rows); err != nil {
		return err
	}
	for _, l := range h.links {
		in := append([]float32(nil), rows...)
		err := l.step(last, rows, d)
		if errors.Is(err, tcn.ErrDevice) && takeover != nil {
			if err = takeover(l); err == nil {
				copy(rows, in)
				err = l.step(last, rows, d)
			}
		}
		if err != nil {
			return err
		}
		l.history = append(l.history, in...)
	}
	var logits [256]float32
	if err := h.m.Ends.Logits(rows, &logits); err != nil {
		return err
	}
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	h.text = append(h.text, byte(best))
	return nil
}

// generate is the text a chain makes over the ranges of the backends.
func generate(t *testing.T, h *chain, backends []tcn.Backend, ranges []tcn.Range, at func(n int), takeover func(l *link) error) string {
	t.Helper()
	for i, b := range backends {
		if err := h.add(b, ranges[i]); err != nil {
			t.Fatal(err)
		}
	}
	h.text = []byte{'Z'}
	for n := range cmp.Or(h.bytes, 60) {
		if at != nil {
			at(n)
		}
		if err := h.next(takeover); err != nil {
			t.Fatalf("byte %d: %v", n, err)
		}
	}
	return string(h.text)
}

// TestTakeover: a stage killed in the middle of a generation and replaced by one of
// the other kind, and a chain of both kinds, yield the CPU's bytes.
func TestTakeover(t *testing.T) {
	ranges := []tcn.Range{{Lo: 0, Hi: 2}, {Lo: 2, Hi: 4}, {Lo: 4, Hi: 6}}
	for _, i := range []int{2, 8, 13} {
		c := backendtest.Cases()[i]
		m := c.Model()
		fresh := func() *chain { return &chain{c: c, m: m} }
		want := generate(t, fresh(), []tcn.Backend{cpu}, []tcn.Range{c.Config.All()}, nil, nil)

		gpu, _ := openFake(t, Options{})
		if got := generate(t, fresh(), []tcn.Backend{gpu, cpu, gpu}, ranges, nil, nil); got != want {
			t.Errorf("%s: a mixed chain says %q, the CPU %q", c.Name, got, want)
		}

		mortal, f := openFake(t, Options{})
		kill := func(n int) {
			if n == 33 {
				f.failAt, f.failKind, f.late = f.count+1, device.ErrIllegalAccess, true
			}
		}
		taken := 0
		dead := fresh()
		toCPU := func(l *link) error { taken++; return dead.replace(l, cpu, ranges[1]) }
		if got := generate(t, dead, []tcn.Backend{cpu, mortal, cpu}, ranges, kill, toCPU); got != want || taken != 1 {
			t.Errorf("%s: after %d takeovers by the CPU %q, want %q", c.Name, taken, got, want)
		}

		reverse := fresh()
		swap := func(n int) {
			if n == 41 {
				if err := reverse.replace(reverse.links[1], gpu, ranges[1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := generate(t, reverse, []tcn.Backend{cpu, cpu, cpu}, ranges, swap, nil); got != want {
			t.Errorf("%s: after a takeover by the GPU %q, want %q", c.Name, got, want)
		}
	}
}
