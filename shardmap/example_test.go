package shardmap_test

import (
	"crypto/ed25519"
	"fmt"

	"github.com/zetagrid/zetagrid/shardmap"
)

func key(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func idOf(k ed25519.PrivateKey) shardmap.NodeID {
	return shardmap.NodeOf(k.Public().(ed25519.PublicKey))
}

// A node pins the first two of four blocks, hears of another that serves the
// rest, and finds a chain through both.
func Example() {
	self, other := idOf(key(1)), key(2)
	m, err := shardmap.New(shardmap.Options{Self: self, Genome: "genome CID", Blocks: 4, Arithmetic: 1, Incarnation: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	step := func(now shardmap.Millis, ev shardmap.Event) {
		for _, effect := range m.Step(now, ev) {
			switch e := effect.(type) {
			case shardmap.Load:
				fmt.Println(now, "load", e.Range)
			case shardmap.Publish: // the shell seals it and gossips it
				fmt.Println(now, "publish", e.Claim.State, e.Claim.Ranges)
			case shardmap.Joined:
				fmt.Println(now, "another node joined")
			}
		}
	}
	step(0, shardmap.Pin{Ranges: []shardmap.Range{{Lo: 0, Hi: 2}}})
	step(80, shardmap.Loaded{Ranges: []shardmap.Range{{Lo: 0, Hi: 2}}})
	_, err = m.Route(100, nil)
	fmt.Println(err)

	sealed, err := shardmap.Claim{
		Node: idOf(other), Genome: "genome CID", Incarnation: 1, Sequence: 1, Arithmetic: 1,
		Ranges: []shardmap.Range{{Lo: 2, Hi: 4}}, State: shardmap.Serving, Lease: shardmap.LeaseLeast,
	}.Seal(other)
	if err != nil {
		fmt.Println(err)
		return
	}
	claim, err := shardmap.Open(sealed) // what arrives is opened before it is heard
	if err != nil {
		fmt.Println(err)
		return
	}
	step(200, shardmap.Heard{Claim: claim, Sealed: sealed, Left: claim.Lease})
	hops, err := m.Route(200, nil)
	for _, h := range hops {
		fmt.Println("hop", h.Range, h.Node == self)
	}
	fmt.Println(err)
	// Output:
	// 0 load 0-2
	// 0 publish joining [0-2]
	// 80 publish serving [0-2]
	// blocks 2-4 are not served by any node
	// 200 another node joined
	// hop 0-2 true
	// hop 2-4 false
	// <nil>
}
