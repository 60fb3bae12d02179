package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
)

// finiteBits are numbers at the edges of the format, exact in bf16 too.
var finiteBits = []uint32{
	0x00000000, 0x80000000, // +0, -0
	0x00010000, 0x807f0000, // the smallest denormal of bf16 and the largest
	0x00800000,             // the smallest normal
	0x3f800000, 0xbf800000, // 1, -1
	0x7f7f0000, 0xff7f0000, // the largest of bf16
}

func numbers(n int) []float32 {
	rows := make([]float32, n)
	for i := range rows {
		rows[i] = math.Float32frombits(finiteBits[i%len(finiteBits)])
	}
	return rows
}

// TestRowsRoundTrip: every length crosses unchanged, to the sign of zero, so
// that neither the wide nor the narrow steps of the codec are left out.
func TestRowsRoundTrip(t *testing.T) {
	for _, number := range []Number{F32, BF16} {
		for n := range 20 {
			for hops := range 4 {
				t.Run(fmt.Sprintf("%s/%d numbers/%d hops", numberName(number), n, hops), func(t *testing.T) {
					roundTripRows(t, number, numbers(n), hops)
				})
			}
		}
	}
}

func roundTripRows(t *testing.T, number Number, rows []float32, hops int) {
	timings := make([]Timing, hops)
	for i := range timings {
		timings[i] = Timing{QueueMicros: uint32(i), ComputeMicros: math.MaxUint32 - uint32(i)}
	}
	before := []byte("what was there")
	body := AppendTimings(AppendRows(slices.Clone(before), rows, number), timings)
	if string(body[:len(before)]) != string(before) {
		t.Fatal("what was in the buffer has changed")
	}
	body = body[len(before):]
	if want := len(rows)*number.Bytes() + 8*hops; len(body) != want {
		t.Fatalf("payload of %d bytes, want %d", len(body), want)
	}
	gotRows, gotTimings := make([]float32, len(rows)), make([]Timing, hops)
	if err := ParseRows(body, gotRows, number, gotTimings); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if math.Float32bits(gotRows[i]) != math.Float32bits(rows[i]) {
			t.Errorf("number %d: got %x, want %x", i, math.Float32bits(gotRows[i]), math.Float32bits(rows[i]))
		}
	}
	if !slices.Equal(gotTimings, timings) {
		t.Errorf("got timings %v, want %v", gotTimings, timings)
	}
}

// TestRowsKeepAllOfF32: f32 is not rounded on the way.
func TestRowsKeepAllOfF32(t *testing.T) {
	rows := []float32{math.Pi, math.SmallestNonzeroFloat32, math.MaxFloat32}
	roundTripRows(t, F32, rows, 0)
}

// TestRowsNotFinite: one bad number at any place is found, and named.
func TestRowsNotFinite(t *testing.T) {
	bad := map[string]uint32{
		"infinity":          0x7f800000,
		"minus infinity":    0xff800000,
		"not-a-number":      0x7fc00000,
		"with sign":         0xffff0000,
		"smallest payload":  0x7f810000,
		"signalling, large": 0x7fbf0000,
	}
	for _, number := range []Number{F32, BF16} {
		for name, bits := range bad {
			for at := range 11 {
				rows := numbers(11)
				rows[at] = math.Float32frombits(bits)
				err := ParseRows(AppendRows(nil, rows, number), make([]float32, len(rows)), number, nil)
				if !errors.Is(err, ErrNotFinite) {
					t.Fatalf("%s %s at %d: got error %v, want %v", numberName(number), name, at, err, ErrNotFinite)
				}
				if want := fmt.Sprintf("%v: number %d", ErrNotFinite, at); err.Error() != want {
					t.Errorf("got %q, want %q", err, want)
				}
			}
		}
	}
}

// TestRowsWrongSize: a payload is as long as its header says, or refused.
func TestRowsWrongSize(t *testing.T) {
	for _, number := range []Number{F32, BF16} {
		body := AppendTimings(AppendRows(nil, numbers(6), number), make([]Timing, 2))
		for _, n := range []int{0, 1, len(body) - 8, len(body) - 1, len(body) + 1} {
			bytes := slices.Grow(body, 1)[:n]
			err := ParseRows(bytes, make([]float32, 6), number, make([]Timing, 2))
			if !errors.Is(err, ErrFrame) {
				t.Errorf("%s, %d bytes in place of %d: got error %v, want %v", numberName(number), n, len(body), err, ErrFrame)
			}
		}
	}
}

// TestRowsUnknownNumber: absent is not valid.
func TestRowsUnknownNumber(t *testing.T) {
	for _, number := range []Number{0, 1, 3, 8} {
		err := ParseRows(make([]byte, 2*number.Bytes()), make([]float32, 2), number, nil)
		if !errors.Is(err, ErrFrame) {
			t.Errorf("numbers of %d bytes: got error %v, want %v", number, err, ErrFrame)
		}
	}
}

// TestRowsFillAFrame: the rows that PayloadBytes was chosen for fit.
func TestRowsFillAFrame(t *testing.T) {
	const widest = 16_384
	if size := 16 * widest * F32.Bytes(); size != PayloadBytes {
		t.Errorf("16 rows of the widest model take %d bytes, a payload holds %d", size, PayloadBytes)
	}
}
