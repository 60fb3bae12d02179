package rack

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/zetagrid/zetagrid/tcn"
)

// stage is a range over the devices of a rack. Its files: state.go holds
// sequences, flow.go takes rows through the parts.
type stage struct {
	config tcn.Config
	blocks tcn.Range
	parts  []*part // in order of their blocks; devices without blocks have none
	closed atomic.Bool
	lost   atomic.Pointer[error] // of the device that failed first; nil: none
	steps  uint64

	// What a Step needs, kept for the next.
	queue  []*tcn.Work
	pieces []piece
}

// part is the blocks of one device.
type part struct {
	name   string // of the device, with its number
	blocks tcn.Range
	stage  tcn.Stage
	batch  []*tcn.Work // of the Step under way
}

func (s *stage) Config() tcn.Config { return s.config }
func (s *stage) Range() tcn.Range   { return s.blocks }

// Close implements [tcn.Stage]. It closes the parts of every device, lost or not.
func (s *stage) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, p := range s.parts {
		errs = append(errs, p.named(p.stage.Close()))
	}
	return errors.Join(errs...)
}

// named says which device an error is of.
func (p *part) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// usable is why nothing can be computed here any more; nil if it can.
func (s *stage) usable() error {
	if s.closed.Load() {
		return fmt.Errorf("%w: stage", tcn.ErrClosed)
	}
	if lost := s.lost.Load(); lost != nil {
		return *lost
	}
	return nil
}

// lose keeps the first failure of a device, and returns it.
func (s *stage) lose(err error) error {
	s.lost.CompareAndSwap(nil, &err)
	return *s.lost.Load()
}

// NewState implements [tcn.Stage].
func (s *stage) NewState(sub tcn.Range, start int) (tcn.State, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	if sub.Lo >= sub.Hi || !s.blocks.Contains(sub) {
		return nil, fmt.Errorf("%w: [%d, %d) in [%d, %d)", tcn.ErrRange, sub.Lo, sub.Hi, s.blocks.Lo, s.blocks.Hi)
	}
	if start < 0 {
		return nil, fmt.Errorf("%w: start %d", tcn.ErrPosition, start)
	}
	made := &state{stage: s, sub: sub, start: start, position: start, highest: start}
	made.first = slices.IndexFunc(s.parts, func(p *part) bool { return p.blocks.Hi > sub.Lo })
	for _, p := range s.parts[made.first:] {
		within := tcn.Range{Lo: max(sub.Lo, p.blocks.Lo), Hi: min(sub.Hi, p.blocks.Hi)}
		if within.Lo >= within.Hi {
			break
		}
		one, err := p.stage.NewState(within, start)
		if err != nil {
			err = p.named(err)
			if errors.Is(err, tcn.ErrDevice) {
				err = s.lose(err)
			}
			return nil, errors.Join(err, made.Close())
		}
		made.states = append(made.states, one)
	}
	return made, nil
}

// Step implements [tcn.Stage].
func (s *stage) Step(work []*tcn.Work) error {
	if err := s.usable(); err != nil {
		return err
	}
	s.steps++
	queue, rows := s.queue[:0], 0
	for _, w := range work {
		if w.Err = s.admit(w); w.Err == nil {
			queue = append(queue, w)
			rows += w.Rows.Count
		}
	}
	s.pieces = cut(s.pieces[:0], queue, s.config.DModel, s.rowsOfGroup(rows))
	err := s.flow(s.pieces)
	if err == nil {
		settle(s.pieces)
	}
	// Keep the room, not what was in it.
	clear(queue)
	clear(s.pieces)
	s.queue = queue
	for _, p := range s.parts {
		clear(p.batch)
	}
	return err
}

// admit checks a Work before anything of its state is touched.
func (s *stage) admit(w *tcn.Work) error {
	of, ok := w.State.(*state)
	switch {
	case !ok || of == nil || of.stage != s:
		return fmt.Errorf("%w: no state of this stage", tcn.ErrShape)
	case of.closed:
		return fmt.Errorf("%w: state", tcn.ErrClosed)
	case of.failure != nil:
		return of.failure
	case of.step == s.steps:
		return fmt.Errorf("%w: state has a Work in this Step already", tcn.ErrPosition)
	}
	if err := w.Check(s.config, of.sub, of.position, of.variant, nil); err != nil {
		return err
	}
	of.variant, of.step = w.Variant, s.steps
	return nil
}
