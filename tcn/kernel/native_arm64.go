package kernel

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// native returns the Set in assembly, if the processor has dot products of bytes:
// an extension of the first arm64 that every Apple computer has, and servers since
// 2019.
func native() []*Set {
	if !hasDotProducts() {
		return nil
	}
	return []*Set{neon.set().quantize(&quantNEON, &q2NEON, &q8NEON)}
}

// hasDotProducts also says so on Apple's systems that are too old to be asked.
func hasDotProducts() bool { return cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" }

var neon = assembly{
	name:      "neon",
	tiles:     []tile{{3, tile1x3NEON}, {1, tile2x1NEON}, {1, tile3x1NEON}},
	single:    tile1x1NEON,
	normalize: normalizeNEON,
	conv:      convNEON,
	gate:      gateNEON,
	addScaled: addScaledNEON,
	roundBF16: roundBF16NEON,
}

var (
	quantNEON = quantAssembly{hadamardGroupsNEON, butterflies2NEON, butterflies4NEON, largestBitsNEON, toInt8NEON}

	q2NEON = productSet{GroupBytesQ2, portableMatMulQ2, []product{
		{8, productQ2x8NEON}, {4, productQ2x4NEON}, {3, productQ2x3NEON}, {2, productQ2x2NEON}, {1, productQ2x1NEON},
	}}
	q8NEON = productSet{GroupBytesQ8, portableMatMulQ8, []product{
		{4, productQ8x4NEON}, {3, productQ8x3NEON}, {2, productQ8x2NEON}, {1, productQ8x1NEON},
	}}
)
