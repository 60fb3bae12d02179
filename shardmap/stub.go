package shardmap

import "errors"

const digestRecordBytes = 48

// Options configures a Map.
type Options struct {
	Self        NodeID // this node
	Genome      string // raw bytes of the Genome CID the grid serves
	Blocks      int    // Fractal Blocks of the Genome, 1 to BlocksMost
	Arithmetic  uint16 // version of the exact arithmetic, from 1
	Incarnation uint64 // higher than that of any earlier run; from 1
	MaxNodes    int    // nodes remembered, this one included; 0: TableNodes, which is also the most
}

// ErrOptions is wrapped by every refusal of Options.
var ErrOptions = errors.New("bad options")

// ErrExchange is wrapped by every refusal of a digest or of entries.
var ErrExchange = errors.New("bad exchange")

// ErrUncovered says that some block is served by no node. The error is an
// *Uncovered.
var ErrUncovered = errors.New("blocks are not served by any node")

// Uncovered names the blocks that no usable node serves.
type Uncovered struct{ Missing []Range }

func (u *Uncovered) Error() string        { return ErrUncovered.Error() }
func (u *Uncovered) Is(target error) bool { return target == ErrUncovered }

// Hop is one part of a chain: Node computes the blocks of Range.
type Hop struct {
	Node  NodeID
	Range Range
}

// Seen is a claim in the map and what this node knows beside it.
type Seen struct {
	Claim           Claim
	Left            Millis // time left on the lease
	Self            bool
	RoundTripMicros int64 // 0: not measured
	Suspect         bool  // its connection was lost since it was last heard
}

// Entry is a sealed claim handed on by a third party.
type Entry struct {
	Sealed []byte
	Left   Millis
}

// Map is the state machine.
type Map struct{}

func New(o Options) (*Map, error)                                          { return &Map{}, nil }
func (m *Map) Step(now Millis, ev Event) []Effect                          { return nil }
func (m *Map) Route(now Millis, avoid []NodeID) ([]Hop, error)             { return nil, &Uncovered{} }
func (m *Map) View(now Millis) []Seen                                      { return nil }
func (m *Map) Coverage(now Millis) []int                                   { return nil }
func (m *Map) Digest(now Millis) []byte                                    { return nil }
func (m *Map) Newer(now Millis, digest []byte) (entries []byte, err error) { return nil, nil }
func ParseEntries(b []byte) ([]Entry, error)                               { return nil, nil }
func (m *Map) NextWake(now Millis) Millis                                  { return now }
