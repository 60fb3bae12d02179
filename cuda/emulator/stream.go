package emulator

import (
	"errors"
	"fmt"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// stream is work that is kept until somebody waits for it, or for what comes after
// it in another stream: so host code that does not keep to the laws of package device
// computes wrongly here.
type stream struct {
	device    *Device
	queue     []work
	done      int // pieces of work before the queue
	recording bool
	closed    bool
}

// What work is.
type task uint8

const (
	copyIn task = iota
	copyOut
	copyWithin
	fillTask
	launch
	mark
	order  // nothing to do, once an earlier stream has come so far
	replay // counted only: what the graph holds follows
)

// work is one thing that a stream was asked to do.
type work struct {
	task     task
	value    byte
	to, from device.Pointer
	bytes    int64
	host     []byte
	function *function
	launch   *device.Launch
	event    *event
	earlier  *stream
	until    int // pieces of its work
}

type graph struct {
	device *Device
	queue  []work
	closed bool
}

type event struct {
	at   time.Duration
	done bool
}

// refused is something that cannot be asked.
func refused(doing string) error { return &device.Error{Kind: device.ErrUnsupported, Doing: doing} }

func (s *stream) ask(w work) error {
	if err := s.device.failed(); err != nil {
		return err
	}
	if s.closed {
		return refused("work of a closed stream")
	}
	s.queue = append(s.queue, w)
	return nil
}

func (s *stream) CopyIn(to device.Pointer, from []byte) error {
	if s.recording {
		return refused("copy to the device while a graph is recorded")
	}
	return s.ask(work{task: copyIn, to: to, host: from})
}

func (s *stream) CopyOut(to []byte, from device.Pointer) error {
	if s.recording {
		return refused("copy from the device while a graph is recorded")
	}
	return s.ask(work{task: copyOut, from: from, host: to})
}

func (s *stream) CopyWithin(to, from device.Pointer, bytes int64) error {
	return s.ask(work{task: copyWithin, to: to, from: from, bytes: bytes})
}

func (s *stream) Fill(to device.Pointer, value byte, bytes int64) error {
	return s.ask(work{task: fillTask, to: to, value: value, bytes: bytes})
}

func (s *stream) Launch(f device.Function, l device.Launch) error {
	fn, ok := f.(*function)
	if !ok || fn.device != s.device {
		return refused("launch of another device's kernel")
	}
	if err := fn.check(&l); err != nil {
		return err
	}
	l.Args = append([]byte(nil), l.Args...)
	return s.ask(work{task: launch, function: fn, launch: &l})
}

func (s *stream) Record(do func() error) (device.Graph, error) {
	if s.recording {
		return nil, refused("recording of a graph within another")
	}
	before := s.queue
	s.queue, s.recording = nil, true
	err := do()
	g := &graph{device: s.device, queue: s.queue}
	s.queue, s.recording = before, false
	if err == nil {
		err = s.device.failed()
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (s *stream) Replay(g device.Graph) error {
	recorded, ok := g.(*graph)
	if !ok || recorded.closed || recorded.device != s.device || s.recording {
		return refused("replay of a graph that is closed, another device's or recorded now")
	}
	if err := s.ask(work{task: replay}); err != nil {
		return err
	}
	s.queue = append(s.queue, recorded.queue...)
	return nil
}

func (s *stream) Mark() (device.Event, error) {
	e := &event{}
	return e, s.ask(work{task: mark, event: e})
}

func (s *stream) After(earlier device.Stream) error {
	e, ok := earlier.(*stream)
	if !ok || e.device != s.device || e.closed || e.recording || s.recording {
		return refused("order after a stream that is closed or another device's, or while a graph is recorded")
	}
	return s.ask(work{task: order, earlier: e, until: e.asked()})
}

// asked is how many pieces of work the stream was ever asked to do.
func (s *stream) asked() int { return s.done + len(s.queue) }

// Wait does what was asked, and what that is after. The limit is not looked at: a
// launch hangs when it has used up its budget, however long that took.
func (s *stream) Wait(limit time.Duration) error {
	d := s.device
	if err := d.failed(); err != nil {
		return err
	}
	if limit <= 0 || s.recording {
		return refused("wait without a limit, or while a graph is recorded")
	}
	return s.do(s.asked())
}

// do does the work up to a piece, counted from 1 since ever.
func (s *stream) do(until int) error {
	d := s.device
	for s.done < until {
		w := s.queue[0]
		if w.task == order {
			if err := w.earlier.do(w.until); err != nil {
				return err
			}
		}
		s.queue[0] = work{}
		s.queue, s.done = s.queue[1:], s.done+1
		if kind := d.faults.due(false); kind != nil {
			return d.lose(fault(kind))
		}
		err := d.do(&w)
		var failure *device.Error
		if errors.As(err, &failure) {
			return d.lose(failure)
		}
	}
	return nil
}

// Close ends the stream. What it was asked to do is done when another stream that is
// after it is waited for.
func (s *stream) Close() error {
	s.closed = true
	return nil
}

func (g *graph) Close() error {
	g.queue, g.closed = nil, true
	return nil
}

func (e *event) Since(earlier device.Event) (time.Duration, error) {
	from, ok := earlier.(*event)
	if !ok || !from.done || !e.done {
		return 0, refused("time between events that were not waited for")
	}
	return e.at - from.at, nil
}

func (e *event) Close() error { return nil }

// pass lets the device's time go on: a nanosecond for an instruction of a warp,
// which is no measure of any device.
func (d *Device) pass(instructions int64) { d.clock += time.Duration(instructions) }

// do does one piece of work.
func (d *Device) do(w *work) error {
	d.pass(1000)
	switch w.task {
	case launch:
		return w.function.launch(w.launch)
	case mark:
		w.event.at, w.event.done = d.clock, true
		return nil
	case order:
		return nil
	case replay:
		d.counts.Replays++
		return nil
	}
	d.counts.Copies++
	return d.move(w)
}

// move copies or fills.
func (d *Device) move(w *work) error {
	bytes, doing := w.bytes, ""
	switch w.task {
	case copyIn:
		bytes = int64(len(w.host))
		doing = "copy of %d bytes to the device"
	case copyOut:
		bytes = int64(len(w.host))
		doing = "copy of %d bytes from the device"
	case copyWithin:
		doing = "copy of %d bytes within the device"
	default:
		doing = "filling of %d bytes"
	}
	doing = fmt.Sprintf(doing, bytes)
	if bytes == 0 {
		return nil
	}
	if bytes < 0 {
		return &device.Error{Kind: device.ErrIllegalAccess, Doing: doing}
	}
	d.counts.Copied += bytes
	var to, from []byte
	var err error
	if w.task != copyOut {
		to, err = d.touch(w.to, bytes, doing)
	}
	if err == nil && (w.task == copyOut || w.task == copyWithin) {
		from, err = d.touch(w.from, bytes, doing)
	}
	if err != nil {
		return err
	}
	switch w.task {
	case copyIn:
		copy(to, w.host)
	case copyOut:
		copy(w.host, from)
	case copyWithin:
		copy(to, from)
	default:
		fill(to, w.value)
	}
	d.noteWritten(w, uint64(bytes))
	return nil
}

// touch is bytes of the device's memory.
func (d *Device) touch(at device.Pointer, bytes int64, doing string) ([]byte, error) {
	p, why := d.memory.reach(uint64(at), uint64(bytes))
	if why != "" {
		return nil, &device.Error{Kind: device.ErrIllegalAccess, Name: "IllegalAddress", Code: 700, Doing: doing + ": " + why}
	}
	return p, nil
}

// noteWritten notes for a strict device that w wrote.
func (d *Device) noteWritten(w *work, bytes uint64) {
	if w.task == copyOut {
		return
	}
	to := d.memory.find(uint64(w.to))
	if to.written == nil {
		return
	}
	if w.task == copyWithin {
		from := d.memory.find(uint64(w.from))
		to.written.copy(uint64(w.to)-to.base, from.written, uint64(w.from)-from.base, bytes)
		return
	}
	to.written.set(uint64(w.to)-to.base, bytes)
}
