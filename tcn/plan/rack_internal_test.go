package plan

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// smallRack is GPUs of random rates, each with room for its number of blocks of a
// model of n blocks.
func smallRack(t *testing.T, random *rand.Rand, n, gpus int) *rack {
	t.Helper()
	m := Model{Config: tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 512, DFF: 1024, Layers: n, LayersPerBlock: 1,
		KernelSize: 3, Dilations: []int{1}, RMSEps: 1e-6, Weights: tcn.WeightsQ2,
	}.WithDefaults()}
	s, err := measure(m, Demand{Sessions: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := &rack{s: s, link: Link{Bits: 1e10, RTT: random.Float64() * 1e-4}}
	for range gpus {
		h := newHolder(GPU{"g", 1e9, 1e9 * (1 + random.Float64()*9), 1e15}, s)
		h.room = int64(random.IntN(n+1)) * (s.tile[0] + s.beside(0))
		r.holders = append(r.holders, h)
	}
	return r
}

// TestSplitIsBest: no other cut of a chain has a shorter longest stage.
func TestSplitIsBest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n, gpus := 1+random.IntN(7), 1+random.IntN(3)
		r := smallRack(t, random, n, gpus)
		best := shortestStage(r, 0, 0)
		if math.IsInf(best, 1) {
			continue
		}
		r.chains = [][]*holder{r.holders}
		r.split(0)
		longest, at := 0.0, 0
		for _, h := range r.chains[0] {
			time := 0.0
			for b := h.stage.Lo; b < h.stage.Hi; b++ {
				time += h.times[b]
			}
			longest = max(longest, time)
			if h.stage.Lo != at {
				t.Fatalf("stage %v does not go on at %d", h.stage, at)
			}
			at = h.stage.Hi
		}
		if at != n || longest > best*(1+1e-9) {
			t.Fatalf("stages to %d of %d, the longest %g, want %g", at, n, longest, best)
		}
	}
}

// shortestStage tries every cut of the blocks from at on over the GPUs from i on.
func shortestStage(r *rack, i, at int) float64 {
	n := r.s.blocks()
	if i == len(r.holders) {
		if at == n {
			return 0
		}
		return math.Inf(1)
	}
	h, best, time, room := r.holders[i], math.Inf(1), 0.0, r.holders[i].room
	for to := at; ; to++ {
		best = min(best, max(time, shortestStage(r, i+1, to)))
		if to == n {
			return best
		}
		time += h.times[to]
		if room -= h.cost(to, nil); room < 0 {
			return best
		}
	}
}

// TestShortestRoute: no other way through the copies has a shorter lap.
func TestShortestRoute(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		n := 1 + random.IntN(6)
		r := smallRack(t, random, n, 1+random.IntN(3))
		for _, h := range r.holders {
			h.room = math.MaxInt64
			for b := range n {
				if random.IntN(3) > 0 {
					h.hold(b)
				}
			}
		}
		got := r.shortest(r.holders)
		want := shortestLap(r, 0, nil)
		if got == nil {
			if !math.IsInf(want, 1) {
				t.Fatalf("no route, want a lap of %g", want)
			}
			continue
		}
		lap, at := 0.0, 0
		for i, s := range got {
			if i > 0 {
				lap += r.hopSeconds(1)
			}
			for b := s.blocks.Lo; b < s.blocks.Hi; b++ {
				if !s.on.held[b] || b != at {
					t.Fatalf("block %d at %d", b, at)
				}
				lap, at = lap+s.on.times[b], at+1
			}
		}
		if at != n || math.Abs(lap-want) > 1e-9*want {
			t.Fatalf("lap of %g through %d blocks, want %g through %d", lap, at, want, n)
		}
	}
}

// shortestLap tries every GPU for every block from b on.
func shortestLap(r *rack, b int, before *holder) float64 {
	if b == r.s.blocks() {
		return 0
	}
	best := math.Inf(1)
	for _, h := range r.holders {
		if !h.held[b] {
			continue
		}
		lap := h.times[b] + shortestLap(r, b+1, h)
		if before != nil && before != h {
			lap += r.hopSeconds(1)
		}
		best = min(best, lap)
	}
	return best
}
