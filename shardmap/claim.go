package shardmap

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrClaim is wrapped by every refusal of a claim, sealed or not.
var ErrClaim = errors.New("bad claim")

// identityPrefix starts the peer ID of every Ed25519 key: an identity multihash
// (00) of 36 bytes (24) holding a key message of type Ed25519 (08 01) with 32
// bytes of data (12 20).
const identityPrefix = "\x00\x24\x08\x01\x12\x20"

// NodeID is a node's raw libp2p peer ID: 38 bytes, the identity multihash of an
// Ed25519 public key. The key is in the name, so whoever knows a NodeID can
// check its signatures.
type NodeID string

// NodeOf is the ID of the node that holds the private half of key.
func NodeOf(key ed25519.PublicKey) NodeID { return NodeID(identityPrefix + string(key)) }

// PublicKey is the key inside n. It fails with ErrClaim when n is anything but
// the peer ID of an Ed25519 key.
func (n NodeID) PublicKey() (ed25519.PublicKey, error) {
	if len(n) != len(identityPrefix)+ed25519.PublicKeySize || !strings.HasPrefix(string(n), identityPrefix) {
		return nil, fmt.Errorf("%w: node is not an Ed25519 peer ID", ErrClaim)
	}
	return ed25519.PublicKey(n[len(identityPrefix):]), nil
}

// String is the first eight hexadecimal digits of the key, for people.
func (n NodeID) String() string {
	key, err := n.PublicKey()
	if err != nil {
		return "invalid"
	}
	return hex.EncodeToString(key[:4])
}

// Millis is a point or a length of the caller's monotonic time in milliseconds.
// Nothing here compares the clocks of two nodes.
type Millis int64

// Range is a half-open range of Fractal Blocks [Lo, Hi).
type Range struct{ Lo, Hi int }

// Len is the number of blocks in r.
func (r Range) Len() int { return r.Hi - r.Lo }

// String prints r half-open: 2-4 is blocks 2 and 3.
func (r Range) String() string { return fmt.Sprintf("%d-%d", r.Lo, r.Hi) }

// State says what a node does with the ranges of its claim.
type State uint8

const (
	// Joining: the node will serve its ranges once their tiles are there. With no
	// range it is idle and looks for one.
	Joining State = 1 + iota
	// Serving: sessions may be opened. With no range the node is a gateway only.
	Serving
	// Draining: running sessions end elsewhere, new ones are refused.
	Draining
	// Failed: the node cannot compute.
	Failed
)

// String is the lower-case name of s.
func (s State) String() string {
	switch s {
	case Joining:
		return "joining"
	case Serving:
		return "serving"
	case Draining:
		return "draining"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Claim is what a node says about itself. Only it can: a claim travels sealed.
// Claims of one node are ordered by (Incarnation, Sequence).
type Claim struct {
	Node        NodeID
	Genome      string   // raw bytes of the Genome CID, 1 to GenomeBytes
	Incarnation uint64   // of the node's process, kept across restarts; from 1
	Sequence    uint64   // of the claim within the incarnation; from 1
	Ranges      []Range  // at most ClaimRanges, ascending, with a gap between any two; may be empty
	State       State    // zero is refused
	BlockMicros uint32   // measured microseconds per block per row; 0: not measured yet
	FreeSlots   uint16   // sessions it would still take; 0: full
	Arithmetic  uint16   // version of the exact arithmetic, from 1
	Souls       [64]byte // filter of resident Souls: a hint; zero: none
	Lease       Millis   // how long the claim holds, LeaseLeast to LeaseMost
}

// check reports the first thing that makes c unusable, wrapping ErrClaim.
func (c *Claim) check() error {
	if _, err := c.Node.PublicKey(); err != nil {
		return err
	}
	switch {
	case len(c.Genome) == 0 || len(c.Genome) > GenomeBytes:
		return fmt.Errorf("%w: genome CID has %d bytes, want 1 to %d", ErrClaim, len(c.Genome), GenomeBytes)
	case c.Incarnation == 0 || c.Incarnation > CounterMost:
		return fmt.Errorf("%w: incarnation %d is not in 1 to 2^63-1", ErrClaim, c.Incarnation)
	case c.Sequence == 0 || c.Sequence > CounterMost:
		return fmt.Errorf("%w: sequence %d is not in 1 to 2^63-1", ErrClaim, c.Sequence)
	case c.State < Joining || c.State > Failed:
		return fmt.Errorf("%w: unknown %v", ErrClaim, c.State)
	case c.Arithmetic == 0:
		return fmt.Errorf("%w: no arithmetic version", ErrClaim)
	case c.Lease < LeaseLeast || c.Lease > LeaseMost:
		return fmt.Errorf("%w: lease of %d ms is not in %d to %d", ErrClaim, c.Lease, LeaseLeast, LeaseMost)
	}
	return checkRanges(c.Ranges, BlocksMost)
}

// checkRanges refuses ranges that are not the one way to write their blocks.
func checkRanges(ranges []Range, blocks int) error {
	if len(ranges) > ClaimRanges {
		return fmt.Errorf("%w: %d ranges, at most %d", ErrClaim, len(ranges), ClaimRanges)
	}
	next := 0
	for i, r := range ranges {
		if r.Lo < next || r.Lo >= r.Hi || r.Hi > blocks {
			return fmt.Errorf("%w: range %d is %v, want blocks %d-%d ascending with gaps", ErrClaim, i, r, next, blocks)
		}
		next = r.Hi + 1
	}
	return nil
}

// after reports whether c replaces d, a claim of the same node.
func (c *Claim) after(d *Claim) bool { return c.order(d.Incarnation, d.Sequence) > 0 }

// order compares c's (incarnation, sequence) with the one given.
func (c *Claim) order(incarnation, sequence uint64) int {
	return cmp.Or(cmp.Compare(c.Incarnation, incarnation), cmp.Compare(c.Sequence, sequence))
}

// equal reports whether c and d say the same.
func (c *Claim) equal(d *Claim) bool {
	return c.Node == d.Node && c.Genome == d.Genome && c.order(d.Incarnation, d.Sequence) == 0 &&
		slices.Equal(c.Ranges, d.Ranges) && c.State == d.State && c.BlockMicros == d.BlockMicros &&
		c.FreeSlots == d.FreeSlots && c.Arithmetic == d.Arithmetic && c.Souls == d.Souls && c.Lease == d.Lease
}
