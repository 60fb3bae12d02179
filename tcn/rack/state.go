package rack

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// state is one sequence's memory: a state per device that its range touches.
type state struct {
	stage    *stage
	sub      tcn.Range
	first    int         // index of the first part it touches
	states   []tcn.State // of part first and the parts after it
	start    int         // rows before it are zero
	position int         // of the next row
	highest  int         // the furthest position ever reached
	variant  *tcn.Variant
	closed   bool
	step     uint64 // the last Step that took rows of this state
	failure  error  // the devices do not stand at one position any more: why
}

func (s *state) Range() tcn.Range { return s.sub }
func (s *state) Position() int    { return s.position }

// in is the state on the device of part p; nil if the range does not touch it.
func (s *state) in(p int) tcn.State {
	if p < s.first || p >= s.first+len(s.states) {
		return nil
	}
	return s.states[p-s.first]
}

// Bytes implements [tcn.State].
func (s *state) Bytes() int64 {
	total := int64(0)
	for _, one := range s.states {
		total += one.Bytes()
	}
	return total
}

// Truncate implements [tcn.State]. The states of all devices have been where this
// one has, so all of them can go back or none.
func (s *state) Truncate(position int) error {
	if s.closed {
		return fmt.Errorf("%w: state", tcn.ErrClosed)
	}
	if err := tcn.CheckTruncate(position, s.start, s.position, s.highest); err != nil {
		return err
	}
	if s.failure == nil {
		for i, one := range s.states {
			if err := s.stage.parts[s.first+i].named(one.Truncate(position)); err != nil {
				s.failure = err
				return err
			}
		}
	}
	s.position = position
	return nil
}

// Close implements [tcn.State].
func (s *state) Close() error {
	var errs []error
	for i, one := range s.states {
		errs = append(errs, s.stage.parts[s.first+i].named(one.Close()))
	}
	s.closed, s.states = true, nil
	return errors.Join(errs...)
}

// settle moves the state past its rows, or keeps why it cannot be.
func (s *state) settle(w *tcn.Work) {
	if w.Err == nil {
		s.position += w.Rows.Count
		s.highest = max(s.highest, s.position)
		return
	}
	for _, one := range s.states {
		if one.Position() != s.position { // it took rows that a later device did not
			s.failure = w.Err
		}
	}
}
