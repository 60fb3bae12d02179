package emulator

import (
	"errors"
	"fmt"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// stream is work that is kept until somebody waits for it: so host code that does
// not keep to the laws of package device computes wrongly here.
type stream struct {
	device    *Device
	queue     []work
	recording bool
}

// work is one thing that a stream was asked to do.
type work func() error

type graph struct{ queue []work }

type event struct {
	at   time.Time
	done bool
}

// NewStream is a stream.
func (d *Device) NewStream() (device.Stream, error) {
	if d.lost != nil {
		return nil, d.lost
	}
	return &stream{device: d}, nil
}

func (s *stream) ask(w work) error {
	if s.device.lost != nil {
		return s.device.lost
	}
	s.queue = append(s.queue, w)
	return nil
}

// touch is bytes of the device's memory.
func (s *stream) touch(at device.Pointer, bytes int64, doing string) ([]byte, error) {
	if bytes < 0 {
		return nil, &device.Error{Kind: device.ErrIllegalAccess, Doing: doing}
	}
	p, why := s.device.memory.reach(uint64(at), uint64(bytes))
	if why != "" {
		return nil, &device.Error{Kind: device.ErrIllegalAccess, Doing: doing + ": " + why}
	}
	return p, nil
}

func (s *stream) CopyIn(to device.Pointer, from []byte) error {
	if s.recording {
		return &device.Error{Kind: device.ErrUnsupported, Doing: "recording a copy to the device"}
	}
	return s.ask(func() error {
		p, err := s.touch(to, int64(len(from)), fmt.Sprintf("copy of %d bytes to the device", len(from)))
		copy(p, from)
		return err
	})
}

func (s *stream) CopyOut(to []byte, from device.Pointer) error {
	if s.recording {
		return &device.Error{Kind: device.ErrUnsupported, Doing: "recording a copy from the device"}
	}
	return s.ask(func() error {
		p, err := s.touch(from, int64(len(to)), fmt.Sprintf("copy of %d bytes from the device", len(to)))
		copy(to, p)
		return err
	})
}

func (s *stream) CopyWithin(to, from device.Pointer, bytes int64) error {
	return s.ask(func() error {
		doing := fmt.Sprintf("copy of %d bytes within the device", bytes)
		p, err := s.touch(from, bytes, doing)
		if err != nil {
			return err
		}
		q, err := s.touch(to, bytes, doing)
		copy(q, p)
		return err
	})
}

func (s *stream) Fill(to device.Pointer, value byte, bytes int64) error {
	return s.ask(func() error {
		p, err := s.touch(to, bytes, fmt.Sprintf("filling %d bytes", bytes))
		for i := range p {
			p[i] = value
		}
		return err
	})
}

func (s *stream) Launch(f device.Function, l device.Launch) error {
	fn, ok := f.(*function)
	if !ok || fn.device != s.device {
		return &device.Error{Kind: device.ErrIllegalAccess, Doing: "launch of another device's kernel"}
	}
	if err := fn.check(&l); err != nil {
		return err
	}
	l.Args = append([]byte(nil), l.Args...)
	return s.ask(func() error { return fn.launch(&l) })
}

func (s *stream) Record(do func() error) (device.Graph, error) {
	if s.recording {
		return nil, &device.Error{Kind: device.ErrUnsupported, Doing: "recording within a recording"}
	}
	before := s.queue
	s.queue, s.recording = nil, true
	err := do()
	g := &graph{s.queue}
	s.queue, s.recording = before, false
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (s *stream) Replay(g device.Graph) error {
	recorded, ok := g.(*graph)
	if !ok || s.recording {
		return &device.Error{Kind: device.ErrUnsupported, Doing: "replay of no graph"}
	}
	if s.device.lost != nil {
		return s.device.lost
	}
	s.queue = append(s.queue, recorded.queue...)
	return nil
}

func (s *stream) Mark() (device.Event, error) {
	e := &event{}
	return e, s.ask(func() error {
		e.at, e.done = time.Now(), true
		return nil
	})
}

func (s *stream) Wait(limit time.Duration) error {
	d := s.device
	if d.lost != nil {
		return d.lost
	}
	if limit <= 0 {
		return &device.Error{Kind: device.ErrUnsupported, Doing: "wait without a limit"}
	}
	queue := s.queue
	s.queue = s.queue[:0]
	for i, w := range queue {
		err := w()
		queue[i] = nil
		var failure *device.Error
		if errors.As(err, &failure) {
			d.lost = failure
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) Close() error {
	s.queue = nil
	return nil
}

func (g *graph) Close() error { return nil }

func (e *event) Since(earlier device.Event) (time.Duration, error) {
	from, ok := earlier.(*event)
	if !ok || !from.done || !e.done {
		return 0, &device.Error{Kind: device.ErrUnsupported, Doing: "time between events that were not waited for"}
	}
	return e.at.Sub(from.at), nil
}

func (e *event) Close() error { return nil }
