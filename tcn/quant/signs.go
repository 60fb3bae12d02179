package quant

// DefaultSeed is the seed of [Signs] that trainers and quantizers agree on.
const DefaultSeed = 1

// The matrices of a layer, as [Signs] counts them.
const (
	MatrixIn  = 0 // W_in
	MatrixOut = 1 // W_out
)

// Signs are the signs of the rotation of a matrix by a published rule, so that a
// trainer and a quantizer that never met rotate alike: column c of a matrix of a
// layer, counted from the start of the model, is negative if the top bit of
//
//	mix(seed + 0x9E3779B97F4A7C15·(1 + (layer<<18 | matrix<<17 | c)))   mod 2^64
//
// is set, where mix is the finalizer of SplitMix64. Any signs are valid in a
// file; these are random enough, and need no agreement but a seed. Columns are
// at most [MaxCols] and layers are not negative.
//
//	result [⌈cols/8⌉], laid out as Q2's Signs
func Signs(seed uint64, layer, matrix, cols int) []byte {
	const step = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio, odd
	signs := make([]byte, signBytes(cols))
	for c := range cols {
		at := uint64(layer)<<18 | uint64(matrix)<<17 | uint64(c)
		signs[c/8] |= byte(splitmix(seed+step*(1+at))>>63) << (c % 8)
	}
	return signs
}

// splitmix is the finalizer of SplitMix64: a bijection that spreads every bit.
func splitmix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
