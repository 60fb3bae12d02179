package shardmap

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// TestExchangeConverges lets two maps with different knowledge exchange once each
// way: then both know the higher claim of each node, and have nothing to add.
func TestExchangeConverges(t *testing.T) {
	a, b := newMap(t, node("a"), 4, 0), newMap(t, node("b"), 4, 0)
	tell := func(m *Map, now Millis, name string, sequence uint64) {
		c := claimOf(node(name), sequence, Range{0, 4})
		m.Step(now, Heard{Claim: c, Sealed: seal(t, letters()[name], c), Left: c.Lease})
	}
	tell(a, 0, "c", 3)
	tell(b, 100, "c", 4)
	tell(a, 200, "d", 9)
	tell(b, 100, "d", 1)
	tell(a, 400, "e", 1)
	tell(b, 500, "f", 1)
	exchange := func(from, to *Map) int {
		answer, err := from.Newer(1000, to.Digest(1000))
		if err != nil {
			t.Fatal(err)
		}
		entries, err := ParseEntries(answer)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			c, err := Open(e.Sealed)
			if err != nil {
				t.Fatal(err)
			}
			to.Step(1000, Heard{Claim: c, Sealed: e.Sealed, Left: e.Left})
		}
		return len(entries)
	}
	if got := exchange(a, b); got != 2 {
		t.Errorf("a gave %d claims, want d and e", got)
	}
	if got := exchange(b, a); got != 2 {
		t.Errorf("b gave %d claims, want c and f", got)
	}
	if got := exchange(a, b) + exchange(b, a); got != 0 {
		t.Errorf("%d claims after both knew all", got)
	}
	expiry := map[NodeID]Millis{node("c"): 3100, node("d"): 3200, node("e"): 3400, node("f"): 3500}
	for _, m := range []*Map{a, b} {
		for _, s := range m.View(1000) {
			if want := expiry[s.Claim.Node] - 1000; s.Left != want {
				t.Errorf("%s has %d ms left, want %d as where it was heard first", nameOf(s.Claim.Node), s.Left, want)
			}
		}
	}
}

func TestDigestLimits(t *testing.T) {
	m := newMap(t, node("a"), 4, 0)
	full := []byte{exchangeVersion}
	for i := range TableNodes {
		record := make([]byte, digestRecordBytes)
		binary.BigEndian.PutUint64(record, uint64(i))
		full = append(full, record...)
	}
	if _, err := m.Newer(0, full); err != nil {
		t.Errorf("a digest of %d nodes: %v", TableNodes, err)
	}
	twice := append([]byte{exchangeVersion}, full[1:49]...)
	twice = append(twice, full[1:49]...)
	for name, bad := range map[string][]byte{
		"past the limit": append(bytes.Clone(full), bytes.Repeat([]byte{255}, digestRecordBytes)...),
		"empty":          {},
		"version":        append([]byte{exchangeVersion + 1}, full[1:]...),
		"cut":            full[:len(full)-1],
		"twice the same": twice,
	} {
		if _, err := m.Newer(0, bad); !errors.Is(err, ErrExchange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEntriesLimits(t *testing.T) {
	entry := func(left, size, there int) []byte {
		b := binary.BigEndian.AppendUint32([]byte{exchangeVersion}, uint32(left))
		return append(binary.BigEndian.AppendUint16(b, uint16(size)), make([]byte, there)...)
	}
	filled := []byte{exchangeVersion}
	for len(filled)+entryHeadBytes+ClaimBytes <= EntriesBytes {
		filled = append(filled, entry(1, ClaimBytes, ClaimBytes)[1:]...)
	}
	filled = append(filled, entry(1, EntriesBytes-len(filled)-entryHeadBytes, EntriesBytes-len(filled)-entryHeadBytes)[1:]...)
	if len(filled) != EntriesBytes {
		t.Fatalf("%d bytes, want %d", len(filled), EntriesBytes)
	}
	for name, b := range map[string][]byte{
		"none": {exchangeVersion}, "most left": entry(int(LeaseMost), 1, 1), "no time left": entry(0, 1, 1),
		"largest": entry(1, ClaimBytes, ClaimBytes), "most": filled,
	} {
		if _, err := ParseEntries(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"empty": {}, "version": {exchangeVersion + 1}, "too long left": entry(int(LeaseMost)+1, 1, 1), "left as negative": entry(-1, 1, 1),
		"nothing sealed": entry(1, 0, 0), "large": entry(1, ClaimBytes+1, ClaimBytes+1), "cut": entry(1, 2, 1),
		"cut in the head": entry(1, 1, 1)[:5], "past the limit": append(bytes.Clone(filled), 0),
	} {
		if _, err := ParseEntries(b); !errors.Is(err, ErrExchange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fill makes m hear of n further nodes, at 1 ms distance, and returns them.
func fill(m *Map, n int, sealed []byte) []NodeID {
	nodes := make([]NodeID, n)
	for i := range nodes {
		key := make(ed25519.PublicKey, ed25519.PublicKeySize)
		binary.BigEndian.PutUint64(key, mix(uint64(i+1)))
		nodes[i] = NodeOf(key)
		c := claimOf(nodes[i], 1, Range{0, 1})
		c.Lease = LeaseMost
		m.Step(Millis(i), Heard{Claim: c, Sealed: sealed, Left: c.Lease})
	}
	return nodes
}

// TestTableLimit fills the table and goes one past it.
func TestTableLimit(t *testing.T) {
	m := newMap(t, node("a"), 1, 0)
	m.Step(0, Pin{})
	nodes := fill(m, TableNodes-1, bytes.Repeat([]byte{1}, ClaimBytes))
	now := Millis(TableNodes)
	if got := len(m.View(now)); got != TableNodes {
		t.Fatalf("%d nodes in the view, want %d", got, TableNodes)
	}
	if got := len(m.Digest(now)); got != DigestBytes {
		t.Errorf("a full digest has %d bytes, want %d", got, DigestBytes)
	}
	effects := m.Step(now, Heard{Claim: claimOf(node("b"), 1, Range{0, 1}), Left: LeaseLeast})
	if !slices.Contains(effects, Effect(Lost{nodes[0], Evicted})) || !slices.Contains(effects, Effect(Joined{node("b")})) {
		t.Errorf("effects %v, want the oldest evicted for the newest", effects)
	}
	view := m.View(now)
	if len(view) != TableNodes || !slices.ContainsFunc(view, func(s Seen) bool { return s.Self }) {
		t.Errorf("%d nodes in the view, want %d with self", len(view), TableNodes)
	}
}

// TestNewerFitsAFrame asks a full map that knows more than fits into one answer:
// asking again with a longer digest brings the rest.
func TestNewerFitsAFrame(t *testing.T) {
	m := newMap(t, node("a"), 1, 0)
	fill(m, 5000, bytes.Repeat([]byte{1}, ClaimBytes))
	now := Millis(5000)
	other := newMap(t, node("a"), 1, 0)
	known, asked := 0, 0
	for ; known < 5000; asked++ {
		answer, err := m.Newer(now, other.Digest(now))
		if err != nil {
			t.Fatal(err)
		}
		if len(answer) > EntriesBytes {
			t.Fatalf("an answer of %d bytes, at most %d", len(answer), EntriesBytes)
		}
		entries, err := ParseEntries(answer)
		if err != nil || len(entries) == 0 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for i := range entries { // the sealed bytes are not real here, the order is
			e := m.table.entries[known+i]
			other.Step(now, Heard{Claim: e.claim, Sealed: entries[i].Sealed, Left: entries[i].Left})
		}
		known += len(entries)
	}
	if asked != 3 {
		t.Errorf("asked %d times for 5,000 claims of 518 bytes, want 3 (1 MiB each)", asked)
	}
}

func TestSealedLimit(t *testing.T) {
	m := newMap(t, node("a"), 1, 0)
	c := claimOf(node("b"), 1, Range{0, 1})
	m.Step(0, Heard{Claim: c, Sealed: make([]byte, ClaimBytes+1), Left: c.Lease})
	if m.Counts() != (Counts{Refused: 1}) {
		t.Errorf("past the limit: %+v", m.Counts())
	}
	m.Step(0, Heard{Claim: c, Sealed: make([]byte, ClaimBytes), Left: c.Lease})
	if m.Counts() != (Counts{Refused: 1, Accepted: 1}) {
		t.Errorf("at the limit: %+v", m.Counts())
	}
}

// TestLeaseGrows: 3 s up to 100 nodes, 60 s from 2,000 on.
func TestLeaseGrows(t *testing.T) {
	for nodes, want := range map[int]Millis{1: 3000, 100: 3000, 101: 3030, 1999: 59970, 2000: 60000, TableNodes: 60000} {
		if got := leaseFor(nodes); got != want {
			t.Errorf("%d nodes: %d ms, want %d", nodes, got, want)
		}
	}
	m := newMap(t, node("a"), 1, 0)
	fill(m, 999, nil)
	effects := m.Step(2000, Pin{})
	if p, ok := effects[len(effects)-1].(Publish); !ok || p.Claim.Lease != 30_000 {
		t.Errorf("effects %+v, want a claim for 30 s among 1,000 nodes", effects)
	}
	if got := m.NextWake(2000); got != 12_000 {
		t.Errorf("next wake at %d, want a third of the lease later", got)
	}
}

// TestNothingIsShared scribbles over what went in and what came out.
func TestNothingIsShared(t *testing.T) {
	m := newMap(t, node("a"), 4, 0)
	c := claimOf(node("b"), 1, Range{0, 4})
	sealed := seal(t, letters()["b"], c)
	pinned := []Range{{0, 1}, {2, 3}}
	m.Step(0, Heard{Claim: c, Sealed: sealed, Left: c.Lease})
	out := m.Step(0, Pin{pinned})
	before, _ := m.Newer(0, []byte{exchangeVersion})
	c.Ranges[0], pinned[0] = Range{7, 9}, Range{7, 9}
	clear(sealed)
	for _, e := range out {
		if p, ok := e.(Publish); ok {
			p.Claim.Ranges[0] = Range{7, 9}
		}
	}
	for _, s := range m.View(0) {
		s.Claim.Ranges[0] = Range{7, 9}
	}
	after, _ := m.Newer(0, []byte{exchangeVersion})
	view := m.View(0)
	if !bytes.Equal(before, after) || view[0].Claim.Ranges[0] != (Range{0, 1}) || view[1].Claim.Ranges[0] != (Range{0, 4}) {
		t.Errorf("the map shares memory: view %+v", view)
	}
}
