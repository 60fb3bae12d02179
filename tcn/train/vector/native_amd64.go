package vector

import "golang.org/x/sys/cpu"

// native returns the sets in assembly that the machine supports, the fastest
// first.
func native() []*Set {
	var sets []*Set
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ {
		sets = append(sets, &Set{
			Name: "avx512", columns: 32, lanes: 16, peak: fusedPeakAVX512,
			tiles: []tile{{12, tile12AVX512}, {4, tile4AVX512}, {1, tile1AVX512}},
			rows: rowFuncs{
				dotAVX512, tripleDotAVX512, addProductAVX512, multiplyAVX512, normBackwardAVX512,
				largestAVX512, toStepsAVX512, gateAVX512, gateBackwardAVX512, exponentialsAVX512,
			},
		})
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		sets = append(sets, &Set{
			Name: "avx2", columns: 16, lanes: 8, peak: fusedPeakAVX2,
			tiles: []tile{{6, tile6AVX2}, {1, tile1AVX2}},
			rows: rowFuncs{
				dotAVX2, tripleDotAVX2, addProductAVX2, multiplyAVX2, normBackwardAVX2,
				largestAVX2, toStepsAVX2, gateAVX2, gateBackwardAVX2, exponentialsAVX2,
			},
		})
	}
	return sets
}
