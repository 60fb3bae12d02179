package shardmap

import (
	"errors"
	"fmt"
	"slices"
)

// ErrOptions is wrapped by every refusal of Options.
var ErrOptions = errors.New("bad options")

// Options configures a Map.
type Options struct {
	Self        NodeID // this node
	Genome      string // raw bytes of the Genome CID the grid serves
	Blocks      int    // Fractal Blocks of the Genome, 1 to BlocksMost
	Arithmetic  uint16 // version of the exact arithmetic, from 1
	Incarnation uint64 // higher than that of any earlier run, from 1
	MaxNodes    int    // nodes remembered, this one included; 0: TableNodes, which is also the most
}

func (o *Options) check() error {
	if _, err := o.Self.PublicKey(); err != nil {
		return fmt.Errorf("%w: self: %w", ErrOptions, err)
	}
	switch {
	case len(o.Genome) == 0 || len(o.Genome) > GenomeBytes:
		return fmt.Errorf("%w: genome CID has %d bytes, want 1 to %d", ErrOptions, len(o.Genome), GenomeBytes)
	case o.Blocks < 1 || o.Blocks > BlocksMost:
		return fmt.Errorf("%w: %d blocks, want 1 to %d", ErrOptions, o.Blocks, BlocksMost)
	case o.Arithmetic == 0:
		return fmt.Errorf("%w: no arithmetic version", ErrOptions)
	case o.Incarnation == 0 || o.Incarnation > CounterMost:
		return fmt.Errorf("%w: incarnation %d is not in 1 to 2^63-1", ErrOptions, o.Incarnation)
	case o.MaxNodes < 0 || o.MaxNodes > TableNodes:
		return fmt.Errorf("%w: %d nodes, want 0 to %d", ErrOptions, o.MaxNodes, TableNodes)
	}
	return nil
}

// Map is one node's view of the grid, and its own part in it. It is not safe for
// concurrent use. What it takes in and what it returns shares no memory with it.
type Map struct {
	options Options
	now     Millis // the latest time seen; time never runs backwards in here
	table   table  // the other nodes
	self    self
	seek    seek
	stale   bool // the table changed in a way that matters to placement
	counts  Counts
	out     []Effect // of the Step under way
}

// Counts says what became of the claims heard.
type Counts struct {
	Accepted      uint64 // extended a lease
	Known         uint64 // did not outrank what is known of the node
	Late          uint64 // had no time left
	Refused       uint64 // out of bounds
	Contradictory uint64 // as high as what is known, but not the same
	Crowded       uint64 // found the table full of nodes confirmed later
}

// New makes the map of a node that knows no other and owns nothing. All errors
// wrap ErrOptions.
func New(o Options) (*Map, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.MaxNodes == 0 {
		o.MaxNodes = TableNodes
	}
	return &Map{
		options: o,
		table:   table{wake: never},
		self:    self{incarnation: o.Incarnation, state: Serving},
	}, nil
}

// Step tells the map what happened at now and returns what to do, in order.
//
// The same events at the same times yield the same effects. A now before that of
// an earlier Step counts as the earlier one. A bad claim is counted and dropped;
// a local event that cannot be carried out yields Refused.
func (m *Map) Step(now Millis, ev Event) []Effect {
	m.now = max(m.now, now)
	m.sweep()
	switch ev := ev.(type) {
	case Heard:
		m.heard(ev)
	case Measured:
		m.measured(ev)
	case Gone:
		m.gone(ev)
	case Pin:
		m.pin(ev)
	case Seek:
		m.startSeek(ev)
	case Loaded:
		m.loaded(ev)
	case Fail:
		m.stop(Failed)
	case Drain:
		m.stop(Draining)
	case Speed:
		m.speed(ev)
	case Ticked:
		m.self.started = true
	}
	m.place()
	m.serve()
	m.publish()
	out := m.out
	m.out = nil
	return out
}

func (m *Map) emit(e Effect) { m.out = append(m.out, e) }

// NextWake is when Ticked is next useful if nothing else happens: at now or
// before it when it is useful at once. Just after Ticked it lies ahead.
func (m *Map) NextWake(now Millis) Millis {
	if !m.self.started {
		return now
	}
	wake := min(m.self.publishAt, m.table.wake)
	if m.seek.active {
		wake = min(wake, m.seek.due)
	}
	if m.seek.tentative && m.complete() {
		wake = min(wake, m.seek.noticed)
	}
	return wake
}

// Seen is a claim in the map and what this node knows beside it.
type Seen struct {
	Claim           Claim
	Left            Millis // time left on the lease
	Self            bool
	RoundTripMicros int64 // 0: not measured
	Suspect         bool  // its connection was lost since it was last heard
}

// View lists the claims whose leases run at now, this node's own included once
// it was published, by ascending Node.
func (m *Map) View(now Millis) []Seen {
	now = max(now, m.now)
	var seen []Seen
	for _, e := range m.table.entries {
		if e.live(now) {
			c := e.claim
			c.Ranges = slices.Clone(c.Ranges)
			seen = append(seen, Seen{Claim: c, Left: e.expires - now, RoundTripMicros: e.roundTrip, Suspect: e.suspect})
		}
	}
	if !m.self.announced() {
		return seen
	}
	self := Seen{Claim: m.self.published, Left: m.self.left(now), Self: true}
	self.Claim.Ranges = slices.Clone(self.Claim.Ranges)
	at, _ := slices.BinarySearchFunc(seen, self, func(a, b Seen) int { return compareNodes(a.Claim.Node, b.Claim.Node) })
	return slices.Insert(seen, at, self)
}

// Coverage counts, for each block, the nodes that would serve it at now, this
// one included: shape [Blocks].
func (m *Map) Coverage(now Millis) []int {
	counts := make([]int, m.options.Blocks)
	for _, c := range m.servers(max(now, m.now)) {
		count(counts, c.ranges)
	}
	return counts
}

// Counts says what became of the claims heard so far.
func (m *Map) Counts() Counts { return m.counts }

// here reports whether c is about this grid's Genome and arithmetic.
func (m *Map) here(c *Claim) bool {
	return c.Genome == m.options.Genome && c.Arithmetic == m.options.Arithmetic
}
