package kernel

import "golang.org/x/sys/cpu"

// native returns the Sets in assembly that the machine and its operating system
// support, the fastest first.
func native() []*Set {
	var sets []*Set
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW {
		// All that have these have AVX2 too; dot products of bytes came later.
		q2, q8 := &q2AVX2, &q8AVX2
		if cpu.X86.HasAVX512VNNI {
			q2, q8 = &q2VNNI, &q8VNNI
		}
		sets = append(sets, avx512.set().quantize(&quantAVX512, q2, q8))
	}
	if cpu.X86.HasAVX2 {
		sets = append(sets, avx2.set().quantize(&quantAVX2, &q2AVX2, &q8AVX2))
	}
	return sets
}

var avx512 = assembly{
	name:      "avx512",
	tiles:     []tile{{4, tile1x4AVX512}, {4, tile2x4AVX512}, {3, tile3x3AVX512}, {3, tile4x3AVX512}},
	single:    tile1x1AVX512,
	normalize: normalizeAVX512,
	conv:      convAVX512,
	gate:      gateAVX512,
	addScaled: addScaledAVX512,
	roundBF16: roundBF16AVX512,
}

var avx2 = assembly{
	name:      "avx2",
	tiles:     []tile{{3, tile1x3AVX2}, {1, tile2x1AVX2}, {1, tile3x1AVX2}},
	single:    tile1x1AVX2,
	normalize: normalizeAVX2,
	conv:      convAVX2,
	gate:      gateAVX2,
	addScaled: addScaledAVX2,
	roundBF16: roundBF16AVX2,
}

var (
	quantAVX512 = quantAssembly{hadamardGroupsAVX512, butterflies2AVX512, butterflies4AVX512, largestBitsAVX512, toInt8AVX512}
	quantAVX2   = quantAssembly{hadamardGroupsAVX2, butterflies2AVX2, butterflies4AVX2, largestBitsAVX2, toInt8AVX2}

	q2VNNI = productSet{GroupBytesQ2, portableMatMulQ2, []product{
		{24, productQ2x24VNNI}, {16, productQ2x16VNNI}, {12, productQ2x12VNNI}, {8, productQ2x8VNNI},
		{6, productQ2x6VNNI}, {4, productQ2x4VNNI}, {3, productQ2x3VNNI}, {2, productQ2x2VNNI}, {1, productQ2x1VNNI},
	}}
	q8VNNI = productSet{GroupBytesQ8, portableMatMulQ8, []product{
		{24, productQ8x24VNNI}, {16, productQ8x16VNNI}, {12, productQ8x12VNNI}, {8, productQ8x8VNNI},
		{6, productQ8x6VNNI}, {4, productQ8x4VNNI}, {3, productQ8x3VNNI}, {2, productQ8x2VNNI}, {1, productQ8x1VNNI},
	}}
	q2AVX2 = productSet{GroupBytesQ2, portableMatMulQ2, []product{
		{6, productQ2x6AVX2}, {4, productQ2x4AVX2}, {2, productQ2x2AVX2}, {1, productQ2x1AVX2},
	}}
	q8AVX2 = productSet{GroupBytesQ8, portableMatMulQ8, []product{{2, productQ8x2AVX2}, {1, productQ8x1AVX2}}}
)
