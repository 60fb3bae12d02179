package cuda

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// TestTilesAreCopiedOnce: blocks that share a tile on the host share it on the
// device, and compute what the CPU computes.
func TestTilesAreCopiedOnce(t *testing.T) {
	c := backendtest.Cases()[12]
	c.Config.Layers = 18 // six whole blocks
	m := c.Model()
	copies := []*tcn.Block{m.Blocks[0], m.Blocks[1], m.Blocks[0], m.Blocks[1], m.Blocks[0], m.Blocks[0]}
	two, err := NeedsOf(c.Config, tcn.Range{Lo: 0, Hi: 2}, m.Blocks[:2], Options{})
	if err != nil {
		t.Fatal(err)
	}
	six, err := NeedsOf(c.Config, c.Config.All(), copies, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if six.Weights != two.Weights || six.State != 3*two.State {
		t.Errorf("six blocks of two tiles need %+v, two need %+v", six, two)
	}
	b, _ := openFake(t, Options{})
	equalModel(t, b, c.Config, copies, m.Variant(c.Config.All(), 0))
}

// equalModel compares a stage over all blocks with the CPU's on one text.
func equalModel(t *testing.T, b tcn.Backend, c tcn.Config, blocks []*tcn.Block, v *tcn.Variant) {
	t.Helper()
	const n = 70
	random := rand.New(rand.NewPCG(3, 4))
	rows := make([]float32, n*c.DModel)
	for i := range rows {
		rows[i] = float32(random.NormFloat64())
	}
	var lists [2][]*tcn.Work
	for i, backend := range []tcn.Backend{b, cpu} {
		s, err := backend.Load(c, c.All(), blocks)
		if err != nil {
			t.Fatal(err)
		}
		lists[i] = works(v, c.DModel, n, newState(t, s, c.All()))
		copy(lists[i][0].Rows.Data, rows)
		step(t, s, lists[i])
	}
	compare(t, "one text", lists[0], lists[1])
}

// TestMixedForms: each matrix has its own form, whatever the config says.
func TestMixedForms(t *testing.T) {
	for _, i := range []int{0, 6} { // both cells
		c := backendtest.Cases()[i]
		c.Souls = 2
		m := c.Model()
		for b := range m.Blocks {
			quantized, err := tcn.SeededLayersQ2(c.Config, 7, b)
			if err != nil {
				t.Fatal(err)
			}
			for k := range m.Blocks[b].Layers {
				if l := &m.Blocks[b].Layers[k]; (b+k)%2 == 0 {
					l.In = tcn.NewMatrixQ2(quantized[k].In)
				} else {
					l.Out = tcn.NewMatrixQ2(quantized[k].Out)
				}
			}
		}
		b, _ := openFake(t, Options{})
		equalModel(t, b, c.Config, m.Blocks, m.Variant(c.Config.All(), 2))
	}
}

// TestManyBlocks: more blocks than a graph's shape tells apart.
func TestManyBlocks(t *testing.T) {
	c := backendtest.Cases()[2]
	c.Config.Layers, c.Config.LayersPerBlock = 150, 1
	b, _ := openFake(t, Options{})
	newTwin(t, b, c, 3).run(6)
}

// TestWideLayers: matrices larger than a staging buffer, widths past what a block of
// threads holds.
func TestWideLayers(t *testing.T) {
	c := backendtest.Cases()[2]
	c.Config.DModel, c.Config.DFF, c.Config.Layers, c.Config.LayersPerBlock = 1100, 1300, 2, 1
	m := c.Model()
	for _, maxRows := range []int{0, 32} { // rows that several goroutines move, and that one does
		b, _ := openFake(t, Options{MaxRows: maxRows})
		equalModel(t, b, c.Config, m.Blocks, m.Variant(c.Config.All(), 2))
	}
}

// TestHands: rows of several shares and pieces get where they belong and back, and
// the last of many numbers is looked at.
func TestHands(t *testing.T) {
	const d, rows = 3000, 100
	h := newHands(2)
	defer h.close()
	p := &pass{width: d, rows: rows, x: make([]float32, rows*d), row: make([]int32, rows)}
	var want []float32
	for first, n := 0, 1; first < rows; first, n = first+n, min(2*n, rows-first-n) {
		w := &tcn.Work{Rows: tcn.Rows{Count: n + 5, Data: make([]float32, (n+5)*d)}}
		for i := range w.Rows.Data {
			w.Rows.Data[i] = float32(first*d + i)
		}
		for row := first; row < first+n; row++ {
			p.row[row] = int32(len(p.list))
		}
		p.list = append(p.list, share{w, 5, n, first})
		want = append(want, w.Rows.Data[5*d:]...)
	}
	h.fill(p)
	if !slices.Equal(p.x, want) {
		t.Error("a pass does not hold the rows of its Works")
	}
	for i := range p.x {
		p.x[i]++
	}
	h.empty(p)
	for _, s := range p.list {
		if !slices.Equal(s.work.Rows.Data[5*d:], p.x[s.first*d:(s.first+s.count)*d]) || s.work.Rows.Data[5*d-1] != float32(s.first*d+5*d-1) {
			t.Errorf("the Work of rows from %d did not get them back, or got others", s.first)
		}
	}
	if !h.allFinite(p.x) {
		t.Error("finite numbers are said not to be")
	}
	p.x[len(p.x)-1] = float32(math.Inf(1))
	if h.allFinite(p.x) || !h.allFinite(nil) {
		t.Error("an infinity at the end was not found, or one in nothing")
	}
}

// TestNeeds: what a stage takes is what was counted.
func TestNeeds(t *testing.T) {
	c := backendtest.Cases()[13]
	o := Options{MaxRows: 40, StateBytes: 1 << 20}
	b, f := openFake(t, o)
	var done, total int64
	b.options.Progress = func(d, of int64) {
		if d <= done || d > of || total != 0 && of != total {
			t.Errorf("progress %d of %d after %d of %d", d, of, done, total)
		}
		done, total = d, of
	}
	m := c.Model()
	needs, err := NeedsOf(c.Config, c.Config.All(), m.Blocks, o)
	if err != nil {
		t.Fatal(err)
	}
	memory, before := b.Memory()
	s, err := b.Load(c.Config, c.Config.All(), m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	if _, after := b.Memory(); before-after != needs.Weights+needs.Work+o.StateBytes || memory != f.memory {
		t.Errorf("took %d of %d bytes, needs %+v", before-after, memory, needs)
	}
	if done != total || total != needs.Weights {
		t.Errorf("told of %d of %d bytes, needs %d", done, total, needs.Weights)
	}
	if state := newState(t, s, c.Config.All()); state.Bytes() != needs.State {
		t.Errorf("a state takes %d, counted %d", state.Bytes(), needs.State)
	}
	for _, bad := range []error{
		second(NeedsOf(c.Config, c.Config.All(), m.Blocks, Options{MaxRows: -1})), second(NeedsOf(tcn.Config{}, c.Config.All(), m.Blocks, o)), second(NeedsOf(c.Config, c.Config.All(), m.Blocks[1:], o)),
	} {
		if bad == nil {
			t.Error("needs of what Load refuses")
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestStateBytesByDefault: what the weights leave, but for the part of Souls.
func TestStateBytesByDefault(t *testing.T) {
	c := backendtest.Cases()[0]
	m := c.Model()
	for _, memory := range []int64{32 << 20, 4 << 20} {
		f := newFake(memory)
		b, err := New(f, Options{MaxRows: 16})
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.Load(c.Config, c.Config.All(), m.Blocks)
		if err != nil {
			t.Fatal(err)
		}
		if reserve := memory / reserveShare; f.free < reserve || f.free >= reserve+alignment {
			t.Errorf("of %d bytes %d are left for Souls, want %d", memory, f.free, reserve)
		}
		if err := errors.Join(s.Close(), b.Close()); err != nil || f.free != memory {
			t.Errorf("Close: %v; %d of %d bytes free", err, f.free, memory)
		}
	}
}

// TestRefusedForms: Load says which matrix it cannot compute with, and keeps nothing.
func TestRefusedForms(t *testing.T) {
	c := backendtest.Cases()[0]
	m := c.Model()
	m.Blocks[1].Layers[2].Out = strange{m.Blocks[1].Layers[2].Out}
	b, f := openFake(t, Options{})
	_, err := b.Load(c.Config, c.Config.All(), m.Blocks)
	if !errors.Is(err, ErrForm) || err.Error() != "block 1 layer 2 W_out: cuda: no kernel for this form of matrix: neither float32 nor 2-bit" {
		t.Errorf("Load: %v", err)
	}
	if len(f.allocations) > 0 {
		t.Error("a refused Load keeps memory")
	}
}

// TestRefusedOptions: and the device is still the caller's.
func TestRefusedOptions(t *testing.T) {
	for _, o := range []Options{{MaxRows: -1}, {MaxRows: MaxRows + 1}, {StateBytes: -1}, {Watchdog: -time.Second}} {
		f := newFake(1 << 20)
		if _, err := New(f, o); !errors.Is(err, ErrOptions) {
			t.Errorf("New with %+v: %v", o, err)
		}
		if f.closed || f.count > 0 {
			t.Error("a refused New used the device")
		}
	}
}

// TestClosed: a closed Backend closes its stages and loads nothing.
func TestClosed(t *testing.T) {
	c := backendtest.Cases()[0]
	s, f, m := loaded(t, c, Options{})
	state := newState(t, s, c.Config.All())
	step(t, s, works(m.Variant(c.Config.All(), 0), c.Config.DModel, 1, state))
	for range 2 {
		if err := s.backend.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.left(); got != nothingLeft {
		t.Error(got)
	}
	_, err := s.backend.Load(c.Config, c.Config.All(), m.Blocks)
	for _, err := range []error{err, s.Step(nil), second(s.NewState(c.Config.All(), 0))} {
		if !errors.Is(err, tcn.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestStagesSideBySide: stages of one device step in goroutines of their own, while
// others are loaded and closed; the fake panics if two use the device at once.
func TestStagesSideBySide(t *testing.T) {
	c := backendtest.Cases()[14]
	b, _ := openFake(t, Options{})
	m := c.Model()
	for _, seed := range []uint64{0, 1} {
		t.Run("steps", func(t *testing.T) {
			t.Parallel()
			newTwin(t, b, c, seed).run(5)
		})
	}
	t.Run("loads", func(t *testing.T) {
		t.Parallel()
		for range 5 {
			s, err := b.Load(c.Config, tcn.Range{Lo: 1, Hi: 2}, m.Blocks[1:2])
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestStager: parts of every size arrive, with short and long gaps between them.
func TestStager(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	f := newFake(1 << 30)
	var guard sync.Mutex
	s, err := newStager(f, &guard, Options{Watchdog: time.Second, staging: stagingBytes})
	if err != nil {
		t.Fatal(err)
	}
	var a arena
	for _, size := range []int{1, 255, 256, 257, stagingBytes - 1, stagingBytes, stagingBytes + 1, 3*stagingBytes + 7, 5, 5, 1 << 20} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		a.place(data)
		a.place(data) // has its place
		if random.IntN(3) == 0 {
			a.room(int64(random.IntN(5000)))
		}
	}
	base, err := f.Allocate(a.bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.copyTo(s, base, nil); err != nil {
		t.Fatal(err)
	}
	for i, p := range a.parts {
		if !bytes.Equal(f.at(base+device.Pointer(p.at), int64(len(p.data))), p.data) {
			t.Errorf("part %d, of %d bytes, is not what was written", i, len(p.data))
		}
	}
	if err := errors.Join(s.close(), f.Free(base), f.Close()); err != nil || f.left() != nothingLeft {
		t.Errorf("%v, %s", err, f.left())
	}
}
