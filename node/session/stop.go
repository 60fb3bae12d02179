package session

import "bytes"

// stopFilter holds back the pieces that may turn out to be the beginning of a
// stop sequence, so that what is emitted is never retracted.
type stopFilter struct {
	stops [][]byte
	held  []Piece
	tail  []byte // the bytes of held
}

// push takes the next piece and returns what may be emitted now, and whether a
// stop sequence is complete. A stop sequence itself is never emitted.
func (f *stopFilter) push(p Piece) (emit []Piece, stopped bool) {
	f.held = append(f.held, p)
	f.tail = append(f.tail, p.Byte)
	keep, matched := 0, 0
	for _, stop := range f.stops {
		if bytes.HasSuffix(f.tail, stop) {
			matched = max(matched, len(stop)) // the one that began first
		}
		keep = max(keep, overlap(f.tail, stop))
	}
	if matched > 0 {
		emit = f.held[:len(f.held)-matched]
		f.held, f.tail = nil, nil
		return emit, true
	}
	emit = f.held[:len(f.held)-keep]
	f.held = append([]Piece(nil), f.held[len(emit):]...)
	f.tail = append(f.tail[:0], f.tail[len(emit):]...)
	return emit, false
}

// flush returns what is held, at the end of a generation.
func (f *stopFilter) flush() []Piece {
	held := f.held
	f.held, f.tail = nil, nil
	return held
}

// overlap is the length of the longest suffix of text that begins stop.
func overlap(text, stop []byte) int {
	for n := min(len(text), len(stop)-1); n > 0; n-- {
		if bytes.HasPrefix(stop, text[len(text)-n:]) {
			return n
		}
	}
	return 0
}
