package wire

import (
	"encoding/binary"
	"fmt"
	"math"
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

// AppendRows writes rows behind dst.
//
//	rows [n · d_model]
func AppendRows(dst []byte, rows []float32, number Number) []byte {
	for _, v := range rows {
		bits := math.Float32bits(v)
		if number == BF16 {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(bits>>16))
		} else {
			dst = binary.LittleEndian.AppendUint32(dst, bits)
		}
	}
	return dst
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
// long, ErrNotFinite.
//
//	rows [n · d_model]   timings [hops passed]
func ParseRows(body []byte, rows []float32, number Number, timings []Timing) error {
	size := len(rows)*number.Bytes() + len(timings)*timingBytes
	if len(body) != size {
		return fmt.Errorf("%w: payload of %d bytes for %d numbers and %d timings, want %d", ErrFrame, len(body), len(rows), len(timings), size)
	}
	for i := range rows {
		var bits uint32
		if number == BF16 {
			bits = uint32(binary.LittleEndian.Uint16(body[2*i:])) << 16
		} else {
			bits = binary.LittleEndian.Uint32(body[4*i:])
		}
		if bits&0x7f800000 == 0x7f800000 {
			return fmt.Errorf("%w: number %d", ErrNotFinite, i)
		}
		rows[i] = math.Float32frombits(bits)
	}
	body = body[len(rows)*number.Bytes():]
	for i := range timings {
		timings[i] = Timing{
			QueueMicros:   binary.LittleEndian.Uint32(body[timingBytes*i:]),
			ComputeMicros: binary.LittleEndian.Uint32(body[timingBytes*i+4:]),
		}
	}
	return nil
}
