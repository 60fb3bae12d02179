package cuda

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
)

// Step implements [tcn.Stage]. Rows of all Works are cut into passes of at most
// Options.MaxRows. While the device computes one the rows of the next arrive, and
// the results of the one before leave and are handed out.
func (s *stage) Step(work []*tcn.Work) error {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	s.steps++
	queue := s.queue[:0]
	for _, w := range work {
		if w.Err = s.admit(w); w.Err == nil {
			queue = append(queue, w)
		}
	}
	defer s.forget(queue)
	dressed, err := s.dress(queue)
	if err == nil {
		err = s.run(cursor{queue: dressed})
	}
	if err != nil {
		err = s.failed(err)
		for _, w := range dressed {
			w.Err = err
		}
		return err
	}
	for _, w := range dressed {
		state := w.State.(*state)
		if w.Err = state.failure; w.Err == nil {
			state.advance(w.Rows.Count)
		}
	}
	return nil
}

// forget keeps the room for the queue and the passes, not what was in it.
func (s *stage) forget(queue []*tcn.Work) {
	clear(queue[:cap(queue)])
	s.queue = queue[:0]
	for i := range s.passes {
		p := &s.passes[i]
		clear(p.list[:cap(p.list)])
		p.list = p.list[:0]
	}
}

// admit checks a Work before anything of its state is touched.
func (s *stage) admit(w *tcn.Work) error {
	state, ok := w.State.(*state)
	switch {
	case !ok || state == nil || state.stage != s:
		return fmt.Errorf("%w: no state of this stage", tcn.ErrShape)
	case state.closed:
		return fmt.Errorf("%w: state", tcn.ErrClosed)
	case state.failure != nil:
		return state.failure
	case state.step == s.steps:
		return fmt.Errorf("%w: state has a Work in this Step already", tcn.ErrPosition)
	}
	if err := w.Check(s.config, state.sub, state.position, state.variant, s.backend.hands.allFinite); err != nil {
		return err
	}
	state.variant, state.step = w.Variant, s.steps
	return nil
}

// dress readies what the sequences of a queue wear, and returns the Works for which
// that was possible, in place. The error is the device's.
func (s *stage) dress(queue []*tcn.Work) ([]*tcn.Work, error) {
	dressed := queue[:0]
	for i, w := range queue {
		state := w.State.(*state)
		err := s.wardrobe.wear(state, w.Variant)
		if err == nil {
			err = s.reserve(state.outfit)
		}
		if errors.Is(err, tcn.ErrDevice) {
			return append(dressed, queue[i:]...), err
		}
		if w.Err = err; err == nil {
			dressed = append(dressed, w)
		}
	}
	return dressed, nil
}

// lanes are the streams on which rows come and go. A Step of one pass, where nothing
// is beside anything, does all on the stream that computes, and needs no order.
type lanes struct{ in, out device.Stream }

// run takes the queue through the device. A slot and its pinned memory are used
// again, for the next pass but one, when the host has waited for what left them.
func (s *stage) run(c cursor) error {
	b, now := s.backend, &s.passes[0]
	if !s.ready(now, &c) {
		return nil
	}
	l := lanes{b.stream, b.stream}
	if len(c.queue) > 0 {
		l = lanes{b.in, b.out}
	}
	if err := s.send(now, l); err != nil {
		return err
	}
	if err := s.fetch(now, l); err != nil {
		return err
	}
	for next := &s.passes[1]; ; now, next = next, now {
		more := s.ready(next, &c)
		if more {
			if err := s.send(next, l); err != nil {
				return err
			}
		}
		if err := await(l.out, b.options.Watchdog); err != nil {
			return err
		}
		if more { // not sooner: Wait is for all that was asked
			if err := s.fetch(next, l); err != nil {
				return err
			}
		}
		if err := s.collect(now); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// after makes later wait for what earlier was asked, if they are not the same.
func after(later, earlier device.Stream) error {
	if later == earlier {
		return nil
	}
	return later.After(earlier)
}
