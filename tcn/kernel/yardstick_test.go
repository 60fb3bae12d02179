package kernel

import "testing"

// TestYardsticks: they read every length and count what they multiply.
func TestYardsticks(t *testing.T) {
	for _, n := range []int{0, 1, 31, 32, 511, 512, 513, 5000} {
		ReadMemory(make([]byte, n))
	}
	if n, ok := DotPeak(3); ok && n != 3072 || !ok && n != 0 {
		t.Errorf("DotPeak(3) is %d, %v", n, ok)
	}
	if n, ok := MaskedDotPeak(2); ok && n != 2048 || !ok && n != 0 {
		t.Errorf("MaskedDotPeak(2) is %d, %v", n, ok)
	}
	if _, ok := DotPeak(0); ok {
		t.Error("DotPeak(0) claims to have measured")
	}
}
