package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Number is how a row's numbers are written: the model's boundary type, to
// which they are already rounded, so nothing is lost on the way.
type Number uint8

const (
	F32  Number = 4 // four bytes, IEEE-754
	BF16 Number = 2 // two bytes, the upper half of the above
)

// Bytes is the size of one number.
func (n Number) Bytes() int { return int(n) }

// Timing is what a hop did for the rows of a frame.
type Timing struct {
	QueueMicros   uint32 // waiting for the executor
	ComputeMicros uint32 // in the executor
}

const timingBytes = 8

// AppendRows writes rows behind dst. Anything but BF16 is written as F32.
//
//	rows [n · d_model]
func AppendRows(dst []byte, rows []float32, number Number) []byte {
	if number != BF16 {
		number = F32
	}
	at, size := len(dst), len(rows)*number.Bytes()
	dst = slices.Grow(dst, size)[:at+size]
	if number == BF16 {
		putBF16(dst[at:], rows)
	} else {
		putF32(dst[at:], rows)
	}
	return dst
}

// putF32 and putBF16 write eight bytes at a time, which takes half the time of
// a number at a time.
func putF32(out []byte, rows []float32) {
	for ; len(rows) >= 2 && len(out) >= 8; rows, out = rows[2:], out[8:] {
		low, high := math.Float32bits(rows[0]), math.Float32bits(rows[1])
		binary.LittleEndian.PutUint64(out, uint64(low)|uint64(high)<<32)
	}
	for i, v := range rows {
		binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(v))
	}
}

func putBF16(out []byte, rows []float32) {
	for ; len(rows) >= 4 && len(out) >= 8; rows, out = rows[4:], out[8:] {
		low := math.Float32bits(rows[0])>>16 | math.Float32bits(rows[1])&0xffff0000
		high := math.Float32bits(rows[2])>>16 | math.Float32bits(rows[3])&0xffff0000
		binary.LittleEndian.PutUint64(out, uint64(low)|uint64(high)<<32)
	}
	for i, v := range rows {
		binary.LittleEndian.PutUint16(out[2*i:], uint16(math.Float32bits(v)>>16))
	}
}

// AppendTimings writes timings behind dst.
func AppendTimings(dst []byte, timings []Timing) []byte {
	for _, t := range timings {
		dst = binary.LittleEndian.AppendUint32(dst, t.QueueMicros)
		dst = binary.LittleEndian.AppendUint32(dst, t.ComputeMicros)
	}
	return dst
}

// ParseRows fills rows from the front of body and timings from what is behind.
// Every number must be finite. Errors: ErrFrame when body is not exactly that
// long or number is neither F32 nor BF16, ErrNotFinite.
//
//	rows [n · d_model]   timings [hops passed]
func ParseRows(body []byte, rows []float32, number Number, timings []Timing) error {
	size := len(rows)*number.Bytes() + len(timings)*timingBytes
	if len(body) != size {
		return fmt.Errorf("%w: payload of %d bytes for %d numbers and %d timings, want %d", ErrFrame, len(body), len(rows), len(timings), size)
	}
	numbers, behind := body[:len(rows)*number.Bytes()], body[len(rows)*number.Bytes():]
	var finite bool
	switch number {
	case F32:
		finite = parseF32(rows, numbers)
	case BF16:
		finite = parseBF16(rows, numbers)
	default:
		return fmt.Errorf("%w: numbers of %d bytes", ErrFrame, number.Bytes())
	}
	if !finite {
		return fmt.Errorf("%w: number %d", ErrNotFinite, slices.IndexFunc(rows, notFinite))
	}
	for i := range timings {
		timings[i] = Timing{
			QueueMicros:   binary.LittleEndian.Uint32(behind[timingBytes*i:]),
			ComputeMicros: binary.LittleEndian.Uint32(behind[timingBytes*i+4:]),
		}
	}
	return nil
}

// parseF32 and parseBF16 report whether all numbers are finite. A number is not
// when its exponent is all ones; adding one to the exponent's place then carries
// into the sign's, which the loop collects in place of a branch per number.
func parseF32(rows []float32, b []byte) (finite bool) {
	const exponents, ones, signs = 0x7f800000_7f800000, 0x00800000_00800000, 0x80000000_80000000
	carried := uint64(0)
	for ; len(rows) >= 2 && len(b) >= 8; rows, b = rows[2:], b[8:] {
		two := binary.LittleEndian.Uint64(b)
		carried |= two&exponents + ones
		rows[0] = math.Float32frombits(uint32(two))
		rows[1] = math.Float32frombits(uint32(two >> 32))
	}
	for i := range rows {
		rows[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return carried&signs == 0 && !slices.ContainsFunc(rows, notFinite)
}

func parseBF16(rows []float32, b []byte) (finite bool) {
	const exponents, ones, signs = 0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000
	carried := uint64(0)
	for ; len(rows) >= 4 && len(b) >= 8; rows, b = rows[4:], b[8:] {
		four := binary.LittleEndian.Uint64(b)
		carried |= four&exponents + ones
		rows[0] = math.Float32frombits(uint32(four) << 16)
		rows[1] = math.Float32frombits(uint32(four) & 0xffff0000)
		rows[2] = math.Float32frombits(uint32(four>>32) << 16)
		rows[3] = math.Float32frombits(uint32(four>>32) & 0xffff0000)
	}
	for i := range rows {
		rows[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
	return carried&signs == 0 && !slices.ContainsFunc(rows, notFinite)
}

// notFinite reports an infinity or not-a-number.
func notFinite(v float32) bool {
	const exponent = 0x7f800000
	return math.Float32bits(v)&exponent == exponent
}
