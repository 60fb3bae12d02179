package shardmap

import (
	"fmt"
	"slices"
)

// self is this node's own part.
type self struct {
	started     bool // it was told what to do, or that time passes: it may publish
	incarnation uint64
	sequence    uint64 // used last; 0: none yet
	published   Claim  // the last claim, or the zero Claim
	sealed      []byte // that claim as it came back; nil: not yet
	state       State
	owned       []Range // canonical
	resident    []Range // of owned, those whose stages are ready; canonical
	blockMicros uint32
	freeSlots   uint16
	publishedAt Millis
	publishAt   Millis // when the next claim is due
	changed     bool   // ranges or state differ from the last claim
}

// announced reports whether the node has published a claim.
func (s *self) announced() bool { return s.published.Sequence != 0 }

// left is the time left at now on the lease of the last claim.
func (s *self) left(now Millis) Millis { return max(0, s.publishedAt+s.published.Lease-now) }

// claim is what the node says about itself now, under the number used last.
func (m *Map) claim() Claim {
	s := &m.self
	return Claim{
		Node: m.options.Self, Genome: m.options.Genome, Arithmetic: m.options.Arithmetic,
		Incarnation: s.incarnation, Sequence: s.sequence, Lease: leaseFor(m.table.running + 1),
		Ranges: m.said(), State: s.state, BlockMicros: s.blockMicros, FreeSlots: s.freeSlots,
	}
}

// said is the ranges that the node's claim names. A serving node that was given
// more names only what it can serve already.
func (m *Map) said() []Range {
	ranges := m.self.owned
	if m.self.state == Serving {
		ranges = intersect(m.self.owned, m.self.resident)
	}
	return slices.Clone(ranges[:min(len(ranges), ClaimRanges)])
}

// complete reports whether everything owned is resident.
func (m *Map) complete() bool { return len(subtract(m.self.owned, m.self.resident)) == 0 }

func (m *Map) pin(ev Pin) {
	ranges, err := normalize(ev.Ranges, m.options.Blocks)
	if err != nil {
		m.emit(Refused{fmt.Errorf("pin: %w", err)})
		return
	}
	m.seek = seek{}
	m.own(ranges)
}

// own makes ranges what the node owns, and starts it.
func (m *Map) own(ranges []Range) {
	s := &m.self
	s.started, s.changed = true, true
	for _, r := range subtract(s.owned, ranges) {
		m.emit(Release{r})
	}
	fetch := subtract(ranges, s.owned)
	if s.state == Failed {
		fetch = ranges // its stages are gone
	}
	s.owned, s.resident = ranges, intersect(s.resident, ranges)
	for _, r := range fetch {
		m.emit(Load{r})
	}
	if s.state != Serving || len(s.resident) == 0 {
		s.state = Joining
	}
	if len(s.owned) == 0 {
		s.state = Serving // a gateway serves what it owns
	}
}

func (m *Map) loaded(ev Loaded) {
	ranges, err := canonical(ev.Ranges, m.options.Blocks)
	if err != nil {
		m.emit(Refused{fmt.Errorf("loaded: %w", err)})
		return
	}
	s := &m.self
	news := subtract(intersect(s.owned, ranges), s.resident)
	if s.state == Failed || len(news) == 0 {
		return
	}
	s.resident = union(s.resident, news)
	s.changed = s.changed || s.state == Serving // it names more than before
}

// serve begins to serve when everything owned is there, and a chosen range has
// stood long enough for others to object.
func (m *Map) serve() {
	s := &m.self
	if s.state != Joining || len(s.owned) == 0 || !m.complete() || m.seek.tentative && m.now < m.seek.noticed {
		return
	}
	s.state, s.changed = Serving, true
	m.seek = seek{}
}

// stop ends serving, with Failed or Draining.
func (m *Map) stop(state State) {
	s := &m.self
	if state == Failed {
		s.resident = nil
	}
	s.started, s.changed = true, s.changed || s.state != state
	s.state = state
	m.seek = seek{}
}

// speed takes in what the node measured of itself. What matters to routes goes
// out within PublishGap, the rest with the next heartbeat.
func (m *Map) speed(ev Speed) {
	s := &m.self
	slower, faster := uint64(ev.BlockMicros), uint64(s.blockMicros)
	if (ev.FreeSlots == 0) != (s.freeSlots == 0) || slower > 2*faster || faster > 2*slower {
		m.soon()
	}
	s.blockMicros, s.freeSlots = ev.BlockMicros, ev.FreeSlots
}

// soon makes the next claim due as early as PublishGap allows.
func (m *Map) soon() {
	s := &m.self
	if s.announced() {
		s.publishAt = min(s.publishAt, max(m.now, s.publishedAt+PublishGap))
	}
}

// echo takes in a claim of this node that came back. One that outranks the last
// published was made in a life this node forgot (its folder was restored) or by
// another that runs with its key: others will hear nothing lower, so go past it.
func (m *Map) echo(c *Claim, sealed []byte) {
	s := &m.self
	order := c.order(s.incarnation, s.sequence)
	if order < 0 {
		m.counts.Known++
		return
	}
	if order == 0 && c.equal(&s.published) {
		s.sealed = slices.Clone(sealed)
		return
	}
	if order == 0 {
		m.counts.Contradictory++
	}
	s.incarnation, s.sequence, s.sealed = c.Incarnation, c.Sequence, nil
	m.soon()
}

// publish announces the node when its ranges or state changed or the last claim
// is a third of its lease old.
func (m *Map) publish() {
	s := &m.self
	if !s.started || !s.changed && m.now < s.publishAt {
		return
	}
	switch {
	case s.sequence < CounterMost:
		s.sequence++
	case s.incarnation < CounterMost:
		s.incarnation, s.sequence = s.incarnation+1, 1
	default:
		s.publishAt, s.changed = never, false // no higher number exists
		return
	}
	s.changed, s.sealed, s.published = false, nil, m.claim()
	s.publishedAt, s.publishAt = m.now, m.now+s.published.Lease/3
	said := s.published
	said.Ranges = slices.Clone(said.Ranges)
	m.emit(Publish{said})
}

// leaseFor is the lease of a claim in a grid of nodes.
func leaseFor(nodes int) Millis {
	return min(max(LeasePerNode*Millis(nodes), LeaseLeast), LeaseMost)
}
