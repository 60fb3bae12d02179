package shardmap

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// never is after every deadline.
const never Millis = math.MaxInt64

// entry is another node as known from its highest claim.
type entry struct {
	claim     Claim
	sealed    []byte // nil: cannot be handed on
	expires   Millis // when its lease runs out
	forget    Millis // when the tombstone goes; 0 while the lease runs
	roundTrip int64  // microseconds, smoothed; 0: not measured
	suspect   bool   // the connection was lost since it was last heard
}

// live reports whether e's lease runs at now.
func (e *entry) live(now Millis) bool { return e.forget == 0 && now < e.expires }

// issued is when its node made the claim, as far as this node can know.
func (e *entry) issued() Millis { return e.expires - e.claim.Lease }

// confirmed reports whether this node itself has proof that e's node is there.
func (e *entry) confirmed() bool { return e.forget == 0 && e.roundTrip > 0 && !e.suspect }

// table is the other nodes, tombstones included, by ascending NodeID: a slice,
// so that nothing can depend on the order of a Go map.
type table struct {
	entries []*entry
	running int    // entries whose lease runs
	wake    Millis // no lease or tombstone ends before this
}

func compareNodes(a, b NodeID) int { return strings.Compare(string(a), string(b)) }

func (t *table) find(n NodeID) (int, bool) {
	return slices.BinarySearchFunc(t.entries, n, func(e *entry, n NodeID) int { return compareNodes(e.claim.Node, n) })
}

// victim is the index of the entry to evict first: unconfirmed before confirmed,
// then the one whose claim is oldest, then the lowest NodeID. The table must not
// be empty.
func (t *table) victim() int {
	victim := 0
	for i, e := range t.entries {
		if evictOrder(e, t.entries[victim]) < 0 {
			victim = i
		}
	}
	return victim
}

func evictOrder(a, b *entry) int {
	if a.confirmed() != b.confirmed() {
		if b.confirmed() {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.issued(), b.issued()), compareNodes(a.claim.Node, b.claim.Node))
}

// sweep turns expired claims into tombstones and forgets old tombstones.
func (m *Map) sweep() {
	t := &m.table
	if m.now < t.wake {
		return
	}
	t.wake = never
	kept := t.entries[:0]
	for _, e := range t.entries {
		if e.forget == 0 && e.expires <= m.now {
			e.forget = e.expires + TombstoneLeases*e.claim.Lease
			t.running--
			m.stale = true
			m.emit(Lost{Node: e.claim.Node, Cause: Expired})
		}
		switch {
		case e.forget == 0:
			t.wake = min(t.wake, e.expires)
		case e.forget <= m.now:
			continue
		default:
			t.wake = min(t.wake, e.forget)
		}
		kept = append(kept, e)
	}
	clear(t.entries[len(kept):])
	t.entries = kept
}

// heard takes in a claim: authentic, but said by a stranger.
func (m *Map) heard(h Heard) {
	c := h.Claim
	if c.check() != nil || len(h.Sealed) > ClaimBytes || m.here(&c) && checkRanges(c.Ranges, m.options.Blocks) != nil {
		m.counts.Refused++
		return
	}
	if c.Node == m.options.Self {
		m.echo(&c, h.Sealed)
		return
	}
	left := min(h.Left, c.Lease)
	if left <= 0 {
		m.counts.Late++
		return
	}
	c.Ranges = slices.Clone(c.Ranges)
	e := &entry{claim: c, sealed: slices.Clone(h.Sealed), expires: m.now + left}
	at, known := m.table.find(c.Node)
	switch {
	case !known:
		m.admit(at, e)
	case c.after(&m.table.entries[at].claim):
		m.replace(at, e)
	case c.order(m.table.entries[at].claim.Incarnation, m.table.entries[at].claim.Sequence) == 0 && !c.equal(&m.table.entries[at].claim):
		m.counts.Contradictory++
	default:
		m.counts.Known++
	}
}

// admit adds a node that is not in the table, at index at.
func (m *Map) admit(at int, e *entry) {
	t := &m.table
	if len(t.entries)+1 >= m.options.MaxNodes {
		if len(t.entries) == 0 {
			m.counts.Crowded++
			return
		}
		i := t.victim()
		old := t.entries[i]
		if evictOrder(e, old) < 0 {
			m.counts.Crowded++
			return
		}
		t.entries = slices.Delete(t.entries, i, i+1)
		if i < at {
			at--
		}
		if old.forget == 0 {
			t.running--
			m.emit(Lost{Node: old.claim.Node, Cause: Evicted})
		}
	}
	t.entries = slices.Insert(t.entries, at, e)
	m.appeared(e)
}

// replace puts a higher claim of the same node at index at. What the old lease
// still promised stands, as far as the new lease reaches: a third party that
// hands on a fresh claim with next to no time left cannot cut a node off.
func (m *Map) replace(at int, e *entry) {
	old := m.table.entries[at]
	m.table.entries[at] = e
	if old.forget != 0 {
		m.appeared(e)
		return
	}
	e.expires = max(e.expires, min(old.expires, m.now+e.claim.Lease))
	e.roundTrip = old.roundTrip
	m.table.wake = min(m.table.wake, e.expires)
	m.counts.Accepted++
	if old.claim.State != e.claim.State || m.here(&old.claim) != m.here(&e.claim) || !slices.Equal(old.claim.Ranges, e.claim.Ranges) {
		m.stale = true
	}
	m.company(e)
}

// appeared accounts for an entry whose lease began.
func (m *Map) appeared(e *entry) {
	m.table.running++
	m.table.wake = min(m.table.wake, e.expires)
	m.counts.Accepted++
	m.stale = true
	m.emit(Joined{Node: e.claim.Node})
	m.company(e)
}

func (m *Map) measured(ev Measured) {
	at, known := m.table.find(ev.Node)
	if !known || ev.RoundTripMicros <= 0 {
		return
	}
	e := m.table.entries[at]
	sample := min(ev.RoundTripMicros, RoundTripMost)
	if e.roundTrip == 0 {
		e.roundTrip = sample
	}
	// A quarter of the news at a time, at least a microsecond: one slow lap
	// should not move a route.
	e.roundTrip = max(1, (3*e.roundTrip+sample)/4)
	e.suspect = false
}

func (m *Map) gone(ev Gone) {
	if at, known := m.table.find(ev.Node); known {
		m.table.entries[at].suspect = true
	}
}
