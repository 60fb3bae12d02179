package cuda

import (
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
)

// state is one sequence's memory in a [stage]: a run of bytes of its pool. Its
// methods must not run while a Step holds it.
type state struct {
	stage    *stage
	sub      tcn.Range
	start    int   // rows before it are zero
	position int   // of the next row
	highest  int   // the furthest position ever reached
	at       int64 // of its rings, in the pool
	bytes    int64
	clean    bool         // what was in the pool before is gone
	variant  *tcn.Variant // the last one found valid
	outfit   *outfit      // the last one worn, on the device
	closed   bool
	step     uint64 // the last Step that took rows of this state
	failure  error  // where a number was not finite; the rings are spoilt
	spoilt   int    // the layer of failure, the lowest of the Work, from the stage's first
}

// NewState implements [tcn.Stage].
func (s *stage) NewState(sub tcn.Range, start int) (tcn.State, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	if err := checkRange(sub, s.blocks); err != nil {
		return nil, err
	}
	if start < 0 {
		return nil, fmt.Errorf("%w: start %d", tcn.ErrPosition, start)
	}
	bytes := s.layout.stateBytes(sub.Lo-s.blocks.Lo, sub.Hi-s.blocks.Lo)
	at, ok := s.states.take(bytes)
	if !ok {
		err := &device.Error{Kind: device.ErrOutOfMemory, Doing: fmt.Sprintf("%d bytes of the %d of all states, %d of them free",
			bytes, s.states.bytes, s.states.left())}
		return nil, s.backend.typed(err, s.where("new state"))
	}
	return &state{stage: s, sub: sub, start: start, position: start, highest: start, at: at, bytes: bytes}, nil
}

func (s *state) Range() tcn.Range { return s.sub }
func (s *state) Position() int    { return s.position }

// Bytes implements [tcn.State].
func (s *state) Bytes() int64 { return s.bytes }

// Truncate implements [tcn.State]. The rings keep DraftRows rows more than the next
// row needs, counted from the highest position the state ever reached: rows
// written past a truncation have taken the places of the oldest.
func (s *state) Truncate(position int) error {
	if s.closed {
		return fmt.Errorf("%w: state", tcn.ErrClosed)
	}
	if err := tcn.CheckTruncate(position, s.start, s.position, s.highest); err != nil {
		return err
	}
	s.position = position
	return nil
}

// Close implements [tcn.State]. It gives its memory to the next state.
func (s *state) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.stage.wardrobe.change(s, nil)
	s.stage.states.give(s.at, s.bytes)
	return nil
}

// advance moves the state past n rows.
func (s *state) advance(n int) {
	s.position += n
	s.highest = max(s.highest, s.position)
}

// rings is where the state's rings would begin if it held the stage's first layer,
// so that the offset of a layer is the same for every state.
func (s *state) rings() device.Pointer {
	return s.stage.rings + device.Pointer(s.at) - device.Pointer(s.stage.layout.rings[s.lo()])
}

// lo and hi are the state's blocks, counted from the stage's first.
func (s *state) lo() int { return s.sub.Lo - s.stage.blocks.Lo }
func (s *state) hi() int { return s.sub.Hi - s.stage.blocks.Lo }
