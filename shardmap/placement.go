package shardmap

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// aheadMost is how many seekers before it a node reckons with when all of them
// choose at once; it bounds the work of one choice.
const aheadMost = 1024

// seek is the search for a range to own.
//
// # Course
//
// A seeking node announces itself with no range (idle), waits for the map to
// fill (settle), then for its turn (rank), then owns what it chose: tentative,
// as a joining claim that stands for Notice before it serves. A tentative node
// that others make redundant while blocks are missing seeks again.
//
// # Turn
//
// Idle nodes are ranked by a hash that all compute alike. Rank k chooses when
// the map has not changed for k·δ: so one moves, the rest see it, and the next
// moves at once. After RankWait it chooses anyway, and assumes that all before
// it do the same, so that hundreds can start together.
type seek struct {
	capacity  int
	active    bool   // looking for a range
	heard     bool   // another node of this grid was heard
	settled   Millis // when it may choose
	changed   Millis // when the claims of others last changed, from settled on
	held      []int  // claims of others per block, as last seen; nil: not looked yet
	rank      int    // idle nodes before this one
	due       Millis // when to look again
	tentative bool   // owns what it chose, not yet served
	noticed   Millis // when a tentative range may be served
	moves     int    // times it gave way
}

func (m *Map) startSeek(ev Seek) {
	s := &m.self
	s.started = true
	switch {
	case len(s.owned) > 0:
		if s.state == Failed || s.state == Draining {
			m.own(s.owned)
		}
	case ev.CapacityBlocks <= 0:
		m.seek = seek{}
		m.own(nil)
	case m.seek.active:
		m.seek.capacity = ev.CapacityBlocks
	default:
		s.changed = s.changed || s.state != Joining || !s.announced()
		s.state = Joining
		m.seek = seek{capacity: ev.CapacityBlocks, heard: m.accompanied()}
		wait := SettlePartial
		if m.seek.heard {
			wait = SettleHeard
		} else if ev.CapacityBlocks >= m.options.Blocks {
			wait = SettleAlone
		}
		m.lookFrom(m.now + wait)
	}
}

// lookFrom makes the node choose from settled on.
func (m *Map) lookFrom(settled Millis) {
	k := &m.seek
	k.active, k.tentative = true, false
	k.settled, k.changed, k.due, k.held = settled, settled, settled, nil
}

// accompanied reports whether any other node of this grid is known.
func (m *Map) accompanied() bool {
	return slices.ContainsFunc(m.table.entries, func(e *entry) bool { return e.live(m.now) && m.here(&e.claim) })
}

// company lets a seeking node that was alone listen to the first it hears.
func (m *Map) company(e *entry) {
	if m.seek.active && !m.seek.heard && m.here(&e.claim) {
		m.seek.heard = true
		m.lookFrom(m.now + SettleHeard)
	}
}

// place chooses a range when it is time to, or gives one up.
func (m *Map) place() {
	k := &m.seek
	if k.tentative && m.stale && k.moves < MovesMost && m.redundant() {
		k.moves++
		m.own(nil)
		m.self.state = Joining
		m.lookFrom(m.now)
	}
	if !k.active || m.now < k.settled {
		return
	}
	if m.stale || k.held == nil {
		m.look()
	}
	if m.now < k.due {
		return
	}
	hurried := k.due < k.changed+Millis(k.rank)*RankDelay
	m.choose(hurried)
}

// look takes stock of what others claim and of whose turn it is.
func (m *Map) look() {
	k := &m.seek
	held := m.heldByOthers()
	if k.held != nil && !slices.Equal(held, k.held) {
		k.changed = m.now
	}
	k.held, k.rank, m.stale = held, len(m.idleBefore()), false
	k.due = min(k.changed+Millis(k.rank)*RankDelay, k.settled+RankWait)
}

// choose owns a range. hurried: the idle nodes before this one choose too.
func (m *Map) choose(hurried bool) {
	k := &m.seek
	if hurried {
		ahead := m.idleBefore()
		for _, n := range ahead[:min(len(ahead), aheadMost)] {
			count(k.held, []Range{pick(k.held, k.capacity, n)})
		}
	}
	k.active, k.tentative = false, true
	k.noticed = m.now
	if m.accompanied() {
		k.noticed += Notice
	}
	m.own([]Range{pick(k.held, k.capacity, m.options.Self)})
}

// heldByOthers counts, for each block, the other nodes that claim to serve it or
// that will.
func (m *Map) heldByOthers() []int {
	held := make([]int, m.options.Blocks)
	for _, e := range m.table.entries {
		if m.holds(e) {
			count(held, e.claim.Ranges)
		}
	}
	return held
}

func (m *Map) holds(e *entry) bool {
	return e.live(m.now) && m.here(&e.claim) && (e.claim.State == Joining || e.claim.State == Serving)
}

// idleBefore lists the idle nodes whose turn comes before this one's, in turn.
func (m *Map) idleBefore() []NodeID {
	var before []NodeID
	for _, e := range m.table.entries {
		if m.holds(e) && e.claim.State == Joining && len(e.claim.Ranges) == 0 && m.turn(e.claim.Node, m.options.Self) < 0 {
			before = append(before, e.claim.Node)
		}
	}
	slices.SortFunc(before, m.turn)
	return before
}

// turn orders nodes by rendezvous hash, alike on every node. One hash serves all
// holes: nodes whose maps differ for a moment still agree on whose turn it is.
func (m *Map) turn(a, b NodeID) int {
	return cmp.Or(cmp.Compare(rendezvous(a, m.options.Blocks), rendezvous(b, m.options.Blocks)), compareNodes(a, b))
}

// redundant reports whether blocks are missing while every block that this
// tentative node owns is held by a node that takes precedence: one that serves,
// or that joins and whose turn comes first. Whoever is first of those that hold a
// block is never redundant, so giving way opens no hole.
func (m *Map) redundant() bool {
	held := m.heldByOthers()
	count(held, m.self.owned)
	m.stale = false
	if len(gaps(held)) == 0 {
		return false
	}
	missing := m.self.owned
	for _, e := range m.table.entries {
		if m.holds(e) && (e.claim.State == Serving || m.turn(e.claim.Node, m.options.Self) < 0) {
			missing = subtract(missing, e.claim.Ranges)
		}
	}
	return len(missing) == 0
}

// pick chooses a range of at most capacity blocks for node: the start of a hole
// if there is one (that of which most fits, then the lowest), else the window
// that helps most.
func pick(held []int, capacity int, node NodeID) Range {
	capacity = min(capacity, len(held))
	var best Range
	for _, hole := range gaps(held) {
		hole.Hi = min(hole.Hi, hole.Lo+capacity)
		if hole.Len() > best.Len() {
			best = hole
		}
	}
	if best.Len() > 0 {
		return best
	}
	return window(held, capacity, node)
}

// window is the run of width blocks with the most blocks that have the fewest
// replicas (a pipeline is as fast as its weakest block), then the fewest replicas
// in all, then the lowest rendezvous hash, then the lowest block.
func window(held []int, width int, node NodeID) Range {
	fewest := slices.Min(held)
	weak, sum := 0, 0
	add := func(b, sign int) {
		sum += sign * held[b]
		if held[b] == fewest {
			weak += sign
		}
	}
	var best Range
	var bestWeak, bestSum int
	var bestHash uint64
	for b := range held {
		add(b, 1)
		lo := b + 1 - width
		if lo < 0 {
			continue
		}
		hash := rendezvous(node, lo)
		if best.Len() == 0 || cmp.Or(cmp.Compare(bestWeak, weak), cmp.Compare(sum, bestSum), cmp.Compare(hash, bestHash)) < 0 {
			best, bestWeak, bestSum, bestHash = Range{lo, b + 1}, weak, sum, hash
		}
		add(lo, -1)
	}
	return best
}

// rendezvous is a hash of a node and a block: the start of the node's public key
// and the block, mixed by two rounds of the splitmix64 finalizer.
func rendezvous(n NodeID, block int) uint64 {
	key := binary.BigEndian.Uint64([]byte(n[len(identityPrefix):]))
	return mix(key ^ mix(uint64(block)+0x9e3779b97f4a7c15))
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
