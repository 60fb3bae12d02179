// Command asm writes the assembly of package kernel for one instruction level:
//
//	go run . -level avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg kernel
//
// It is a module of its own so that the product does not depend on avo. The
// package's go:generate lines run it, and check.sh tells whether the committed
// files are what it writes.
//
// Every function keeps to the rule for sums (32 lanes, folded by halves) and
// rounds each product before it is added; none uses a fused multiply-add.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	name := flag.String("level", "", "instruction level: avx2 or avx512")
	flag.Parse()
	l, ok := levels[*name]
	if !ok {
		log.Fatalf("-level %q: want avx2 or avx512", *name)
	}
	ConstraintExpr("amd64")
	for _, s := range l.tiles {
		tile(l, s)
	}
	gate(l)
	normalize(l)
	conv(l)
	addScaled(l)
	roundBF16(l)
	multiplyAddPeak(l)
	readMemory(l)
	Generate()
}
