// Package element knows the kinds of numbers that tensor files are made of: how
// many bytes each takes and what it is worth.
//
// It has one duty, to widen numbers to float64 exactly, so that the readers of
// every format agree on each value. int64 and uint64 beyond 2⁵³ are rounded to
// nearest, as NumPy's astype does.
package element

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Type is a kind of number. The zero Type is none.
type Type uint8

// The kinds. Bool is worth 1 for any byte but 0.
const (
	Bool Type = iota + 1
	I8
	I16
	I32
	I64
	U8
	U16
	U32
	U64
	F16
	BF16
	F32
	F64
)

var names = [...]string{
	Bool: "BOOL", I8: "I8", I16: "I16", I32: "I32", I64: "I64", U8: "U8", U16: "U16", U32: "U32", U64: "U64",
	F16: "F16", BF16: "BF16", F32: "F32", F64: "F64",
}

var sizes = [...]int{
	Bool: 1, I8: 1, I16: 2, I32: 4, I64: 8, U8: 1, U16: 2, U32: 4, U64: 8, F16: 2, BF16: 2, F32: 4, F64: 8,
}

// String is the name safetensors gives t.
func (t Type) String() string {
	if t < Bool || t > F64 {
		return fmt.Sprintf("element(%d)", uint8(t))
	}
	return names[t]
}

// Size is the bytes of one number, 0 for no Type.
func (t Type) Size() int {
	if t < Bool || t > F64 {
		return 0
	}
	return sizes[t]
}

// Parse is the Type safetensors calls name; ok is false for a name it does not
// have or that this package does not widen.
func Parse(name string) (t Type, ok bool) {
	for t := Bool; t <= F64; t++ {
		if names[t] == name {
			return t, true
		}
	}
	return 0, false
}

// Widen writes the numbers stored in src to dst.
//
//	dst [n]   src [n·t.Size()] bytes
//
// It panics when the lengths do not agree, as an index out of range does.
func Widen(dst []float64, src []byte, t Type, order binary.ByteOrder) {
	size := t.Size()
	if size == 0 || len(src) != len(dst)*size {
		panic(fmt.Sprintf("element: %d bytes for %d numbers of type %s", len(src), len(dst), t))
	}
	at := func(i int) []byte { return src[i*size:] }
	for i := range dst {
		switch t {
		case Bool:
			dst[i] = 0
			if src[i] != 0 {
				dst[i] = 1
			}
		case I8:
			dst[i] = float64(int8(src[i]))
		case U8:
			dst[i] = float64(src[i])
		case I16:
			dst[i] = float64(int16(order.Uint16(at(i))))
		case U16:
			dst[i] = float64(order.Uint16(at(i)))
		case F16:
			dst[i] = float64(half(order.Uint16(at(i))))
		case BF16:
			dst[i] = float64(math.Float32frombits(uint32(order.Uint16(at(i))) << 16))
		case I32:
			dst[i] = float64(int32(order.Uint32(at(i))))
		case U32:
			dst[i] = float64(order.Uint32(at(i)))
		case F32:
			dst[i] = float64(math.Float32frombits(order.Uint32(at(i))))
		case I64:
			dst[i] = float64(int64(order.Uint64(at(i))))
		case U64:
			dst[i] = float64(order.Uint64(at(i)))
		case F64:
			dst[i] = math.Float64frombits(order.Uint64(at(i)))
		}
	}
}

// half is the value of an IEEE 754 binary16 number, exactly.
func half(bits uint16) float32 {
	sign := uint32(bits>>15) << 31
	exponent := uint32(bits>>10) & 31
	fraction := uint32(bits) & 1023
	switch exponent {
	case 0: // zero or denormal: fraction · 2⁻²⁴
		value := float32(fraction) * 0x1p-24
		return math.Float32frombits(math.Float32bits(value) | sign)
	case 31: // infinity or not-a-number
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}
