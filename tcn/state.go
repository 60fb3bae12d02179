package tcn

import (
	"fmt"
	"math"
	"sync/atomic"
)

// ring keeps the last rows of one layer's conv input; the row of position p is
// in slot p mod rows. Exactly one of f32 and bf16 is set.
type ring struct {
	rows, width int
	f32         []float32 // [rows, width]
	bf16        []uint16  // [rows, width], the upper halves of float32 numbers
}

func newRing(rows, width int, number Number) ring {
	r := ring{rows: rows, width: width}
	if number == BF16 {
		r.bf16 = make([]uint16, rows*width)
	} else {
		r.f32 = make([]float32, rows*width)
	}
	return r
}

// store keeps channels [lo, lo+len(values)) of the row of a position. Values
// are already rounded to the ring's type.
func (r *ring) store(position, lo int, values []float32) {
	at := position%r.rows*r.width + lo
	if r.bf16 == nil {
		copy(r.f32[at:], values)
		return
	}
	out := r.bf16[at : at+len(values)]
	for c, v := range values {
		out[c] = uint16(math.Float32bits(v) >> 16)
	}
}

// load returns channels [lo, lo+channels) of the row of a position: where they
// lie, or from bf16 widened into room.
func (r *ring) load(position, lo, channels int, room []float32) []float32 {
	at := position%r.rows*r.width + lo
	if r.bf16 == nil {
		return r.f32[at : at+channels]
	}
	room = room[:channels]
	for c, bits := range r.bf16[at : at+channels] {
		room[c] = math.Float32frombits(uint32(bits) << 16)
	}
	return room
}

// bytes is the memory the rows take.
func (r *ring) bytes() int64 { return 4*int64(len(r.f32)) + 2*int64(len(r.bf16)) }

// cpuState is one sequence's memory in a [cpuStage]. Its methods must not run
// while a Step holds it.
type cpuState struct {
	stage    *cpuStage
	sub      Range
	start    int      // rows before it are zero
	position int      // of the next row
	highest  int      // the furthest position ever reached
	rings    []ring   // one per layer of sub
	variant  *Variant // the last one found valid
	closed   bool
	step     uint64      // the last Step that took rows of this state
	bad      atomic.Bool // set during a Step when a number is not finite
	failure  error       // where; the rings are spoilt
	spoilt   int         // the layer of failure, the lowest of the Work
}

// NewState implements [Stage].
func (s *cpuStage) NewState(sub Range, start int) (State, error) {
	if s.closed.Load() {
		return nil, fmt.Errorf("%w: stage", ErrClosed)
	}
	if err := checkRange(sub, s.blocks); err != nil {
		return nil, err
	}
	if start < 0 {
		return nil, fmt.Errorf("%w: start %d", ErrPosition, start)
	}
	c := s.config
	lo, _ := c.BlockLayers(sub.Lo)
	_, hi := c.BlockLayers(sub.Hi - 1)
	state := &cpuState{stage: s, sub: sub, start: start, position: start, highest: start}
	for layer := lo; layer < hi; layer++ {
		rows := (c.KernelSize-1)*c.Dilation(layer) + DraftRows
		state.rings = append(state.rings, newRing(rows, c.ConvWidth(), c.State))
	}
	return state, nil
}

func (s *cpuState) Range() Range  { return s.sub }
func (s *cpuState) Position() int { return s.position }

// Bytes implements [State].
func (s *cpuState) Bytes() int64 {
	total := int64(0)
	for i := range s.rings {
		total += s.rings[i].bytes()
	}
	return total
}

// Truncate implements [State]. The rings keep DraftRows rows more than the next
// row needs, counted from the highest position the state ever reached: rows
// written past a truncation have taken the places of the oldest.
func (s *cpuState) Truncate(position int) error {
	if s.closed {
		return fmt.Errorf("%w: state", ErrClosed)
	}
	if err := CheckTruncate(position, s.start, s.position, s.highest); err != nil {
		return err
	}
	s.position = position
	return nil
}

// CheckTruncate reports what is wrong with truncating, to a position, a state that
// began at start, stands at now and has been as far as highest, for backends to call.
// Errors: ErrPosition.
func CheckTruncate(position, start, now, highest int) error {
	if position > now || position < start {
		return fmt.Errorf("%w: truncate to %d, state holds [%d, %d)", ErrPosition, position, start, now)
	}
	if position < highest-DraftRows {
		return fmt.Errorf("%w: truncate to %d, more than %d rows below %d", ErrPosition, position, DraftRows, highest)
	}
	return nil
}

// Close implements [State].
func (s *cpuState) Close() error {
	s.closed, s.rings = true, nil
	return nil
}

// advance moves the state past n rows.
func (s *cpuState) advance(n int) {
	s.position += n
	s.highest = max(s.highest, s.position)
}
