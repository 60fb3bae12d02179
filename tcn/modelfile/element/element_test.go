package element_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

func TestWiden(t *testing.T) {
	infinity := math.Inf(1)
	for _, c := range []struct {
		kind element.Type
		src  []byte // little-endian
		want []float64
	}{
		{element.Bool, []byte{0, 1, 7}, []float64{0, 1, 1}},
		{element.I8, []byte{0x80, 0xff, 0x7f}, []float64{-128, -1, 127}},
		{element.U8, []byte{0, 0xff}, []float64{0, 255}},
		{element.I16, []byte{0, 0x80, 0xff, 0x7f}, []float64{-32768, 32767}},
		{element.U16, []byte{0xff, 0xff}, []float64{65535}},
		{element.I32, []byte{0, 0, 0, 0x80}, []float64{-1 << 31}},
		{element.U32, []byte{0xff, 0xff, 0xff, 0xff}, []float64{1<<32 - 1}},
		{element.I64, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []float64{-1}},
		{element.U64, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []float64{1 << 64}},
		{element.F16, []byte{0, 0x3c, 0, 0xbc, 1, 0, 0xff, 0x7b, 0, 0x7c, 0xff, 0x03},
			[]float64{1, -1, 0x1p-24, 65504, infinity, 1023 * 0x1p-24}},
		{element.BF16, []byte{0x80, 0x3f, 0x49, 0xc0}, []float64{1, -3.140625}},
		{element.F32, []byte{0, 0, 0x80, 0x3f, 1, 0, 0, 0}, []float64{1, 0x1p-149}},
		{element.F64, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, []float64{1}},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			size := c.kind.Size()
			swapped := make([]byte, len(c.src))
			for i := range c.src {
				swapped[i] = c.src[i/size*size+size-1-i%size]
			}
			for _, order := range []struct {
				order binary.ByteOrder
				src   []byte
			}{{binary.LittleEndian, c.src}, {binary.BigEndian, swapped}} {
				got := make([]float64, len(c.want))
				element.Widen(got, order.src, c.kind, order.order)
				for i := range got {
					if got[i] != c.want[i] {
						t.Errorf("%v: number %d is %v, want %v", order.order, i, got[i], c.want[i])
					}
				}
			}
			if parsed, ok := element.Parse(c.kind.String()); !ok || parsed != c.kind {
				t.Errorf("Parse(%q) = %v, %v", c.kind.String(), parsed, ok)
			}
		})
	}
}

// TestHalf compares every binary16 number with its definition.
func TestHalf(t *testing.T) {
	for bits := range 1 << 16 {
		var got [1]float64
		element.Widen(got[:], []byte{byte(bits), byte(bits >> 8)}, element.F16, binary.LittleEndian)
		exponent, fraction := bits>>10&31, float64(bits&1023)
		want := math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 0:
			want = math.Ldexp(fraction, -24)
		case exponent == 31 && fraction == 0:
			want = math.Inf(1)
		case exponent == 31:
			want = math.NaN()
		}
		if bits>>15 == 1 {
			want = -want
		}
		same := got[0] == want && math.Signbit(got[0]) == math.Signbit(want)
		if !same && !(math.IsNaN(got[0]) && math.IsNaN(want)) {
			t.Fatalf("%#04x is %v, want %v", bits, got[0], want)
		}
	}
}

func TestNoType(t *testing.T) {
	for _, kind := range []element.Type{0, element.F64 + 1} {
		if kind.Size() != 0 {
			t.Errorf("%v has a size", kind)
		}
	}
	for _, name := range []string{"", "f32", "F8_E4M3", "C64"} {
		if kind, ok := element.Parse(name); ok {
			t.Errorf("Parse(%q) = %v", name, kind)
		}
	}
}

func ExampleWiden() {
	half := []byte{0x00, 0x3c, 0x00, 0xc1} // 1 and -2.5
	numbers := make([]float64, 2)
	element.Widen(numbers, half, element.F16, binary.LittleEndian)
	fmt.Println(numbers)
	// Output: [1 -2.5]
}
