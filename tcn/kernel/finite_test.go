package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestFinite: every level finds a number that is not finite, wherever it is and
// whatever its sign, and takes the largest and the smallest for what they are.
func TestFinite(t *testing.T) {
	bad := []float32{
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
		math.Float32frombits(0x7f800001), math.Float32frombits(0xffffffff),
	}
	everyQuantized(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(15, 16))
		for _, src := range sources {
			for _, width := range quantWidths() {
				in := newGuarded(src.row(r, width))
				what := fmt.Sprintf("%s, width %d", src.name, width)
				if !s.Finite(in.part) {
					t.Fatalf("%s: called not finite", what)
				}
				if width == 0 {
					continue
				}
				for _, v := range bad {
					at := r.IntN(width)
					kept := in.part[at]
					in.part[at] = v
					if s.Finite(in.part) {
						t.Fatalf("%s: %v at %d called finite", what, v, at)
					}
					in.part[at] = kept
				}
			}
		}
	})
}
