package session

import "fmt"

// Ring keeps the last rows that a sender may have to replay, at their
// positions. Its memory is fixed: capacity rows of width elements, taken with
// the first row, so that an open alone costs nothing.
type Ring[T any] struct {
	capacity   uint64 // rows
	width      int
	data       []T    // [capacity, width]; position p lies at row p mod capacity
	begin, end uint64 // positions held: [begin, end)
}

// NewRing returns an empty ring whose first row will be at position start.
func NewRing[T any](capacity, width int, start uint64) *Ring[T] {
	return &Ring[T]{capacity: uint64(capacity), width: width, begin: start, end: start}
}

// Begin is the first position held, End the one after the last.
func (r *Ring[T]) Begin() uint64 { return r.begin }
func (r *Ring[T]) End() uint64   { return r.end }

// Append adds rows behind the last; the oldest make room.
//
//	rows [n · width]
func (r *Ring[T]) Append(rows []T) {
	if r.data == nil {
		r.data = make([]T, int(r.capacity)*r.width)
	}
	for ; len(rows) > 0; rows = rows[r.width:] {
		if r.capacity > 0 {
			copy(r.row(r.end), rows[:r.width])
		}
		r.end++
	}
	if r.end-r.begin > r.capacity {
		r.begin = r.end - r.capacity
	}
}

// Trim forgets the rows below position.
func (r *Ring[T]) Trim(position uint64) {
	r.begin = min(max(r.begin, position), r.end)
}

// From appends the rows from position to the end to dst. It fails where some of
// them are gone or were never there.
func (r *Ring[T]) From(dst []T, position uint64) ([]T, error) {
	if position < r.begin || position > r.end {
		return dst, fmt.Errorf("position %d is outside the ring's %d to %d", position, r.begin, r.end)
	}
	for p := position; p < r.end; p++ {
		dst = append(dst, r.row(p)...)
	}
	return dst, nil
}

func (r *Ring[T]) row(position uint64) []T {
	at := int(position%r.capacity) * r.width
	return r.data[at : at+r.width]
}

// keepFrom is done − history, or 0: the first position that a sender must keep.
func keepFrom(done uint64, history int) uint64 {
	if done < uint64(history) {
		return 0
	}
	return done - uint64(history)
}
