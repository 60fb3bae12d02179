package rack

import (
	"math"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// fullest is the fill of the fullest device.
func fullest(bytes, memory []int64, counts []int) float64 {
	most, at := 0.0, 0
	for d, n := range counts {
		taken := int64(0)
		for _, b := range bytes[at : at+n] {
			taken += b
		}
		most = max(most, float64(taken)/float64(memory[d]))
		at += n
	}
	return most
}

// naive is the lowest fill of the fullest device, by trying every cut.
func naive(bytes, memory []int64) float64 {
	if len(memory) == 1 {
		return fullest(bytes, memory, []int{len(bytes)})
	}
	best := math.Inf(1)
	for n := range len(bytes) + 1 {
		best = min(best, max(fullest(bytes[:n], memory[:1], []int{n}), naive(bytes[n:], memory[1:])))
	}
	return best
}

// TestApportionFillsEvenly: every block is placed, and no cut fills the fullest
// device less.
func TestApportionFillsEvenly(t *testing.T) {
	number := func(i, n, most int) int64 { return int64(tcn.Hash64(uint64(i), uint64(n))%uint64(most)) + 1 }
	for i := range 600 {
		bytes := make([]int64, number(i, 0, 8))
		memory := make([]int64, number(i, 1, 4))
		for n := range bytes {
			bytes[n] = 1 << 20
			if i%2 == 0 {
				bytes[n] = number(i, 10+n, 1000)
			}
		}
		for n := range memory {
			memory[n] = number(i, 100+n, 500)
		}
		counts := apportion(bytes, memory)
		total := 0
		for _, n := range counts {
			total += n
		}
		if len(counts) != len(memory) || total != len(bytes) {
			t.Fatalf("blocks %v on %v: parts %v", bytes, memory, counts)
		}
		if got, want := fullest(bytes, memory, counts), naive(bytes, memory); got > want*(1+1e-12) {
			t.Fatalf("blocks %v on %v: parts %v fill %v, best is %v", bytes, memory, counts, got, want)
		}
	}
}

func TestApportion(t *testing.T) {
	equal := func(n int) []int64 { return slices.Repeat([]int64{10}, n) }
	for _, c := range []struct {
		name          string
		bytes, memory []int64
		want          []int
	}{
		{"one device", equal(6), []int64{5}, []int{6}},
		{"two equal devices", equal(6), []int64{100, 100}, []int{3, 3}},
		{"each its share", equal(6), []int64{100, 100, 100, 100}, []int{2, 1, 2, 1}},
		{"in proportion", equal(6), []int64{200, 100}, []int{4, 2}},
		{"fewer blocks than devices", equal(1), []int64{10, 30, 20}, []int{0, 1, 0}},
		{"a device too small for a block", equal(4), []int64{100, 1, 100}, []int{2, 0, 2}},
		{"short last block", []int64{10, 10, 2}, []int64{100, 100}, []int{1, 2}},
		{"largest numbers", []int64{math.MaxInt64, math.MaxInt64}, []int64{math.MaxInt64, math.MaxInt64}, []int{1, 1}},
		{"nothing to hold", []int64{0, 0}, []int64{1, 1}, []int{2, 0}},
	} {
		if got := apportion(c.bytes, c.memory); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
