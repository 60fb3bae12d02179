package cuda

import (
	"errors"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
)

// low is the room for A u of every term of every row of a pass. It grows with what
// is worn, and graphs name it, so it is kept at the largest seen.
type low struct {
	memory      device.Pointer
	terms, rank int
	value, q    int64 // offsets
	scale       int64
}

// rankStep is what room for a term's rank is a multiple of.
const rankStep = 16

// termBucket rounds a number of terms up, so that few shapes of graphs arise.
func termBucket(terms int) int {
	if terms <= 4 {
		return terms
	}
	n := 8
	for n < terms {
		n *= 2
	}
	return n
}

// reserve makes the room large enough for an outfit. Errors: [tcn.ErrNoRoom].
func (s *stage) reserve(o *outfit) error {
	terms := max(s.low.terms, termBucket(o.terms))
	rank := max(s.low.rank, (o.rank+rankStep-1)/rankStep*rankStep)
	if terms == s.low.terms && rank == s.low.rank {
		return nil
	}
	b := s.backend
	var a arena
	each := int64(b.options.MaxRows) * int64(terms)
	grown := low{terms: terms, rank: rank}
	grown.value, grown.q, grown.scale = a.room(each*int64(rank)*4), a.room(each*int64(rank)), a.room(each*4)
	var err error
	if grown.memory, err = b.allocate(a.bytes); err == nil {
		before := s.low
		s.low = grown
		err = errors.Join(s.graphs.drop(), before.give(b)) // nothing runs that names it
	}
	return b.typed(err, s.where("room for the terms of Souls"))
}

// give gives the room back.
func (l *low) give(b *Backend) error {
	if l.memory == 0 {
		return nil
	}
	p := l.memory
	*l = low{}
	return b.device.Free(p)
}

// of is the room as kernels find it, for products of a number of terms; none for 0.
func (l *low) of(terms int) kernels.Low {
	if terms == 0 {
		return kernels.Low{}
	}
	at := func(offset int64) device.Pointer { return l.memory + device.Pointer(offset) }
	return kernels.Low{Value: at(l.value), Q: at(l.q), Scale: at(l.scale), Terms: int32(terms), Rank: int32(l.rank)}
}
