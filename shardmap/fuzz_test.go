package shardmap

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func FuzzOpen(f *testing.F) {
	key := seedKey(1)
	f.Add(seal(f, key, claimOf(nodeOfKey(key), 1)))
	f.Add(seal(f, key, fullClaim(key)))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		// Signed anew, so that the fuzzer reaches what lies behind the signature.
		if n := len(sealed) - ed25519.SignatureSize; n > 33 {
			sealed = bytes.Clone(sealed)
			copy(sealed[1:33], key[32:])
			copy(sealed[n:], ed25519.Sign(key, signed(sealed[:n])))
		}
		c, err := Open(sealed)
		if err != nil {
			if !errors.Is(err, ErrClaim) {
				t.Fatalf("error %v does not wrap ErrClaim", err)
			}
			return
		}
		again, err := c.Seal(key)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Fatalf("opened %x, sealed again %x, %v", sealed, again, err)
		}
	})
}

func FuzzParseEntries(f *testing.F) {
	f.Add([]byte{exchangeVersion})
	f.Add(appendEntry([]byte{exchangeVersion}, []byte("sealed"), 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ParseEntries(b)
		if err != nil {
			if !errors.Is(err, ErrExchange) {
				t.Fatalf("error %v does not wrap ErrExchange", err)
			}
			return
		}
		again := []byte{exchangeVersion}
		for _, e := range entries {
			if e.Left < 0 || e.Left > LeaseMost || len(e.Sealed) == 0 || len(e.Sealed) > ClaimBytes {
				t.Fatalf("entry %+v is out of bounds", e)
			}
			again = appendEntry(again, e.Sealed, e.Left)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("parsed %x, written again %x", b, again)
		}
	})
}

func FuzzNewer(f *testing.F) {
	known := newMap(f, node("z"), 4, 0)
	names := []string{"a", "b", "c"}
	for i, name := range names {
		c := claimOf(node(name), uint64(5+i), Range{0, 4})
		known.Step(0, Heard{Claim: c, Sealed: seal(f, letters()[name], c), Left: c.Lease})
	}
	f.Add(known.Digest(0))
	f.Add([]byte{exchangeVersion})
	f.Fuzz(func(t *testing.T, digest []byte) {
		answer, err := known.Newer(0, digest)
		if err != nil {
			if !errors.Is(err, ErrExchange) {
				t.Fatalf("error %v does not wrap ErrExchange", err)
			}
			return
		}
		entries, err := ParseEntries(answer)
		if err != nil || len(entries) > len(names) {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			c, err := Open(e.Sealed)
			if err != nil {
				t.Fatal(err)
			}
			// Nothing that the digest lists as high, or higher, is in the answer.
			for at := 1; at < len(digest); at += digestRecordBytes {
				record := digest[at:]
				if NodeOf(ed25519.PublicKey(record[:32])) == c.Node && c.order(binary.BigEndian.Uint64(record[32:]), binary.BigEndian.Uint64(record[40:])) <= 0 {
					t.Fatalf("%s is handed on though the digest lists it", nameOf(c.Node))
				}
			}
		}
	})
}

// fuzzEvents reads events from bytes, six a piece: few nodes, numbers, ranges and
// times, so that they meet.
func fuzzEvents(b []byte, blocks int) (times []Millis, events []Event) {
	now := Millis(0)
	names := []NodeID{node("a"), node("b"), node("c"), node("d"), node("e"), node("f")}
	for ; len(b) >= 6; b = b[6:] {
		now += Millis(b[1]) * Millis(b[1]) // up to a minute
		lo := int(b[3]) % blocks
		r := Range{lo, lo + int(b[4])%(blocks+1)} // may be empty or too long
		n := names[int(b[2])%len(names)]
		var ev Event
		switch b[0] % 14 {
		case 0:
			ev = Pin{[]Range{r}}
		case 1:
			ev = Seek{int(b[3])%(blocks+2) - 1}
		case 2:
			ev = Loaded{[]Range{r, {0, blocks}}[:1+int(b[5])%2]}
		case 3:
			ev = [...]Event{Fail{}, Drain{}, Pin{}, Gone{n}}[b[5]%4]
		case 4:
			ev = Measured{n, int64(b[3])*1000 - 5000}
		case 5:
			ev = Speed{uint32(b[3]) * 100, uint16(b[4]) % 3}
		case 6, 7:
			ev = Ticked{}
		default:
			c := claimOf(n, uint64(b[5])%16, r)
			c.Incarnation = uint64(b[5]) / 64
			c.State = State(b[4] / 50)
			if b[4]%5 == 0 {
				c.Ranges = nil
			}
			c.Lease = LeaseLeast + Millis(b[3])*100
			ev = Heard{Claim: c, Sealed: []byte{b[5]}, Left: c.Lease - Millis(b[2])*50}
		}
		times, events = append(times, now), append(events, ev)
	}
	return times, events
}

func FuzzStep(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x03\x00\x00\x08\x02\x01\x00\x96\x41\x06\x20\x00\x00\x00\x00\x02\x20\x00\x00\x06\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const blocks, most = 6, 4
		m, twin := newMap(t, node("a"), blocks, most), newMap(t, node("a"), blocks, most)
		times, events := fuzzEvents(b[:min(len(b), 6*500)], blocks)
		published := Claim{}
		for i, ev := range events {
			before := m.View(times[i])
			effects := m.Step(times[i], ev)
			for _, e := range effects {
				if p, ok := e.(Publish); ok {
					if err := p.Claim.check(); err != nil || !p.Claim.after(&published) {
						t.Fatalf("event %d: published %+v after %+v: %v", i, p.Claim, published, err)
					}
					published = p.Claim
				}
			}
			if again := twin.Step(times[i], ev); !slices.EqualFunc(effects, again, sameEffect) {
				t.Fatalf("event %d: effects %+v, the same again %+v", i, effects, again)
			}
			checkStep(t, m, times[i], ev, before)
		}
	})
}

func sameEffect(a, b Effect) bool {
	p, isPublish := a.(Publish)
	q, bothPublish := b.(Publish)
	if isPublish && bothPublish {
		return p.Claim.equal(&q.Claim)
	}
	if x, ok := a.(Refused); ok {
		y, ok := b.(Refused)
		return ok && x.Err.Error() == y.Err.Error()
	}
	return isPublish == bothPublish && a == b
}

// checkStep holds the laws of the package against the state after a step.
func checkStep(t *testing.T, m *Map, now Millis, ev Event, before []Seen) {
	t.Helper()
	if len(m.table.entries) >= m.options.MaxNodes {
		t.Fatalf("%d other nodes in a table of %d", len(m.table.entries), m.options.MaxNodes)
	}
	if !slices.IsSortedFunc(m.table.entries, func(a, b *entry) int { return compareNodes(a.claim.Node, b.claim.Node) }) {
		t.Fatal("the table is out of order")
	}
	running := 0
	for _, s := range m.View(now) {
		if s.Self {
			continue
		}
		running++
		if s.Left <= 0 || s.Left > s.Claim.Lease {
			t.Fatalf("%s has %d ms left of %d", nameOf(s.Claim.Node), s.Left, s.Claim.Lease)
		}
		for _, old := range before {
			if old.Claim.Node == s.Claim.Node && s.Left > old.Left && !s.Claim.after(&old.Claim) {
				t.Fatalf("after %+v the lease of %s grew from %d to %d without a higher number", ev, nameOf(s.Claim.Node), old.Left, s.Left)
			}
		}
	}
	if running != m.table.running {
		t.Fatalf("%d leases run, the table says %d", running, m.table.running)
	}
	if _, ticked := ev.(Ticked); ticked && m.NextWake(now) <= now {
		t.Fatalf("a tick at %d leaves the next at %d", now, m.NextWake(now))
	}
	hops, err := m.Route(now, nil)
	if err != nil {
		return
	}
	next := 0
	for _, h := range hops {
		if h.Range.Lo != next || h.Range.Len() < 1 {
			t.Fatalf("chain %v", hops)
		}
		next = h.Range.Hi
	}
	if next != m.options.Blocks {
		t.Fatalf("chain %v does not cover %d blocks", hops, m.options.Blocks)
	}
}
