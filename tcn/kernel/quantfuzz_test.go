package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// FuzzQuantized makes a row, its signs and the codes of a matrix out of any
// bytes, repeated as needed, and compares every Set with the definitions. Numbers
// that are not finite must be refused by every Set.
func FuzzQuantized(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63}, uint16(33), uint8(1), uint8(5))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\x7f\x7f\x00\x00\x00\x80"), uint16(1023), uint8(4), uint8(30))
	f.Add([]byte("\x00\x00\x80\x7f\x00\x00\xc0\x7f\xcd\xcc\xcc\x3d"), uint16(127), uint8(25), uint8(16))
	f.Fuzz(func(t *testing.T, raw []byte, width uint16, n, rows uint8) {
		cols := int(width)%1100 + 1
		next := numbers(raw)
		x := make([]float32, cols)
		allFinite := true
		for c := range x {
			x[c] = next()
			allFinite = allFinite && finite(x[c])
		}
		at := 0
		codes := bytesOf{"fuzzed", func(*rand.Rand) byte {
			if at++; len(raw) == 0 {
				return byte(at)
			}
			return raw[at%len(raw)] + byte(at/len(raw))
		}}
		for _, s := range Available() {
			r := rand.New(rand.NewPCG(uint64(width), uint64(n)))
			what := fmt.Sprintf("%s, width %d", s.Name, cols)
			checkHadamard(t, s, what, x, signsOf(r, cols))
			if allFinite {
				checkQuantizeRow(t, s, r, what, x)
			} else {
				var q Int8Rows
				if q.Reset(1, cols); s.QuantizeRow(&q, 0, x) {
					t.Fatalf("%s: took a row that is not finite", what)
				}
			}
			at = 0
			checkProducts(t, s, r, what, codes, int8Sources["random"], int(n)%30, int(rows)%40+1, cols)
		}
	})
}
