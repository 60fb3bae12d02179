package cuda

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// fake is a device that computes kernels by name with package tcn/kernel: what the
// host asks for, without what a kernel's code does with it. It does work only when
// it or what is after it is waited for, so that host memory touched too early shows,
// and order that was not asked for; or, with chance, at any time and in any order
// that streams leave it. Its memory begins as junk, its addresses are never used
// twice, and every access is checked.
type fake struct {
	memory, free int64

	mu          sync.Mutex
	allocations []allocation // ascending
	next        device.Pointer
	pinned      [][]byte
	open        int // streams and graphs
	streams     []*fakeStream
	chance      *rand.Rand // if set, what is asked is done by chance
	deaf        int        // the After that is not heeded, from 1; 0: none
	closed      bool

	calls    map[string]int
	count    int   // calls that can fail
	failAt   int   // the call that fails, from 0; -1: none
	failKind error // what it fails with
	late     bool  // it fails when waited for, if it can
	lost     error
	broken   bool          // a Wait failed: nobody knows what was done
	lazy     bool          // it does nothing at all, and allocates nothing
	waited   time.Duration // the limit of the last Wait
	copied   int64         // bytes copied to it

	busy atomic.Int32
}

// spare is memory that was given back, for tests make thousands of devices. Nobody
// clears it: memory begins as junk.
var spare spares

type spares struct {
	mu   sync.Mutex
	list map[int64][][]byte // by length
}

func (s *spares) take(bytes int64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list[bytes]
	if len(list) == 0 {
		b := make([]byte, bytes)
		for i := range b {
			b[i] = 0xA5
		}
		return b
	}
	s.list[bytes] = list[:len(list)-1]
	return list[len(list)-1]
}

func (s *spares) give(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = map[int64][][]byte{}
	}
	if n := int64(len(b)); len(s.list[n]) < 4 {
		s.list[n] = append(s.list[n], b)
	}
}

type allocation struct {
	at   device.Pointer
	data []byte
}

func newFake(memory int64) *fake {
	return &fake{memory: memory, free: memory, next: 1 << 32, failAt: -1, calls: map[string]int{}}
}

func (f *fake) Info() device.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return device.Info{Name: "Fake", Memory: f.memory, Free: f.free, Major: 9}
}

// call counts a call and says how it fails. Async ones may fail later.
func (f *fake) call(name string, async bool) (now error, later error) {
	if f.lost != nil {
		return f.lost, nil
	}
	f.calls[name]++
	f.count++
	if f.count-1 != f.failAt {
		return nil, nil
	}
	err := &device.Error{Kind: f.failKind, Code: 700, Name: "Injected", Doing: name}
	if async && f.late {
		return nil, err
	}
	if device.Fatal(err) {
		f.lost = err
	}
	return err, nil
}

// sound reports whether what was asked is done in the order it should be.
func (f *fake) sound() bool { return f.lost == nil && !f.broken && f.deaf == 0 }

// alone notes a call that must not run beside another.
func (f *fake) alone() func() {
	if f.busy.Add(1) > 1 {
		panic("two goroutines use the device")
	}
	return func() { f.busy.Add(-1) }
}

func (f *fake) Allocate(bytes int64) (device.Pointer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err, _ := f.call("allocate", false); err != nil {
		return 0, err
	}
	if bytes < 1 {
		panic("allocation of nothing")
	}
	if bytes > f.free {
		return 0, &device.Error{Kind: device.ErrOutOfMemory, Doing: fmt.Sprintf("allocation of %d bytes", bytes)}
	}
	a := allocation{f.next, spare.take(bytes)}
	f.free -= bytes
	f.next += device.Pointer((bytes+511)/256*256 + 4096)
	f.allocations = append(f.allocations, a)
	return a.at, nil
}

func (f *fake) Free(p device.Pointer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.allocations, func(a allocation) bool { return a.at == p })
	if i < 0 {
		panic("free of what is not allocated")
	}
	f.free += int64(len(f.allocations[i].data))
	spare.give(f.allocations[i].data)
	f.allocations = slices.Delete(f.allocations, i, i+1)
	if f.lost != nil {
		return f.lost
	}
	return nil
}

func (f *fake) Pinned(bytes int) ([]byte, error) {
	defer f.alone()()
	if err, _ := f.call("pinned", false); err != nil {
		return nil, err
	}
	b := spare.take(int64(bytes))
	f.pinned = append(f.pinned, b)
	return b, nil
}

func (f *fake) Unpin(b []byte) error {
	defer f.alone()()
	i := slices.IndexFunc(f.pinned, func(p []byte) bool { return unsafe.SliceData(p) == unsafe.SliceData(b) })
	if i < 0 {
		panic("unpin of what is not pinned")
	}
	for _, s := range f.streams {
		for _, w := range s.todo {
			if at := addressOf(w.host); at >= addressOf(b) && at-addressOf(b) < uintptr(len(b)) && f.sound() {
				panic("unpin of what is being copied")
			}
		}
	}
	f.pinned = slices.Delete(f.pinned, i, i+1)
	spare.give(b)
	return f.lost
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func (f *fake) Load([]byte) (device.Module, error) {
	defer f.alone()()
	err, _ := f.call("load", false)
	return fakeModule{}, err
}

type fakeModule struct{}

func (fakeModule) Function(name string) (device.Function, error) { return fakeFunction(name), nil }

type fakeFunction string

func (f fakeFunction) Name() string { return string(f) }

func (f *fake) NewStream() (device.Stream, error) {
	defer f.alone()()
	if err, _ := f.call("stream", false); err != nil {
		return nil, err
	}
	f.open++
	s := &fakeStream{f: f}
	f.streams = append(f.streams, s)
	return s, nil
}

func (f *fake) Close() error {
	defer f.alone()()
	f.closed = true
	return nil
}

// left is what is not given back.
func (f *fake) left() string {
	return fmt.Sprintf("%d allocations, %d pinned, %d streams and graphs, closed %v", len(f.allocations), len(f.pinned), f.open, f.closed)
}

const nothingLeft = "0 allocations, 0 pinned, 0 streams and graphs, closed true"

// at is n bytes of device memory.
func (f *fake) at(p device.Pointer, n int64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, found := slices.BinarySearchFunc(f.allocations, p, func(a allocation, p device.Pointer) int {
		return int(int64(a.at) - int64(p))
	})
	if !found {
		i--
	}
	if i < 0 || n < 0 || int64(p-f.allocations[i].at)+n > int64(len(f.allocations[i].data)) {
		panic(&device.Error{Kind: device.ErrIllegalAccess, Doing: fmt.Sprintf("%d bytes at %x", n, p)})
	}
	from := int64(p - f.allocations[i].at)
	return f.allocations[i].data[from : from+n]
}

// fakeStream keeps what it is asked until it is waited for, or what is after it.
type fakeStream struct {
	f         *fake
	todo      []fakeWork
	done      int // pieces of work before todo
	recording bool
}

// fakeWork is a piece of work, or what a stream has to have done before the next.
type fakeWork struct {
	do      func() error
	host    []byte
	earlier *fakeStream
	until   int
}

type fakeGraph struct {
	f       *fake
	todo    []fakeWork
	pending int // replays that are not done
}

func (g *fakeGraph) Close() error {
	defer g.f.alone()()
	if g.pending > 0 && g.f.sound() {
		panic("a graph was closed that is replayed")
	}
	g.f.open--
	return g.f.lost
}

// ask puts work on the stream, which reads or writes host.
func (s *fakeStream) ask(name string, host []byte, do func()) error {
	defer s.f.alone()()
	now, later := s.f.call(name, true)
	if now != nil || s.f.lazy {
		return now
	}
	s.todo = append(s.todo, fakeWork{host: host, do: func() error {
		if later == nil {
			do()
		}
		return later
	}})
	return s.f.some()
}

// some does some of what all streams were asked, by chance.
func (f *fake) some() error {
	for f.chance != nil && f.chance.IntN(4) > 0 {
		s := f.streams[f.chance.IntN(len(f.streams))]
		if len(s.todo) == 0 || s.recording || s.todo[0].earlier != nil && s.todo[0].earlier.done < s.todo[0].until {
			continue
		}
		if err := s.work(s.done + 1); err != nil {
			return err
		}
	}
	return nil
}

// work does what was asked up to a piece, and what that is after.
func (s *fakeStream) work(until int) error {
	for s.done < until {
		w := s.todo[0]
		s.todo = s.todo[1:]
		s.done++
		if w.earlier != nil {
			if err := w.earlier.work(w.until); err != nil {
				return err
			}
		} else if err := w.do(); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeStream) After(earlier device.Stream) error {
	defer s.f.alone()()
	now, later := s.f.call("after", true)
	if s.recording || earlier.(*fakeStream).recording {
		panic("order in a graph")
	}
	if now != nil || s.f.lazy || s.f.calls["after"] == s.f.deaf {
		return now
	}
	e := earlier.(*fakeStream)
	s.todo = append(s.todo, fakeWork{earlier: e, until: e.done + len(e.todo)})
	if later != nil {
		s.todo = append(s.todo, fakeWork{do: func() error { return later }})
	}
	return s.f.some()
}

func (s *fakeStream) CopyIn(to device.Pointer, from []byte) error {
	if s.recording {
		panic("copy in a graph")
	}
	s.f.copied += int64(len(from))
	if s.f.lazy {
		return s.ask("copy in", nil, nil)
	}
	return s.ask("copy in", from, func() { copy(s.f.at(to, int64(len(from))), from) })
}

func (s *fakeStream) CopyOut(to []byte, from device.Pointer) error {
	if s.recording {
		panic("copy in a graph")
	}
	if s.f.lazy {
		return s.ask("copy out", nil, nil)
	}
	return s.ask("copy out", to, func() { copy(to, s.f.at(from, int64(len(to)))) })
}

func (s *fakeStream) CopyWithin(to, from device.Pointer, bytes int64) error {
	return s.ask("copy within", nil, func() { copy(s.f.at(to, bytes), s.f.at(from, bytes)) })
}

func (s *fakeStream) Fill(to device.Pointer, value byte, bytes int64) error {
	return s.ask("fill", nil, func() {
		for i, memory := 0, s.f.at(to, bytes); i < len(memory); i++ {
			memory[i] = value
		}
	})
}

func (s *fakeStream) Launch(f device.Function, l device.Launch) error {
	for i := range 3 {
		if l.Grid[i] < 1 || l.Block[i] < 1 {
			panic(fmt.Sprintf("launch of %s: %v %v", f.Name(), l.Grid, l.Block))
		}
	}
	args := slices.Clone(l.Args)
	return s.ask("launch", nil, func() { s.f.kernel(f.Name(), args) })
}

func (s *fakeStream) Record(do func() error) (device.Graph, error) {
	if now, _ := s.f.call("record", false); now != nil {
		return nil, now
	}
	before := s.todo
	s.todo, s.recording = nil, true
	err := do()
	g := &fakeGraph{f: s.f, todo: s.todo}
	s.todo, s.recording = before, false
	if err != nil {
		return nil, err
	}
	s.f.open++
	return g, nil
}

func (s *fakeStream) Replay(g device.Graph) error {
	defer s.f.alone()()
	now, later := s.f.call("replay", true)
	if now != nil {
		return now
	}
	if s.f.lazy {
		return nil
	}
	graph := g.(*fakeGraph)
	graph.pending++
	s.todo = append(append(s.todo, graph.todo...), fakeWork{do: func() error {
		graph.pending--
		return nil
	}})
	if later != nil {
		s.todo = append(s.todo, fakeWork{do: func() error { return later }})
	}
	return s.f.some()
}

func (s *fakeStream) Mark() (device.Event, error) { return nil, device.ErrUnsupported }

func (s *fakeStream) Wait(limit time.Duration) (err error) {
	defer s.f.alone()()
	defer func() { s.f.broken = s.f.broken || err != nil }()
	if limit <= 0 {
		panic("wait without a limit")
	}
	s.f.waited = limit
	if now, _ := s.f.call("wait", false); now != nil {
		return now
	}
	defer func() {
		if e, ok := recover().(*device.Error); ok {
			err = e
		}
		if device.Fatal(err) {
			s.f.lost = err
		}
	}()
	return cmp.Or(s.f.some(), s.work(s.done+len(s.todo)))
}

func (s *fakeStream) Close() error {
	defer s.f.alone()()
	s.f.open--
	return s.f.lost
}

// openFake is a Backend on a fake device with memory enough for small models.
func openFake(t *testing.T, o Options) (*Backend, *fake) {
	t.Helper()
	f := newFake(8 << 30)
	if o.StateBytes == 0 {
		o.StateBytes = 16 << 20
	}
	b, err := New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if got := f.left(); got != nothingLeft {
			t.Errorf("after Close: %s", got)
		}
	})
	return b, f
}
