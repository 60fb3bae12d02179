//go:build cuda && linux

package driver

import (
	"cmp"
	"errors"
	"time"

	"gorgonia.org/cu"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// stream is work in order on one device.
type stream struct {
	gpu       *gpu
	s         cu.Stream
	last      *function // the kernel that was asked for last, nil if none was since Wait
	recording bool
	closed    bool
	moment    cu.Event // that other streams are after; made when the first is
	bounce    [2]bounce
	next      int // the bounce buffer to use next
}

// ready says why the stream cannot be asked for anything.
func (s *stream) ready(doing string) error {
	if s.closed {
		return unsupported("%s: the stream is closed", doing)
	}
	return nil
}

// idle is ready, and nothing is being recorded.
func (s *stream) idle(doing string) error {
	if s.recording {
		return unsupported("%s: not while recording", doing)
	}
	return s.ready(doing)
}

func (s *stream) Launch(f device.Function, l device.Launch) error {
	k, ok := f.(*function)
	if !ok || k.gpu != s.gpu {
		return unsupported("a kernel of another device")
	}
	if err := s.ready(k.doing); err != nil {
		return err
	}
	if err := k.check(l); err != nil {
		return err
	}
	s.last = k
	if err := s.gpu.call(func() error { return k.launch(s, l) }); err != nil {
		return s.gpu.fail(err, k.doing)
	}
	return nil
}

// After leaves the waiting to the device. One event serves again and again: who waits
// for it waits for what was recorded last when it was asked to.
func (s *stream) After(earlier device.Stream) error {
	const doing = "ordering two streams"
	e, ok := earlier.(*stream)
	if !ok || e.gpu != s.gpu {
		return unsupported("%s: one is of another device", doing)
	}
	if err := cmp.Or(s.idle(doing), e.idle(doing)); err != nil {
		return err
	}
	err := s.gpu.call(func() (err error) {
		if e.moment == (cu.Event{}) {
			if e.moment, err = cu.MakeEvent(cu.DisableTiming); err != nil {
				return err
			}
		}
		if err := e.moment.Record(e.s); err != nil {
			return err
		}
		return s.s.Wait(e.moment, 0)
	})
	if err != nil {
		return s.gpu.fail(err, doing)
	}
	if e.last != nil {
		s.last = e.last
	}
	return nil
}

func (s *stream) Wait(limit time.Duration) error {
	if err := s.idle("waiting"); err != nil {
		return err
	}
	if limit <= 0 {
		return unsupported("waiting for %v", limit)
	}
	if err := s.gpu.poll(limit, s.doing(), func() error { return queryStream(s.s) }); err != nil {
		return err
	}
	s.last = nil
	return nil
}

// doing is what the stream is waited for.
func (s *stream) doing() string {
	if s.last == nil {
		return "waiting for the stream"
	}
	return s.last.waiting
}

// poll looks until what query asks for is done, and ends the device after limit.
func (g *gpu) poll(limit time.Duration, doing string, query func() error) error {
	for began := time.Now(); ; {
		switch err := g.call(query); err {
		case nil:
			return nil
		case errNotReady:
		default:
			return g.fail(err, doing)
		}
		waited := time.Since(began)
		if waited >= limit {
			return g.fail(&device.Error{Kind: device.ErrHung, Doing: doing}, doing)
		}
		if p := pause(waited); p > 0 {
			rest(min(p, limit-waited))
		}
	}
}

// Close gives the stream back; what it was asked to do is still done.
func (s *stream) Close() error {
	if s.closed {
		return nil
	}
	if err := s.idle("closing a stream"); err != nil {
		return err
	}
	s.closed = true
	err := s.gpu.boundedDo(s.gpu.limits.memory, "closing a stream", func() error {
		if s.moment == (cu.Event{}) {
			return s.s.Destroy()
		}
		return cmp.Or(cu.DestroyEvent(&s.moment), s.s.Destroy())
	})
	for i := range s.bounce {
		err = errors.Join(err, s.bounce[i].close(s.gpu))
	}
	if errors.Is(err, device.ErrClosed) {
		return nil // the device's Close has done it
	}
	return err
}

// event is a moment of a stream.
type event struct {
	gpu *gpu
	e   cu.Event
}

func (s *stream) Mark() (device.Event, error) {
	if err := s.idle("marking a moment"); err != nil {
		return nil, err
	}
	e := &event{gpu: s.gpu}
	err := s.gpu.call(func() (err error) {
		if e.e, err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return err
		}
		return e.e.Record(s.s)
	})
	if err != nil {
		return nil, s.gpu.fail(err, "marking a moment")
	}
	return e, nil
}

func (e *event) Since(earlier device.Event) (time.Duration, error) {
	from, ok := earlier.(*event)
	if !ok || from.gpu != e.gpu {
		return 0, unsupported("the time since a moment of another device")
	}
	var milliseconds float64
	err := e.gpu.call(func() (err error) {
		milliseconds, err = from.e.Elapsed(e.e)
		return err
	})
	if err != nil {
		return 0, e.gpu.fail(err, "the time between two moments")
	}
	return time.Duration(milliseconds * float64(time.Millisecond)), nil
}

func (e *event) Close() error {
	if e.e == (cu.Event{}) {
		return nil
	}
	err := e.gpu.call(func() error { return cu.DestroyEvent(&e.e) })
	if err != nil && !errors.Is(err, device.ErrClosed) {
		return e.gpu.fail(err, "forgetting a moment")
	}
	return nil
}
