package shardmap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrExchange is wrapped by every refusal of a digest or of entries.
var ErrExchange = errors.New("bad exchange")

// When two nodes connect, each sends a digest of what it knows, then answers the
// other's digest with the sealed claims that rank higher. With integers
// big-endian:
//
//	digest   version 1 | per node, by ascending key: key 32, incarnation 8, sequence 8
//	entries  version 1 | per claim: time left in milliseconds 4, length 2, sealed claim
const (
	exchangeVersion   = 1
	digestRecordBytes = 48
	entryHeadBytes    = 6
)

// Digest lists the highest claim known of each node at now, tombstones and this
// node included. It is at most DigestBytes long.
func (m *Map) Digest(now Millis) []byte {
	b := append(make([]byte, 0, 1+digestRecordBytes*(1+len(m.table.entries))), exchangeVersion)
	self := !m.self.announced()
	for _, e := range m.table.entries {
		if !self && compareNodes(m.options.Self, e.claim.Node) < 0 {
			b, self = appendRecord(b, &m.self.published), true
		}
		b = appendRecord(b, &e.claim)
	}
	if !self {
		b = appendRecord(b, &m.self.published)
	}
	return b
}

func appendRecord(b []byte, c *Claim) []byte {
	b = append(b, c.Node[len(identityPrefix):]...)
	b = binary.BigEndian.AppendUint64(b, c.Incarnation)
	return binary.BigEndian.AppendUint64(b, c.Sequence)
}

// digest is a received digest that was checked.
type digest []byte

func (d digest) len() int         { return len(d) / digestRecordBytes }
func (d digest) key(i int) []byte { return d[digestRecordBytes*i:][:32] }
func (d digest) order(i int, c *Claim) int {
	at := d[digestRecordBytes*i:]
	return c.order(binary.BigEndian.Uint64(at[32:]), binary.BigEndian.Uint64(at[40:]))
}

func parseDigest(b []byte) (digest, error) {
	switch {
	case len(b) > DigestBytes:
		return nil, fmt.Errorf("%w: digest of %d bytes, at most %d", ErrExchange, len(b), DigestBytes)
	case len(b) == 0 || b[0] != exchangeVersion:
		return nil, fmt.Errorf("%w: digest is not version %d", ErrExchange, exchangeVersion)
	case (len(b)-1)%digestRecordBytes != 0:
		return nil, fmt.Errorf("%w: digest of %d bytes is cut short", ErrExchange, len(b))
	}
	d := digest(b[1:])
	for i := 1; i < d.len(); i++ {
		if bytes.Compare(d.key(i-1), d.key(i)) >= 0 {
			return nil, fmt.Errorf("%w: digest record %d is out of order", ErrExchange, i)
		}
	}
	return d, nil
}

// Newer answers a digest with the sealed claims that rank higher than what it
// lists and whose leases run at now, each with the time left: this node's own
// first, then by ascending key, as many as fit in EntriesBytes. A claim that the
// other knows an older form of is handed on even when its time is over, with
// none left: a node restored from a backup learns from it how far it had come.
// The error wraps ErrExchange.
func (m *Map) Newer(now Millis, received []byte) (entries []byte, err error) {
	d, err := parseDigest(received)
	if err != nil {
		return nil, err
	}
	now = max(now, m.now)
	entries = []byte{exchangeVersion}
	if m.self.sealed != nil {
		i, listed := d.find(m.options.Self, 0)
		if !listed || d.order(i, &m.self.published) > 0 {
			entries = appendEntry(entries, m.self.sealed, m.self.left(now))
		}
	}
	next := 0
	for _, e := range m.table.entries {
		var listed bool
		next, listed = d.find(e.claim.Node, next)
		live := e.live(now)
		if e.sealed == nil || listed && d.order(next, &e.claim) <= 0 || !listed && !live {
			continue
		}
		if len(entries)+entryHeadBytes+len(e.sealed) > EntriesBytes {
			break
		}
		left := Millis(0)
		if live {
			left = e.expires - now
		}
		entries = appendEntry(entries, e.sealed, left)
	}
	return entries, nil
}

// find is the index of n's record at or after from, or where it would be.
func (d digest) find(n NodeID, from int) (int, bool) {
	key := []byte(n[len(identityPrefix):])
	for ; from < d.len(); from++ {
		switch bytes.Compare(d.key(from), key) {
		case 0:
			return from, true
		case 1:
			return from, false
		}
	}
	return from, false
}

func appendEntry(b, sealed []byte, left Millis) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(left))
	b = binary.BigEndian.AppendUint16(b, uint16(len(sealed)))
	return append(b, sealed...)
}

// Entry is a sealed claim handed on by a third party.
type Entry struct {
	Sealed []byte // not opened yet: 1 to ClaimBytes, part of the bytes parsed
	Left   Millis // time left on its lease: 0 to LeaseMost
}

// ParseEntries splits an answer to a digest. The claims in it are still sealed:
// Open each, then report it as Heard. The error wraps ErrExchange.
func ParseEntries(b []byte) ([]Entry, error) {
	switch {
	case len(b) > EntriesBytes:
		return nil, fmt.Errorf("%w: entries of %d bytes, at most %d", ErrExchange, len(b), EntriesBytes)
	case len(b) == 0 || b[0] != exchangeVersion:
		return nil, fmt.Errorf("%w: entries are not version %d", ErrExchange, exchangeVersion)
	}
	var entries []Entry
	for b = b[1:]; len(b) > 0; {
		if len(b) < entryHeadBytes {
			return nil, fmt.Errorf("%w: entry %d is cut short", ErrExchange, len(entries))
		}
		left, size := Millis(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint16(b[4:]))
		b = b[entryHeadBytes:]
		switch {
		case left > LeaseMost:
			return nil, fmt.Errorf("%w: entry %d has %d ms left, at most %d", ErrExchange, len(entries), left, LeaseMost)
		case size == 0 || size > ClaimBytes:
			return nil, fmt.Errorf("%w: entry %d has %d bytes, want 1 to %d", ErrExchange, len(entries), size, ClaimBytes)
		case size > len(b):
			return nil, fmt.Errorf("%w: entry %d is cut short", ErrExchange, len(entries))
		}
		entries = append(entries, Entry{Sealed: b[:size:size], Left: left})
		b = b[size:]
	}
	return entries, nil
}
