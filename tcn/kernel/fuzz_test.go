package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// FuzzEqualPortable makes rows out of any bytes, four a number, repeated as
// needed, and compares every Set with the normative one. Numbers that are not
// finite are let through: in their place any number that is not finite will do.
func FuzzEqualPortable(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63}, uint16(33), uint8(1), uint8(5))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\x7f\x7f\x00\x00\x00\x80"), uint16(97), uint8(4), uint8(3))
	f.Add([]byte("\x00\x00\x80\x7f\x00\x00\xc0\x7f\xcd\xcc\xcc\x3d"), uint16(64), uint8(7), uint8(9))
	f.Fuzz(func(t *testing.T, raw []byte, width uint16, n, rows uint8) {
		cols := int(width)%600 + 1
		next := numbers(raw)
		row := func() []float32 {
			row := make([]float32, cols)
			for i := range row {
				row[i] = next()
			}
			return row
		}
		src := source{"bytes", func(*rand.Rand, int) float32 { return next() }}
		r := rand.New(rand.NewPCG(uint64(width), uint64(n)))
		for _, s := range native() {
			equalMatMul(t, s, src, r, int(n)%9+1, int(rows)%12+1, cols)
			equalRows(t, s, fmt.Sprintf("%s, width %d", s.Name, cols), cols, row)
		}
	})
}

// numbers reads float32 numbers from raw, round and round.
func numbers(raw []byte) func() float32 {
	if len(raw) < 4 {
		raw = append(raw, 0, 0, 128, 63)
	}
	at := 0
	return func() float32 {
		if at+4 > len(raw) {
			at = 0
		}
		bits := binary.LittleEndian.Uint32(raw[at:])
		at += 4
		return math.Float32frombits(bits)
	}
}
