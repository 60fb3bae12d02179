package shardmap

import (
	"crypto/ed25519"
	"encoding/binary"
	"sync"
	"testing"
)

const testGenome = "\x01\x71\x12\x20genome-genome-genome-genome-geno"

// seedKey is the same key for the same number, always.
func seedKey(n uint64) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, n)
	return ed25519.NewKeyFromSeed(seed)
}

func nodeOfKey(key ed25519.PrivateKey) NodeID { return NodeOf(ed25519.PublicKey(key[32:])) }

// letters holds a key for each of a to z, such that nodes sort like their names.
var letters = sync.OnceValue(func() map[string]ed25519.PrivateKey {
	keys := map[string]ed25519.PrivateKey{}
	seed := uint64(0)
	for i := range 26 {
		for key := seedKey(seed); ; key = seedKey(seed) {
			seed++
			if first := int(key[32]); first >= 9*i && first < 9*i+9 {
				keys[string(rune('a'+i))] = key
				break
			}
		}
	}
	return keys
})

func node(name string) NodeID { return nodeOfKey(letters()[name]) }

func nameOf(n NodeID) string {
	for name, key := range letters() {
		if nodeOfKey(key) == n {
			return name
		}
	}
	return n.String()
}

// claimOf is a claim that serves ranges, at 1 ms a block and with free slots.
func claimOf(n NodeID, sequence uint64, ranges ...Range) Claim {
	return Claim{
		Node: n, Genome: testGenome, Incarnation: 1, Sequence: sequence, Ranges: ranges, State: Serving,
		BlockMicros: 1000, FreeSlots: 99, Arithmetic: 1, Lease: LeaseLeast,
	}
}

func newMap(t testing.TB, self NodeID, blocks, most int) *Map {
	t.Helper()
	m, err := New(Options{Self: self, Genome: testGenome, Blocks: blocks, Arithmetic: 1, Incarnation: 1, MaxNodes: most})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func seal(t testing.TB, key ed25519.PrivateKey, c Claim) []byte {
	t.Helper()
	sealed, err := c.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
