package shardmap

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUncovered says that some block is served by no usable node. The error is an
// *Uncovered.
var ErrUncovered = errors.New("blocks are not served by any node")

// Uncovered names the blocks that no usable node serves.
type Uncovered struct {
	Missing []Range // canonical, never empty
}

// Error lists the blocks as half-open ranges.
func (u *Uncovered) Error() string {
	names := make([]string, len(u.Missing))
	for i, r := range u.Missing {
		names[i] = r.String()
	}
	return fmt.Sprintf("blocks %s are not served by any node", strings.Join(names, ", "))
}

// Is reports whether target is ErrUncovered.
func (u *Uncovered) Is(target error) bool { return target == ErrUncovered }

// Hop is one part of a chain: Node computes the blocks of Range.
type Hop struct {
	Node  NodeID
	Range Range
}

// server is a node that a chain may lead through. Costs in microseconds.
type server struct {
	node   NodeID
	ranges []Range
	enter  int64 // to bring a row to it: half a round trip, and what speaks against it
	leave  int64 // to bring a row from it to the gateway: half a round trip
	block  int64 // to compute one block of one row, with the wait for those before
}

func newServer(c *Claim, halfTrip int64, suspect bool) server {
	micros := int64(c.BlockMicros)
	if micros == 0 {
		micros = unmeasuredBlock
	}
	s := server{node: c.Node, ranges: c.Ranges, enter: halfTrip, leave: halfTrip, block: micros + micros/(1+int64(c.FreeSlots))}
	if c.FreeSlots == 0 {
		s.enter += fullCost
	}
	if suspect {
		s.enter += suspectCost
	}
	return s
}

// servers lists who serves this grid at now, by ascending NodeID.
func (m *Map) servers(now Millis) []server {
	var servers []server
	for _, e := range m.table.entries {
		if e.live(now) && e.claim.State == Serving && m.here(&e.claim) && len(e.claim.Ranges) > 0 {
			half := e.roundTrip / 2
			if e.roundTrip == 0 {
				half = unmeasuredRoundTrip / 2
			}
			servers = append(servers, newServer(&e.claim, half, e.suspect))
		}
	}
	if own := m.claim(); own.State == Serving && len(own.Ranges) > 0 {
		at, _ := slices.BinarySearchFunc(servers, own.Node, func(s server, n NodeID) int { return compareNodes(s.node, n) })
		servers = slices.Insert(servers, at, newServer(&own, 0, false))
	}
	return servers
}

// Route finds the chain that brings one row through all blocks and back soonest,
// by ascending blocks, leaving out the nodes in avoid: half a round trip into
// each hop and out of the last, plus measured compute, plus queue. Only nodes
// that serve this Genome under this arithmetic with a running lease take part;
// this node does at no distance. Round trips are those from here, as nobody
// measures those between others. Between chains of equal cost it takes the one
// with fewer hops, then the one whose nodes, block by block, have the lower ID.
// Of a block with more than RouteServers servers it weighs the cheapest only.
//
// The error is an *Uncovered that names the blocks missing.
func (m *Map) Route(now Millis, avoid []NodeID) ([]Hop, error) {
	servers := slices.DeleteFunc(m.servers(max(now, m.now)), func(s server) bool { return slices.Contains(avoid, s.node) })
	held := make([]int, m.options.Blocks)
	for _, s := range servers {
		count(held, s.ranges)
	}
	if missing := gaps(held); len(missing) > 0 {
		return nil, &Uncovered{Missing: missing}
	}
	return shortest(servers, held), nil
}

// price orders what is left of chains: by cost, then by hops.
type price struct {
	micros int64
	hops   int64
}

func (p price) compare(q price) int {
	return cmp.Or(cmp.Compare(p.micros, q.micros), cmp.Compare(p.hops, q.hops))
}

// rest is the best way to go on with a block at a server: shape of a table of
// them [blocks][servers of the block].
type rest struct {
	price  price // of this block and all after it, and the way back
	server int32 // index, ascending within a block
	next   int32 // server of the next block
}

// shortest solves from the last block back: going on costs least either at the
// same server, or at the one server that is cheapest to enter. So the work is the
// sum of all ranges, not its square. held is the servers per block, none zero.
func shortest(servers []server, held []int) []Hop {
	table := tabulate(servers, held)
	first := int32(0) // server to enter at the block above
	var enter price   // and what that costs
	for b := len(held) - 1; b >= 0; b-- {
		var above []rest
		if b+1 < len(held) {
			above = table[b+1]
		}
		for k := range table[b] {
			at := &table[b][k]
			s := &servers[at.server]
			at.price, at.next = enter, first
			if b+1 == len(held) {
				at.price = price{micros: s.leave}
			}
			for len(above) > 0 && above[0].server < at.server {
				above = above[1:]
			}
			if len(above) > 0 && above[0].server == at.server {
				if stay := above[0].price; cmp.Or(stay.compare(enter), cmp.Compare(at.server, first)) <= 0 {
					at.price, at.next = stay, at.server
				}
			}
			at.price.micros += s.block
		}
		first, enter = cheapest(servers, table[b])
	}
	return follow(servers, table, first)
}

// tabulate lists the servers of each block, ascending; of more than RouteServers
// those that cost least.
func tabulate(servers []server, held []int) [][]rest {
	order := make([]int32, len(servers))
	for i := range order {
		order[i] = int32(i)
	}
	crowded := slices.Max(held) > RouteServers
	if crowded {
		slices.SortStableFunc(order, func(i, j int32) int {
			a, b := &servers[i], &servers[j]
			return cmp.Compare(a.enter+a.block, b.enter+b.block)
		})
	}
	all := 0
	for _, n := range held {
		all += min(n, RouteServers)
	}
	cells := make([]rest, all)
	table := make([][]rest, len(held))
	for b, n := range held {
		n = min(n, RouteServers)
		table[b], cells = cells[:0:n], cells[n:]
	}
	for _, i := range order {
		for _, r := range servers[i].ranges {
			for b := r.Lo; b < r.Hi; b++ {
				if len(table[b]) < cap(table[b]) {
					table[b] = append(table[b], rest{server: i})
				}
			}
		}
	}
	if crowded {
		for _, block := range table {
			slices.SortFunc(block, func(a, b rest) int { return cmp.Compare(a.server, b.server) })
		}
	}
	return table
}

// cheapest is the server of a block that costs least to enter there.
func cheapest(servers []server, block []rest) (first int32, best price) {
	for k, at := range block {
		p := price{at.price.micros + servers[at.server].enter, at.price.hops + 1}
		if k == 0 || p.compare(best) < 0 {
			first, best = at.server, p
		}
	}
	return first, best
}

// follow reads the chain that starts at server at out of the table.
func follow(servers []server, table [][]rest, at int32) []Hop {
	var hops []Hop
	for b := range table {
		if last := len(hops) - 1; last >= 0 && hops[last].Node == servers[at].node {
			hops[last].Range.Hi++
		} else {
			hops = append(hops, Hop{servers[at].node, Range{b, b + 1}})
		}
		i, _ := slices.BinarySearchFunc(table[b], at, func(r rest, server int32) int { return cmp.Compare(r.server, server) })
		at = table[b][i].next
	}
	return hops
}
