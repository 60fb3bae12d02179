package shardmap

// Event is something that happened: the network, the clock, or a local decision.
type Event interface{ event() }

// Heard is a claim that arrived and that Open accepted.
//
// A node's own claim may come back too (gossip does that). It should: Newer
// hands on our claim only after it was heard sealed, and a claim of ours that
// outranks the one we are at tells that the data folder was restored.
type Heard struct {
	Claim  Claim
	Sealed []byte // as it arrived, to be handed on; the Map keeps a copy; nil: do not hand on
	Left   Millis // time left on the lease: Claim.Lease for fresh gossip, Entry.Left in an exchange
}

// Ticked says that time has passed. NextWake says when it is next useful.
type Ticked struct{}

// Measured is a round trip to a node, in microseconds.
type Measured struct {
	Node            NodeID
	RoundTripMicros int64
}

// Gone says that the connection to a node was lost. It is a hint: the node costs
// more in Route until it is measured, or heard with a higher sequence.
type Gone struct{ Node NodeID }

// Pin makes the node own exactly these ranges, at once. No ranges: none.
type Pin struct{ Ranges []Range }

// Seek lets the node choose at most CapacityBlocks blocks to own, once the map
// had time to fill. It does nothing on a node that owns ranges already, other
// than to start them again after Fail or Drain. 0: own nothing, be a gateway.
type Seek struct{ CapacityBlocks int }

// Loaded says that the tiles of these ranges are resident and their stages
// ready. When that is so for all ranges owned, the node serves. Ranges that the
// node does not own (any more) are ignored.
type Loaded struct{ Ranges []Range }

// Fail says that the node cannot compute. Pin or Seek starts it again.
type Fail struct{ Reason string } // for the log of the shell; a claim has no room for it

// Drain makes the node stop taking sessions. Pin or Seek starts it again.
type Drain struct{}

// Speed is what the node's claim says about its speed and room.
type Speed struct {
	BlockMicros uint32 // measured microseconds per block per row; 0: not measured yet
	FreeSlots   uint16 // sessions it would still take; 0: full
}

func (Heard) event()    {}
func (Ticked) event()   {}
func (Measured) event() {}
func (Gone) event()     {}
func (Pin) event()      {}
func (Seek) event()     {}
func (Loaded) event()   {}
func (Fail) event()     {}
func (Drain) event()    {}
func (Speed) event()    {}

// Effect is something the shell must do, in the order given.
type Effect interface{ effect() }

// Publish asks to seal Claim and gossip it. The shell need not report back, but
// should pass the sealed claim to Step as Heard (or let gossip echo it), so that
// Newer can hand it to peers that connect.
type Publish struct{ Claim Claim }

// Load says that the node now owns Range: fetch its tiles, then report Loaded.
type Load struct{ Range Range }

// Release says that the node gave Range up before serving it: stop fetching.
type Release struct{ Range Range }

// Joined says that a node appeared, or came back.
type Joined struct{ Node NodeID }

// Lost says that a node is no longer in the map.
type Lost struct {
	Node  NodeID
	Cause Cause
}

// Refused says that a local event asked for what cannot be, and why. The Map
// stayed as it was.
type Refused struct{ Err error }

func (Publish) effect() {}
func (Load) effect()    {}
func (Release) effect() {}
func (Joined) effect()  {}
func (Lost) effect()    {}
func (Refused) effect() {}

// Cause says why a node was lost.
type Cause uint8

const (
	// Expired: its lease ran out.
	Expired Cause = 1 + iota
	// Evicted: the table was full and this node was the longest unconfirmed.
	Evicted
)

// String is the lower-case name of c.
func (c Cause) String() string {
	switch c {
	case Expired:
		return "expired"
	case Evicted:
		return "evicted"
	}
	return "unknown"
}
