// Command asm writes the assembly of package kernel for one instruction level:
//
//	go run . -level avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg kernel
//	go run . -level vnni -quant -out ../quantvnni_amd64.s -stubs ../quantvnni_amd64.go -pkg kernel
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
	name := flag.String("level", "", "instruction level: avx2, avx512 or vnni")
	quant := flag.Bool("quant", false, "the operations on quantized numbers; vnni has no others")
	flag.Parse()
	l, ok := levels[*name]
	if !ok || len(l.tiles) == 0 && !*quant {
		log.Fatalf("-level %q: want avx2, avx512 or, with -quant, vnni", *name)
	}
	ConstraintExpr("amd64")
	if *quant {
		quantized(l)
	} else {
		floats(l)
	}
	Generate()
}

// floats writes the operations on float32 numbers.
func floats(l *level) {
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
}

// quantized writes the operations on int8, 8-bit and 2-bit numbers.
func quantized(l *level) {
	if l.suffix == "VNNI" {
		for _, n := range []int{1, 2, 3, 4, 6, 8, 12, 16, 24} {
			productVNNI(l, q2, n)
			productVNNI(l, q8, n)
		}
		dotPeak(l, false)
		dotPeak(l, true)
		return
	}
	hadamardGroups(l)
	butterflies(l, 2)
	butterflies(l, 4)
	largestBits(l)
	toInt8(l)
	if !l.wide() {
		productQ2AVX2(l, 1, 2)
		productQ2AVX2(l, 2, 2)
		productQ2AVX2(l, 4, 1)
		productQ2AVX2(l, 6, 1)
		productQ8AVX2(l, 1)
		productQ8AVX2(l, 2)
	}
}
