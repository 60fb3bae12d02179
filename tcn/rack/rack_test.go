package rack_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/rack"
)

// cpus is a rack of the processor, once for each amount of memory.
func cpus(t testing.TB, memory ...int64) tcn.Backend {
	t.Helper()
	devices := make([]rack.Device, len(memory))
	for i, m := range memory {
		devices[i] = rack.Device{Backend: tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best()}), Weights: m}
	}
	return newRack(t, devices...)
}

func newRack(t testing.TB, devices ...rack.Device) tcn.Backend {
	t.Helper()
	b, err := rack.New(devices)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBackend: a rack is a backend like any other, also one with more devices
// than blocks and one whose parts are far from equal.
func TestBackend(t *testing.T) {
	for _, memory := range [][]int64{{1}, {1, 1}, {3, 1, 2}, {1, 1, 1, 1, 1, 1, 1, 1, 1}} {
		t.Run(fmt.Sprint(memory), func(t *testing.T) {
			if testing.Short() && len(memory) != 3 {
				t.Skip("short: three devices only")
			}
			t.Parallel()
			backendtest.Run(t, cpus(t, memory...))
		})
	}
}

// fake is a backend that calls before each Step of its stages.
type fake struct {
	tcn.Backend
	before func(work []*tcn.Work) error
	closed func() // by Close of a stage; may be nil
}

func (f fake) Load(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	s, err := f.Backend.Load(c, r, blocks)
	return &fakeStage{s, f}, err
}

type fakeStage struct {
	tcn.Stage
	f fake
}

func (s *fakeStage) Step(work []*tcn.Work) error {
	if err := s.f.before(work); err != nil {
		return err
	}
	return s.Stage.Step(work)
}

func (s *fakeStage) Close() error {
	if s.f.closed != nil {
		s.f.closed()
	}
	return s.Stage.Close()
}

// TestGroupsFlow: the first device is at the second group while the second is at
// the first: each waits for the other to be there.
func TestGroupsFlow(t *testing.T) {
	c := backendtest.Cases()[0]
	m, all := c.Model(), c.Config.All()
	both := make(chan struct{})
	steps := 0
	first := fake{tcn.NewCPU(nil), func([]*tcn.Work) error {
		if steps++; steps == 2 {
			both <- struct{}{}
		}
		return nil
	}, nil}
	var once sync.Once
	second := fake{tcn.NewCPU(nil), func([]*tcn.Work) error {
		once.Do(func() { <-both })
		return nil
	}, nil}
	stage := load(t, newRack(t, rack.Device{Backend: first}, rack.Device{Backend: second}), m)
	for _, rows := range [][]int{{200}, {70, 70}, {1, 200, 3}} {
		steps, once = 0, sync.Once{}
		var works, alone []*tcn.Work
		for i, n := range rows {
			text := m.Embed(backendtest.Text(uint64(i), n))
			works = append(works, &tcn.Work{State: newState(t, stage), Variant: m.Variant(all, 1), Rows: tcn.Rows{Count: n, Data: text}})
			alone = append(alone, &tcn.Work{Variant: m.Variant(all, 1), Rows: tcn.Rows{Count: n, Data: append([]float32(nil), text...)}})
		}
		if err := stage.Step(works); err != nil {
			t.Fatal(err)
		}
		one := load(t, tcn.NewCPU(nil), m)
		for i, w := range alone {
			w.State = newState(t, one)
			if err := errors.Join(one.Step([]*tcn.Work{w}), w.Err, works[i].Err); err != nil {
				t.Fatal(err)
			}
			for j, want := range w.Rows.Data {
				if works[i].Rows.Data[j] != want {
					t.Fatalf("rows %v: Work %d number %d is %v, want %v", rows, i, j, works[i].Rows.Data[j], want)
				}
			}
		}
	}
}

// TestFewRowsStayWithTheCaller: up to what fills two groups, each device is asked
// once a Step.
func TestFewRowsStayWithTheCaller(t *testing.T) {
	c := backendtest.Cases()[0]
	m, all := c.Model(), c.Config.All()
	var asked []string
	device := func(name string) rack.Device {
		return rack.Device{Backend: fake{tcn.NewCPU(nil), func(work []*tcn.Work) error {
			asked = append(asked, fmt.Sprint(name, len(work)))
			return nil
		}, nil}}
	}
	stage := load(t, newRack(t, device("a"), device("b")), m)
	works := []*tcn.Work{}
	for _, n := range []int{1, 100, 26} {
		works = append(works, &tcn.Work{State: newState(t, stage), Variant: m.Variant(all, 0), Rows: tcn.Rows{Count: n, Data: m.Embed(backendtest.Text(1, n))}})
	}
	if err := stage.Step(works); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(asked, " "); got != "a3 b3" {
		t.Errorf("asked %q, want a3 b3", got)
	}
}

// TestLostDevice: the error says which, stays, and reaches Close of every device.
func TestLostDevice(t *testing.T) {
	c := backendtest.Cases()[0]
	m, all := c.Model(), c.Config.All()
	for _, rows := range []int{3, 400} {
		for bad := range 3 {
			var devices []rack.Device
			closed, lost := 0, false
			for i := range 3 {
				devices = append(devices, rack.Device{Backend: fake{tcn.NewCPU(nil), func([]*tcn.Work) error {
					if lost && i == bad {
						return fmt.Errorf("%w: pulled out", tcn.ErrDevice)
					}
					return nil
				}, func() { closed++ }}})
			}
			stage, err := newRack(t, devices...).Load(c.Config, all, m.Blocks)
			if err != nil {
				t.Fatal(err)
			}
			state := newState(t, stage)
			work := func() []*tcn.Work {
				return []*tcn.Work{{State: state, Variant: m.Variant(all, 0),
					Rows: tcn.Rows{Position: state.Position(), Count: rows, Data: m.Embed(backendtest.Text(1, rows))}}}
			}
			if err := stage.Step(work()); err != nil {
				t.Fatal(err)
			}
			lost = true
			first := stage.Step(work())
			if !errors.Is(first, tcn.ErrDevice) || !strings.Contains(first.Error(), fmt.Sprintf("device %d ", bad)) {
				t.Errorf("device %d lost: error %v", bad, first)
			}
			lost = false
			if again := stage.Step(work()); again == nil || again.Error() != first.Error() {
				t.Errorf("a further Step: error %v, want %v", again, first)
			}
			if _, err := stage.NewState(all, 0); err == nil || err.Error() != first.Error() {
				t.Errorf("NewState: error %v, want %v", err, first)
			}
			if err := errors.Join(state.Close(), stage.Close()); err != nil || closed != 3 {
				t.Errorf("closed %d devices, error %v", closed, err)
			}
			if err := stage.Step(nil); !errors.Is(err, tcn.ErrClosed) {
				t.Errorf("Step after Close: error %v", err)
			}
		}
	}
}

// TestSpoiltState: a Work that only a later device refuses leaves the devices at
// two positions. Its state refuses every further Work; its mates go on.
func TestSpoiltState(t *testing.T) {
	c := backendtest.Cases()[0]
	m, all := c.Model(), c.Config.All()
	full := errors.New("no memory for the variant")
	var refused tcn.State
	refusing := refuser{tcn.NewCPU(nil), func(w *tcn.Work) error {
		if w.State == refused {
			return full
		}
		return nil
	}, func(s tcn.State) {
		if refused == nil {
			refused = s
		}
	}}
	stage := load(t, newRack(t, rack.Device{Backend: tcn.NewCPU(nil)}, rack.Device{Backend: refusing}), m)
	bad, good := newState(t, stage), newState(t, stage)
	for range 2 {
		works := []*tcn.Work{}
		for _, s := range []tcn.State{bad, good} {
			works = append(works, &tcn.Work{State: s, Variant: m.Variant(all, 0),
				Rows: tcn.Rows{Position: s.Position(), Count: 2, Data: m.Embed(backendtest.Text(1, 2))}})
		}
		if err := stage.Step(works); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(works[0].Err, full) || works[1].Err != nil {
			t.Errorf("errors %v and %v", works[0].Err, works[1].Err)
		}
	}
	if bad.Position() != 0 || good.Position() != 4 {
		t.Errorf("states at %d and %d, want 0 and 4", bad.Position(), good.Position())
	}
	if err := bad.Truncate(0); err != nil {
		t.Error(err)
	}
}

// refuser is a backend that refuses some Works.
type refuser struct {
	tcn.Backend
	refuse func(*tcn.Work) error
	made   func(tcn.State)
}

func (r refuser) Load(c tcn.Config, b tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	s, err := r.Backend.Load(c, b, blocks)
	return &refuserStage{s, r}, err
}

type refuserStage struct {
	tcn.Stage
	r refuser
}

func (s *refuserStage) NewState(sub tcn.Range, start int) (tcn.State, error) {
	made, err := s.Stage.NewState(sub, start)
	s.r.made(made)
	return made, err
}

func (s *refuserStage) Step(work []*tcn.Work) error {
	var taken []*tcn.Work
	for _, w := range work {
		if w.Err = s.r.refuse(w); w.Err == nil {
			taken = append(taken, w)
		}
	}
	return s.Stage.Step(taken)
}

// roomy is a backend with memory of its own.
type roomy struct {
	tcn.Backend
	weights, states int64
	load            error
}

func (r roomy) WeightBytes() int64 { return r.weights }
func (r roomy) StateBytes() int64  { return r.states }
func (r roomy) Load(c tcn.Config, b tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	if r.load != nil {
		return nil, r.load
	}
	return r.Backend.Load(c, b, blocks)
}

func TestMemory(t *testing.T) {
	cpu := tcn.NewCPU(nil)
	for _, c := range []struct {
		name            string
		devices         []rack.Device
		weights, states int64
	}{
		{"nobody says", []rack.Device{{Backend: cpu}, {Backend: cpu}}, 0, 0},
		{"backends say", []rack.Device{{Backend: roomy{cpu, 300, 30, nil}}, {Backend: roomy{cpu, 100, 20, nil}}}, 400, 40},
		{"the caller knows better", []rack.Device{{Backend: roomy{cpu, 300, 30, nil}, Weights: 100, States: 40}, {Backend: cpu, Weights: 100, States: 50}}, 200, 80},
		{"one is not known", []rack.Device{{Backend: roomy{cpu, 300, 30, nil}}, {Backend: cpu}}, 600, 60},
		{"nonsense", []rack.Device{{Backend: roomy{cpu, -1, -1, nil}}}, 0, 0},
		{"two of 2^62 bytes", []rack.Device{{Backend: cpu, Weights: 1 << 62, States: 1 << 62}, {Backend: cpu, Weights: 1 << 62}}, 1 << 62, 1 << 62},
	} {
		m := newRack(t, c.devices...).(tcn.Memory)
		if m.WeightBytes() != c.weights || m.StateBytes() != c.states {
			t.Errorf("%s: %d and %d bytes, want %d and %d", c.name, m.WeightBytes(), m.StateBytes(), c.weights, c.states)
		}
	}
}

// broken is a device that loads nothing.
type broken struct{ tcn.Backend }

var errBroken = errors.New("broken")

func (broken) Load(tcn.Config, tcn.Range, []*tcn.Block) (tcn.Stage, error) { return nil, errBroken }

// TestSelfCheckOfEveryDevice: a device is checked though the models of the check are
// too small to leave it a block.
func TestSelfCheckOfEveryDevice(t *testing.T) {
	large := rack.Device{Backend: tcn.NewCPU(nil), Weights: 1 << 40}
	b := newRack(t, large, rack.Device{Backend: broken{tcn.NewCPU(nil)}, Weights: 1})
	if _, err := tcn.Digest(b); err != nil {
		t.Fatalf("the small device got a block: %v", err)
	}
	if err := tcn.SelfCheck(b); !errors.Is(err, errBroken) {
		t.Errorf("self-check: %v, want %v", err, errBroken)
	}
	if err := tcn.SelfCheck(newRack(t, large, large)); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	cpu := tcn.NewCPU(nil)
	many := make([]rack.Device, rack.MaxDevices+1)
	for i := range many {
		many[i].Backend = cpu
	}
	for name, devices := range map[string][]rack.Device{
		"none": nil, "too many": many, "no backend": {{}},
		"negative memory": {{Backend: cpu, Weights: -1}}, "negative states": {{Backend: cpu, States: -1}},
	} {
		if _, err := rack.New(devices); !errors.Is(err, rack.ErrDevices) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	b := newRack(t, many[1:]...)
	if n := strings.Count(b.Name(), "cpu/"); n != rack.MaxDevices {
		t.Errorf("name %q names %d devices", b.Name(), n)
	}
}

// TestLoadClosesWhatItLoaded: a device without room leaves nothing loaded on the
// others, and is named.
func TestLoadClosesWhatItLoaded(t *testing.T) {
	m := backendtest.Cases()[0].Model()
	open := 0
	first := fake{tcn.NewCPU(nil), nil, func() { open-- }}
	_, err := newRack(t, rack.Device{Backend: first}, rack.Device{Backend: roomy{Backend: tcn.NewCPU(nil), load: tcn.ErrNoRoom}}).
		Load(m.Config, m.Config.All(), m.Blocks)
	if !errors.Is(err, tcn.ErrNoRoom) || !strings.Contains(err.Error(), "device 1 ") || open != -1 {
		t.Errorf("error %v, %d closed", err, -open)
	}
}

// meeting is a backend that loads once others do, too.
type meeting struct {
	tcn.Backend
	arrive, all chan struct{}
}

func (m meeting) Load(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	m.arrive <- struct{}{}
	<-m.all
	return m.Backend.Load(c, r, blocks)
}

// TestDevicesLoadAtOnce: each waits till all are at it.
func TestDevicesLoadAtOnce(t *testing.T) {
	arrive, all := make(chan struct{}), make(chan struct{})
	device := rack.Device{Backend: meeting{tcn.NewCPU(nil), arrive, all}}
	go func() {
		for range 3 {
			<-arrive
		}
		close(all)
	}()
	stage := load(t, newRack(t, device, device, device), backendtest.Cases()[0].Model())
	if got := stage.Range(); got != stage.Config().All() {
		t.Errorf("loaded %v", got)
	}
}

func load(t testing.TB, b tcn.Backend, m *backendtest.Model) tcn.Stage {
	t.Helper()
	stage, err := b.Load(m.Config, m.Config.All(), m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	})
	return stage
}

func newState(t testing.TB, stage tcn.Stage) tcn.State {
	t.Helper()
	s, err := stage.NewState(stage.Range(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A machine with a large and a small device: the blocks are shared in proportion.
func ExampleNew() {
	large := rack.Device{Backend: tcn.NewCPU(&tcn.Compute{Kernels: kernel.Portable()}), Weights: 80e9}
	small := rack.Device{Backend: tcn.NewCPU(&tcn.Compute{Kernels: kernel.Portable()}), Weights: 40e9}
	b, err := rack.New([]rack.Device{large, small})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Name())
	fmt.Println(tcn.SelfCheck(b))
	// Output:
	// cpu/portable + cpu/portable
	// <nil>
}
