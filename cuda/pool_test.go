package cuda

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPool: random takes and gives against a map of who holds which unit.
func TestPool(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		const units = 200
		p := newPool(units)
		owner := make([]int, units) // 0: free
		held := map[int]run{}
		for n := 1; n <= 2000; n++ {
			if random.IntN(2) == 0 {
				bytes := int64(1 + random.IntN(30))
				at, ok := p.take(bytes)
				if want := firstFit(owner, int(bytes)); !ok && want >= 0 || ok && int64(want) != at {
					t.Fatalf("seed %d: %d bytes at %d (%v), first fit is %d", seed, bytes, at, ok, want)
				}
				if !ok {
					continue
				}
				for i := at; i < at+bytes; i++ {
					owner[i] = n
				}
				held[n] = run{at, bytes}
			} else {
				for id, r := range held { // any
					p.give(r.at, r.bytes)
					for i := r.at; i < r.at+r.bytes; i++ {
						owner[i] = 0
					}
					delete(held, id)
					break
				}
			}
			checkRuns(t, p, owner)
		}
		for _, r := range held {
			p.give(r.at, r.bytes)
		}
		if !slices.Equal(p.free, []run{{0, units}}) {
			t.Fatalf("seed %d: all given back, free is %v", seed, p.free)
		}
	}
}

// firstFit is the first run of free units that is long enough; -1: none.
func firstFit(owner []int, bytes int) int {
	length := 0
	for i, o := range owner {
		if o != 0 {
			length = 0
			continue
		}
		if length++; length == bytes {
			return i - bytes + 1
		}
	}
	return -1
}

// checkRuns: the free runs are exactly the units nobody holds, joined.
func checkRuns(t *testing.T, p *pool, owner []int) {
	t.Helper()
	var want []run
	for i, o := range owner {
		switch {
		case o != 0:
		case i > 0 && owner[i-1] == 0:
			want[len(want)-1].bytes++
		default:
			want = append(want, run{int64(i), 1})
		}
	}
	if !slices.Equal(p.free, want) {
		t.Fatalf("free %v, want %v", p.free, want)
	}
}

// TestPoolOfOneSizeHasNoGaps: whatever the order, as many fit as the bytes allow.
func TestPoolOfOneSizeHasNoGaps(t *testing.T) {
	const size, fit = 768, 100
	p := newPool(size*fit + size/2)
	random := rand.New(rand.NewPCG(1, 2))
	var held []int64
	for range 10_000 {
		if random.IntN(3) > 0 {
			at, ok := p.take(size)
			if ok != (len(held) < fit) {
				t.Fatalf("%d of %d held: ok %v", len(held), fit, ok)
			}
			if ok {
				held = append(held, at)
			}
		} else if len(held) > 0 {
			i := random.IntN(len(held))
			p.give(held[i], size)
			held = slices.Delete(held, i, i+1)
		}
	}
}

// TestPoolOfNothing: a stage without memory for states has none to give.
func TestPoolOfNothing(t *testing.T) {
	p := newPool(0)
	if at, ok := p.take(1); ok {
		t.Errorf("a byte at %d of a pool of none", at)
	}
	if p.left() != 0 {
		t.Errorf("%d bytes left of none", p.left())
	}
}
