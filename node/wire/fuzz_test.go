package wire

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

// FuzzFrame: a frame of a stranger decodes and encodes to the same bytes, or is
// refused with one of the documented errors.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		reencode(t, b)
	})
}

func FuzzOpen(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOpen(b)
		if err != nil {
			if !errors.Is(err, ErrFrame) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("error %v is none of the documented", err)
			}
			return
		}
		if again := o.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x\ndecodes, then encodes to\n%x", b, again)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte, count uint16, hops uint8, bf16 bool) {
		number := F32
		if bf16 {
			number = BF16
		}
		rows, timings := make([]float32, count), make([]Timing, hops)
		err := ParseRows(b, rows, number, timings)
		switch {
		case errors.Is(err, ErrFrame):
			return
		case errors.Is(err, ErrNotFinite):
			if !containsNotFinite(b[:len(rows)*number.Bytes()], number) {
				t.Errorf("%x: all numbers are finite, got error %v", b, err)
			}
			return
		case err != nil:
			t.Fatalf("error %v is none of the documented", err)
		}
		if containsNotFinite(b[:len(rows)*number.Bytes()], number) {
			t.Errorf("%x: not all numbers are finite, got no error", b)
		}
		if again := AppendTimings(AppendRows(nil, rows, number), timings); !bytes.Equal(again, b) {
			t.Errorf("%x\ndecodes, then encodes to\n%x", b, again)
		}
	})
}

// containsNotFinite is the check of ParseRows, a number at a time.
func containsNotFinite(b []byte, number Number) bool {
	for ; len(b) > 0; b = b[number.Bytes():] {
		bits := uint32(b[0])<<16 | uint32(b[1])<<24
		if number == F32 {
			bits = uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		}
		if v := float64(math.Float32frombits(bits)); math.IsNaN(v) || math.IsInf(v, 0) {
			return true
		}
	}
	return false
}
