package bench

import (
	"slices"
	"sync"
	"time"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/cuda/device"
)

// observed is a device of which is known how much of its memory was taken at most,
// and, where asked for, how long each kernel of a stage takes.
type observed struct {
	device.Device
	plug func(device.Stream) error // keeps the device busy while the host asks for more; nil: nothing does

	mu   sync.Mutex
	peak int64 // bytes of the device's memory that were taken, by whomever

	streams []*observedStream
	timing  bool // kernels are timed one by one
	elapsed map[kind]*spent
}

// kind is what a stream is asked to do: a kernel with so many blocks of threads, or
// a copy or a fill, with none.
type kind struct {
	name   string
	blocks int
}

// spent is the time of a kind so far.
type spent struct {
	launches int
	time     time.Duration
}

func observe(d device.Device) *observed {
	o := &observed{Device: d}
	o.sample()
	return o
}

// sample looks at how much memory is taken, and returns the most so far.
func (o *observed) sample() int64 {
	info := o.Info()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.peak = max(o.peak, info.Memory-info.Free)
	return o.peak
}

// Allocate implements [device.Device].
func (o *observed) Allocate(bytes int64) (device.Pointer, error) {
	p, err := o.Device.Allocate(bytes)
	if err == nil {
		o.sample()
	}
	return p, err
}

// NewStream implements [device.Device].
func (o *observed) NewStream() (device.Stream, error) {
	s, err := o.Device.NewStream()
	if err != nil {
		return nil, err
	}
	observed := &observedStream{Stream: s, of: o}
	o.streams = append(o.streams, observed)
	return observed, nil
}

// time runs do and returns what the work of all streams took by kind.
func (o *observed) time(do func() error) (map[kind]*spent, error) {
	o.timing, o.elapsed = true, map[kind]*spent{}
	err := do()
	o.timing = false
	for _, s := range o.streams {
		if err == nil && len(s.kinds) > 0 { // do waited for a stream that is after it
			err = s.Wait(cuda.DefaultWatchdog)
		}
	}
	return o.elapsed, err
}

// operation is something a stream was asked to do.
type operation struct {
	kind kind
	do   func(device.Stream) error
}

// observedStream remembers what graphs consist of, so that their parts can be
// timed.
type observedStream struct {
	device.Stream
	of        *observed
	recording *observedGraph // nil outside Record
	moments   []device.Event // before the first operation and after each
	kinds     []kind         // of the operations
}

// observedGraph is a graph and what it consists of.
type observedGraph struct {
	device.Graph
	operations []operation
}

// ask does an operation, and remembers or times it.
func (s *observedStream) ask(k kind, do func(device.Stream) error) error {
	if s.recording != nil {
		s.recording.operations = append(s.recording.operations, operation{k, do})
	}
	if !s.of.timing || s.recording != nil {
		return do(s.Stream)
	}
	if len(s.moments) == 0 {
		if s.of.plug != nil {
			if err := s.of.plug(s.Stream); err != nil {
				return err
			}
		}
		if err := s.mark(); err != nil {
			return err
		}
	}
	if err := do(s.Stream); err != nil {
		return err
	}
	s.kinds = append(s.kinds, k)
	return s.mark()
}

func (s *observedStream) mark() error {
	event, err := s.Stream.Mark()
	if err == nil {
		s.moments = append(s.moments, event)
	}
	return err
}

// CopyIn implements [device.Stream].
func (s *observedStream) CopyIn(to device.Pointer, from []byte) error {
	return s.ask(kind{name: "copy in"}, func(under device.Stream) error { return under.CopyIn(to, from) })
}

// CopyOut implements [device.Stream].
func (s *observedStream) CopyOut(to []byte, from device.Pointer) error {
	return s.ask(kind{name: "copy out"}, func(under device.Stream) error { return under.CopyOut(to, from) })
}

// CopyWithin implements [device.Stream].
func (s *observedStream) CopyWithin(to, from device.Pointer, bytes int64) error {
	return s.ask(kind{name: "copy within"}, func(under device.Stream) error { return under.CopyWithin(to, from, bytes) })
}

// Fill implements [device.Stream].
func (s *observedStream) Fill(to device.Pointer, value byte, bytes int64) error {
	return s.ask(kind{name: "fill"}, func(under device.Stream) error { return under.Fill(to, value, bytes) })
}

// Launch implements [device.Stream].
func (s *observedStream) Launch(f device.Function, l device.Launch) error {
	if s.recording != nil {
		l.Args = slices.Clone(l.Args) // they are read now
	}
	return s.ask(kind{f.Name(), l.Grid[0] * l.Grid[1] * l.Grid[2]}, func(under device.Stream) error { return under.Launch(f, l) })
}

// Record implements [device.Stream].
func (s *observedStream) Record(do func() error) (device.Graph, error) {
	made := &observedGraph{}
	graph, err := s.Stream.Record(func() error {
		s.recording = made
		defer func() { s.recording = nil }()
		return do()
	})
	if err != nil {
		return nil, err
	}
	made.Graph = graph
	return made, nil
}

// Replay implements [device.Stream].
func (s *observedStream) Replay(g device.Graph) error {
	graph := g.(*observedGraph) // all graphs are of Record
	if !s.of.timing {
		return s.Stream.Replay(graph.Graph)
	}
	for _, o := range graph.operations {
		if err := s.ask(o.kind, o.do); err != nil {
			return err
		}
	}
	return nil
}

// After implements [device.Stream]. What the device waits is no kernel's time.
func (s *observedStream) After(earlier device.Stream) error {
	e := earlier.(*observedStream) // all streams are of NewStream
	return s.ask(kind{name: "order"}, func(under device.Stream) error { return under.After(e.Stream) })
}

// Wait implements [device.Stream].
func (s *observedStream) Wait(limit time.Duration) error {
	if err := s.Stream.Wait(limit); err != nil {
		return err
	}
	for i, k := range s.kinds {
		took, err := s.moments[i+1].Since(s.moments[i])
		if err != nil {
			return err
		}
		sum := s.of.elapsed[k]
		if sum == nil {
			sum = &spent{}
			s.of.elapsed[k] = sum
		}
		sum.launches, sum.time = sum.launches+1, sum.time+took
	}
	moments := s.moments
	s.moments, s.kinds = nil, nil
	for _, m := range moments {
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}
