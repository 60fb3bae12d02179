package shardmap

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// bruteForce finds the best chain the naive way: every assignment of a server to
// every block, priced by walking it.
func bruteForce(servers []server, blocks int) []Hop {
	var best []int
	var bestPrice price
	chain := make([]int, blocks)
	var try func(b int)
	try = func(b int) {
		if b == blocks {
			if p := priceOf(servers, chain); best == nil || p.compare(bestPrice) < 0 {
				best, bestPrice = slices.Clone(chain), p // ascending, so ties keep the lowest
			}
			return
		}
		for i, s := range servers {
			if slices.ContainsFunc(s.ranges, func(r Range) bool { return r.Lo <= b && b < r.Hi }) {
				chain[b] = i
				try(b + 1)
			}
		}
	}
	try(0)
	var hops []Hop
	for b, i := range best {
		if b > 0 && best[b-1] == i {
			hops[len(hops)-1].Range.Hi++
			continue
		}
		hops = append(hops, Hop{servers[i].node, Range{b, b + 1}})
	}
	return hops
}

func priceOf(servers []server, chain []int) price {
	var p price
	for b, i := range chain {
		if b == 0 || chain[b-1] != i {
			p.micros += servers[i].enter
			p.hops++
		}
		p.micros += servers[i].block
	}
	p.micros += servers[chain[len(chain)-1]].leave
	return p
}

func TestRouteEqualsBruteForce(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		blocks := 1 + rng.IntN(6)
		m := newMap(t, node("c"), blocks, 0)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			ranges := randomRanges(rng, blocks)
			// Few distinct values, so that ties are common.
			micros, free := uint32(rng.IntN(3)*1000), uint16(rng.IntN(3))
			if name == "c" {
				m.Step(0, Pin{ranges})
				m.Step(0, Speed{micros, free})
				m.Step(0, Loaded{ranges})
				continue
			}
			c := claimOf(node(name), 1, ranges...)
			c.BlockMicros, c.FreeSlots = micros, free
			m.Step(0, Heard{Claim: c, Left: c.Lease})
			if trip := int64(rng.IntN(3)) * 1000; trip > 0 {
				m.Step(0, Measured{node(name), trip})
			}
			if rng.IntN(4) == 0 {
				m.Step(0, Gone{node(name)})
			}
		}
		var avoid []NodeID
		if rng.IntN(3) == 0 {
			avoid = []NodeID{node("b")}
		}
		servers := slices.DeleteFunc(m.servers(0), func(s server) bool { return slices.Contains(avoid, s.node) })
		want := bruteForce(servers, blocks)
		got, err := m.Route(0, avoid)
		if want == nil {
			checkUncovered(t, err, servers, blocks)
			continue
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("seed %d: route %v (%v), want %v\nservers %+v", seed, got, err, want, servers)
		}
	}
}

// randomRanges is a set of blocks, each in it with probability 2/3.
func randomRanges(rng *rand.Rand, blocks int) []Range {
	counts := make([]int, blocks)
	for b := range counts {
		counts[b] = min(1, rng.IntN(3))
	}
	held := make([]int, blocks)
	for b := range held {
		held[b] = 1 - counts[b]
	}
	return gaps(held)
}

func checkUncovered(t *testing.T, err error, servers []server, blocks int) {
	t.Helper()
	var uncovered *Uncovered
	if !errors.Is(err, ErrUncovered) || !errors.As(err, &uncovered) {
		t.Fatalf("route: %v, want an *Uncovered", err)
	}
	held := make([]int, blocks)
	for _, s := range servers {
		count(held, s.ranges)
	}
	if !slices.Equal(uncovered.Missing, gaps(held)) {
		t.Fatalf("missing %v, want %v", uncovered.Missing, gaps(held))
	}
}

// TestEveryPartition takes every way to give each of 6 blocks to one of 4 nodes,
// this one among them, and then every loss of one node.
func TestEveryPartition(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	const blocks = 6
	owner := make([]int, blocks)
	for code := range 1 << (2 * blocks) {
		ranges := make([][]Range, len(names))
		var want []Hop
		for b := range owner {
			owner[b] = code >> (2 * b) & 3
			ranges[owner[b]] = join(append(ranges[owner[b]], Range{b, b + 1}))
			if b > 0 && owner[b-1] == owner[b] {
				want[len(want)-1].Range.Hi++
			} else {
				want = append(want, Hop{node(names[owner[b]]), Range{b, b + 1}})
			}
		}
		m := newMap(t, node("a"), blocks, 0)
		m.Step(0, Pin{ranges[0]})
		m.Step(0, Loaded{ranges[0]})
		for i, name := range names[1:] {
			c := claimOf(node(name), 1, ranges[i+1]...)
			m.Step(0, Heard{Claim: c, Left: c.Lease})
		}
		if got, err := m.Route(0, nil); err != nil || !slices.Equal(got, want) {
			t.Fatalf("partition %v: route %v (%v), want %v", owner, got, err, want)
		}
		if got := m.Coverage(0); !slices.Equal(got, []int{1, 1, 1, 1, 1, 1}) {
			t.Fatalf("partition %v: coverage %v", owner, got)
		}
		for i, name := range names {
			_, err := m.Route(0, []NodeID{node(name)})
			var uncovered *Uncovered
			if errors.As(err, &uncovered); (uncovered == nil) != (len(ranges[i]) == 0) {
				t.Fatalf("partition %v without %s: %v", owner, name, err)
			} else if uncovered != nil && !slices.Equal(uncovered.Missing, ranges[i]) {
				t.Fatalf("partition %v without %s: %v, want %v", owner, name, err, ranges[i])
			}
		}
	}
}

// TestRouteTiesAreStable hears equal claims in every order of 5 nodes: the route
// is one and the same.
func TestRouteTiesAreStable(t *testing.T) {
	nodes := []NodeID{node("b"), node("c"), node("d"), node("e"), node("f")}
	var want []Hop
	permute(nodes, func(order []NodeID) {
		m := newMap(t, node("a"), 4, 0)
		for i, n := range order {
			c := claimOf(n, uint64(i+1), Range{0, 4})
			if n == node("b") {
				c.Ranges = []Range{{1, 3}}
			}
			m.Step(0, Heard{Claim: c, Left: c.Lease})
		}
		got, err := m.Route(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Fatalf("order %v: route %v, before %v", order, got, want)
		}
	})
	if !slices.Equal(want, []Hop{{node("c"), Range{0, 4}}}) {
		t.Fatalf("route %v", want)
	}
}

// TestRouteServersLimit has as many servers of each block as Route weighs, then
// one more: the cheapest is found wherever it sorts, the dearest is left out.
func TestRouteServersLimit(t *testing.T) {
	for _, nodes := range []int{RouteServers, RouteServers + 1} {
		servers := make([]server, nodes)
		for i := range servers {
			servers[i] = server{node: NodeID(fmt.Sprintf("%04d", i)), ranges: []Range{{0, 2}}, enter: int64(2*nodes - i), block: 1}
		}
		held := []int{nodes, nodes}
		table := tabulate(servers, held)
		for b, block := range table {
			if len(block) != RouteServers || !slices.IsSortedFunc(block, func(a, b rest) int { return cmp.Compare(a.server, b.server) }) {
				t.Errorf("%d servers: block %d weighs %d", nodes, b, len(block))
			}
			if dearest := nodes - RouteServers; block[0].server != int32(dearest) {
				t.Errorf("%d servers: block %d starts with server %d, want %d", nodes, b, block[0].server, dearest)
			}
		}
		if hops := shortest(servers, held); !slices.Equal(hops, []Hop{{servers[nodes-1].node, Range{0, 2}}}) {
			t.Errorf("%d servers: chain %v", nodes, hops)
		}
	}
}

func permute[T any](s []T, visit func([]T)) {
	var rec func(int)
	rec = func(k int) {
		if k == len(s) {
			visit(s)
			return
		}
		for i := k; i < len(s); i++ {
			s[k], s[i] = s[i], s[k]
			rec(k + 1)
			s[k], s[i] = s[i], s[k]
		}
	}
	rec(0)
}

// TestWindowEqualsNaive checks the sliding window against counting each anew.
func TestWindowEqualsNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		held := make([]int, 1+rng.IntN(9))
		for b := range held {
			held[b] = 1 + rng.IntN(3)
		}
		width := 1 + rng.IntN(len(held))
		n := node(string(rune('a' + rng.IntN(26))))
		var windows []Range
		for lo := 0; lo+width <= len(held); lo++ {
			windows = append(windows, Range{lo, lo + width})
		}
		measure := func(r Range) (weak, sum int) {
			for _, h := range held[r.Lo:r.Hi] {
				sum += h
				if h == slices.Min(held) {
					weak++
				}
			}
			return weak, sum
		}
		want := slices.MinFunc(windows, func(a, b Range) int {
			aWeak, aSum := measure(a)
			bWeak, bSum := measure(b)
			return cmp.Or(cmp.Compare(bWeak, aWeak), cmp.Compare(aSum, bSum),
				cmp.Compare(rendezvous(n, a.Lo), rendezvous(n, b.Lo)), cmp.Compare(a.Lo, b.Lo))
		})
		if got := window(held, width, n); got != want {
			t.Fatalf("window of %d in %v for %v: %v, want %v", width, held, nameOf(n), got, want)
		}
	}
}

// TestRangeSets checks the set operations against sets of blocks.
func TestRangeSets(t *testing.T) {
	const blocks = 7
	set := func(code int) []Range {
		counts := make([]int, blocks)
		for b := range counts {
			counts[b] = 1 - code>>b&1
		}
		return gaps(counts)
	}
	for a := range 1 << blocks {
		for b := range 1 << blocks {
			if got := union(set(a), set(b)); !slices.Equal(got, set(a|b)) {
				t.Fatalf("%v or %v: %v", set(a), set(b), got)
			}
			if got := intersect(set(a), set(b)); !slices.Equal(got, set(a&b)) {
				t.Fatalf("%v and %v: %v", set(a), set(b), got)
			}
			if got := subtract(set(a), set(b)); !slices.Equal(got, set(a&^b)) {
				t.Fatalf("%v without %v: %v", set(a), set(b), got)
			}
		}
	}
}
