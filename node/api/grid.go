package api

import (
	"context"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Grid is what the API needs of a node. Its methods are called from many
// goroutines at once.
type Grid interface {
	// Generate starts a generation. It may fail at once or at the first Next,
	// with errors that wrap the sentinels of package session. When ctx ends,
	// Next must return an error soon.
	Generate(ctx context.Context, r session.Request) (Stream, error)
	// Models lists what this node answers for. The first is the node's own,
	// meant by the names "", "zetagrid" and "default".
	Models() []Model
	// Status is the grid as this node sees it now.
	Status() Status
	// Events reports changes from the call on, until ctx ends; then the channel
	// is closed. A caller that does not keep up may miss events.
	Events(ctx context.Context) <-chan Event
}

// Stream is one generation. Next, Finish and Usage belong to one goroutine.
type Stream interface {
	// Next waits for the next byte; io.EOF ends a complete answer. Any other
	// error wraps a sentinel of package session.
	Next() (session.Piece, error)
	// Finish says why the answer ended; valid after io.EOF.
	Finish() session.Finish
	// Usage is what the generation cost so far; complete after io.EOF.
	Usage() session.Usage
	// Close frees the generation everywhere and makes a waiting Next return.
	// It may be called at any time, by any goroutine, more than once.
	Close() error
}

// Model is a Model that a node answers for.
type Model struct {
	ID       string             // Model CID
	Created  int64              // Unix seconds; 0 when unknown
	Soul     string             // CID of the default Soul, "" when it has none
	Souls    []string           // CIDs of Souls known to fit, the default among them
	Template modelfile.Template // how a chat becomes a prompt
}

// Span is a half-open range of Fractal Blocks as JSON writes it: [lo, hi].
type Span [2]int

// SpanOf is r as a Span.
func SpanOf(r tcn.Range) Span { return Span{r.Lo, r.Hi} }

// Range is s as a range.
func (s Span) Range() tcn.Range { return tcn.Range{Lo: s[0], Hi: s[1]} }

// Status is the answer of /api/v1/grid.
type Status struct {
	Self    string `json:"self"`    // peer ID of the node that answers; "" for a grid of one without a host
	Model   string `json:"model"`   // Model CID
	Blocks  int    `json:"blocks"`  // how many Fractal Blocks the Model has
	Covered bool   `json:"covered"` // whether serving nodes cover all of them
	Missing []Span `json:"missing"` // what they do not cover; never null
	Nodes   []Node `json:"nodes"`   // every node known, this one included; never null

	Device *Device `json:"device,omitempty"` // of the node that answers; nil: not known
}

// DeviceState says whether a device computes.
type DeviceState string

// States of a device. The list only grows.
const (
	// DeviceWorking: it computes.
	DeviceWorking DeviceState = "working"
	// DeviceLost: it failed, and is tried again.
	DeviceLost DeviceState = "lost"
	// DeviceGivenUp: it failed, and is not tried any more till the node starts anew.
	DeviceGivenUp DeviceState = "given_up"
)

// Device is what computes the blocks of a node.
type Device struct {
	Name     string      `json:"name"` // as in "cpu/avx512"
	State    DeviceState `json:"state"`
	Error    string      `json:"error,omitempty"` // why it does not work, or holds no blocks
	Failures int         `json:"failures"`        // since the node started
}

// Node is one peer's claim.
type Node struct {
	Peer    string   `json:"peer"`
	Blocks  Span     `json:"blocks"` // the first range; [0, 0] for a node that owns no block
	Ranges  []Span   `json:"ranges"` // all of them; never null
	State   string   `json:"state"`  // joining, serving, draining or failed
	Addrs   []string `json:"addrs,omitempty"`
	Speed   float64  `json:"speed,omitempty"`    // measured rows a second through its blocks; 0 when not measured
	LeaseMS int64    `json:"lease_ms,omitempty"` // what is left of its claim
}

// EventKind names what changed.
type EventKind string

// Kinds of events. The list only grows.
const (
	// NodeJoined: a claim of a peer that was not known.
	NodeJoined EventKind = "node_joined"
	// NodeLost: a peer's lease ran out, or it left.
	NodeLost EventKind = "node_lost"
	// RangeServing: a peer began to serve Blocks.
	RangeServing EventKind = "range_serving"
	// RangeLost: a peer no longer serves Blocks.
	RangeLost EventKind = "range_lost"
)

// Event is one change of the grid's state, as /api/v1/events sends it.
type Event struct {
	Kind   EventKind `json:"kind"`
	Peer   string    `json:"peer"`
	Blocks Span      `json:"blocks"` // [0, 0] when no range is meant
	AtMS   int64     `json:"at_ms"`  // Unix milliseconds of this node's clock
}

// filled returns s with no null lists in it.
func (s Status) filled() Status {
	if s.Missing == nil {
		s.Missing = []Span{}
	}
	nodes := make([]Node, len(s.Nodes))
	for i, n := range s.Nodes {
		if n.Ranges == nil {
			n.Ranges = []Span{}
			if n.Blocks != (Span{}) {
				n.Ranges = []Span{n.Blocks}
			}
		}
		nodes[i] = n
	}
	s.Nodes = nodes
	return s
}
