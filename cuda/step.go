package cuda

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// Step implements [tcn.Stage]. Rows of all Works are cut into passes of at most
// Options.MaxRows. While the device computes one the next is readied, and the
// results of the one before are handed out.
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

// run takes the queue through the device.
func (s *stage) run(c cursor) error {
	b, now := s.backend, &s.passes[0]
	if !s.ready(now, &c) {
		return nil
	}
	if err := s.send(now); err != nil {
		return err
	}
	for next := &s.passes[1]; ; now, next = next, now {
		more := s.ready(next, &c)
		if err := await(b.stream, b.options.Watchdog); err != nil {
			return err
		}
		if more {
			if err := s.send(next); err != nil {
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
