package shardmap

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// benchMap knows nodes others with 8 of 128 blocks each, all measured.
func benchMap(b *testing.B, nodes int) (*Map, []Claim) {
	m := newMap(b, node("a"), 128, 0)
	claims := make([]Claim, nodes)
	for i := range claims {
		key := make([]byte, 32)
		binary.BigEndian.PutUint64(key, mix(uint64(i+1)))
		lo := i * 8 % 128
		claims[i] = claimOf(NodeOf(key), 1, Range{lo, lo + 8})
		claims[i].Lease = LeaseMost
		m.Step(0, Heard{Claim: claims[i], Left: LeaseMost})
		m.Step(0, Measured{claims[i].Node, int64(1 + i%100*100)})
	}
	return m, claims
}

func BenchmarkRoute(b *testing.B) {
	for _, nodes := range []int{16, 1000} {
		b.Run(fmt.Sprintf("claims=%d", nodes), func(b *testing.B) {
			m, _ := benchMap(b, nodes)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Route(0, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStep hears heartbeats of 1,000 nodes in turn.
func BenchmarkStep(b *testing.B) {
	m, claims := benchMap(b, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := &claims[i%len(claims)]
		c.Sequence++
		m.Step(0, Heard{Claim: *c, Left: c.Lease})
	}
}

func BenchmarkOpen(b *testing.B) {
	sealed := seal(b, seedKey(1), claimOf(nodeOfKey(seedKey(1)), 1, Range{0, 8}))
	for b.Loop() {
		if _, err := Open(sealed); err != nil {
			b.Fatal(err)
		}
	}
}
