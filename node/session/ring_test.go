package session

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// naiveRing is a Ring that forgets nothing.
type naiveRing struct {
	start, begin uint64
	rows         []int
}

func TestRingAgainstASlice(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, capacity := range []int{0, 1, 2, 7, 64} {
		for _, width := range []int{1, 3} {
			for range 50 {
				start := random.Uint64N(1000)
				ring := NewRing[int](capacity, width, start)
				naive := naiveRing{start: start, begin: start}
				for range 30 {
					stepRings(random, ring, &naive, capacity, width)
					compareRings(t, ring, &naive, width)
				}
			}
		}
	}
}

func stepRings(random *rand.Rand, ring *Ring[int], naive *naiveRing, capacity, width int) {
	end := naive.start + uint64(len(naive.rows)/width)
	if random.IntN(4) == 0 {
		position := naive.begin + random.Uint64N(end-naive.begin+3)
		ring.Trim(position)
		naive.begin = min(position, end)
		return
	}
	rows := make([]int, random.IntN(capacity+3)*width)
	for i := range rows {
		rows[i] = random.Int()
	}
	ring.Append(rows)
	naive.rows = append(naive.rows, rows...)
	end += uint64(len(rows) / width)
	if end-naive.begin > uint64(capacity) {
		naive.begin = end - uint64(capacity)
	}
}

func compareRings(t *testing.T, ring *Ring[int], naive *naiveRing, width int) {
	t.Helper()
	end := naive.start + uint64(len(naive.rows)/width)
	if ring.Begin() != naive.begin || ring.End() != end {
		t.Fatalf("ring holds [%d, %d), want [%d, %d)", ring.Begin(), ring.End(), naive.begin, end)
	}
	before := []int{-1}
	for position := naive.begin; position <= end; position++ {
		got, err := ring.From(before, position)
		want := append(slices.Clone(before), naive.rows[int(position-naive.start)*width:]...)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("from %d: got %v, %v, want %v", position, got, err, want)
		}
	}
	for _, position := range []uint64{naive.begin - 1, end + 1, 1 << 63} {
		if got, err := ring.From(before, position); err == nil || !slices.Equal(got, before) {
			t.Fatalf("from %d outside [%d, %d): got %v and no error", position, naive.begin, end, got)
		}
	}
}

// TestRingTakesMemoryWithTheFirstRow: an open alone costs nothing.
func TestRingTakesMemoryWithTheFirstRow(t *testing.T) {
	ring := NewRing[float32](1<<20, 1<<10, 0) // 4 GiB, if it were taken now
	if ring.data != nil {
		t.Errorf("an empty ring holds %d numbers", len(ring.data))
	}
	if _, err := ring.From(nil, 0); err != nil {
		t.Error(err)
	}
}

func TestKeepFrom(t *testing.T) {
	for _, c := range []struct {
		done    uint64
		history int
		want    uint64
	}{{0, 0, 0}, {0, 5, 0}, {4, 5, 0}, {5, 5, 0}, {6, 5, 1}, {6, 0, 6}} {
		if got := keepFrom(c.done, c.history); got != c.want {
			t.Errorf("keepFrom(%d, %d) = %d, want %d", c.done, c.history, got, c.want)
		}
	}
}
