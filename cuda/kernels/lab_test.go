package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// lab is a rig with the numbers that tests of rows are made of.
type lab struct {
	*rig
	chance *rand.Rand
}

func newLab(t testing.TB) *lab {
	t.Helper()
	return &lab{newRig(t), rand.New(rand.NewPCG(1, 2))}
}

// with is the lab in the hands of a part of its test.
func (l *lab) with(t testing.TB) *lab {
	r := *l.rig
	r.t = t
	return &lab{&r, l.chance}
}

// runAll runs calls one after the other.
func (l *lab) runAll(calls ...Call) {
	l.t.Helper()
	for _, c := range calls {
		l.run(c)
	}
}

// bytesIn is the bytes of a slice of numbers.
func bytesIn[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), uintptr(len(s))*unsafe.Sizeof(s[0]))
}

// equal reports whether two numbers are one answer: the same bits, or both not finite.
func equal(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || !finite(a) && !finite(b)
}

func finite(v float32) bool { return math.Float32bits(v)&0x7f800000 != 0x7f800000 }

// same fails the test where numbers differ from what they should be.
func (l *lab) same(what string, got, want []float32) {
	l.t.Helper()
	if len(got) != len(want) {
		l.t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !equal(got[i], want[i]) {
			l.t.Fatalf("%s[%d] = %x (%08x), want %x (%08x)", what, i,
				got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// The kinds of rows that tests are made of.
const (
	ordinary = iota
	tiny     // denormals
	faint    // so small that the row's scale is 0
	huge     // sums of squares overflow
	empty    // zeros of both signs
	broken   // one number is not finite
	halfway  // as int8 about halfway between two integers
	kinds
)

// numbers is a row of n numbers of a kind.
func (l *lab) numbers(n, kind int) []float32 {
	s := make([]float32, n)
	for i := range s {
		v := float32(l.chance.NormFloat64())
		switch kind {
		case tiny:
			v *= 0x1p-130
		case faint:
			v = math.Float32frombits(l.chance.Uint32() & 0x8000003f)
		case huge:
			v *= 0x1p120
		case empty:
			v = float32(math.Copysign(0, float64(v)))
		}
		if kind == ordinary && l.chance.IntN(8) == 0 {
			v = []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-140, 50, -90, 3e-3}[l.chance.IntN(8)]
		}
		s[i] = v
	}
	if kind == halfway && n > 0 {
		s[0] = float32(math.Ldexp(1+l.chance.Float64(), l.chance.IntN(100)-50))
		for i := range s[1:] {
			half := (float32(l.chance.IntN(127)) + 0.5) * (s[0] / 127)
			s[i+1] = math.Float32frombits(math.Float32bits(half) + uint32(l.chance.IntN(9)) - 4)
		}
	}
	if kind == broken && n > 0 {
		s[l.chance.IntN(n)] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[l.chance.IntN(3)]
	}
	return s
}
