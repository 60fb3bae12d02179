// Package kernel computes the arithmetic of EXACT, version 1: every operation
// the model needs, on plain slices, to the bit.
//
// The portable Go in portable.go is the normative implementation. Every other
// [Set] (AVX2, AVX-512) must return the same bits for every input of finite
// numbers; where a result is not finite, every Set returns some number that is
// not finite in its place.
//
// # Laws
//
//  1. Rows are independent: an output element depends on one input row and the
//     weights, never on how many rows came along or where a range was cut.
//  2. Every sum of products has 32 lanes starting at +0; element i is added to
//     lane i mod 32 in index order; lanes fold by halves (16, 8, 4, 2, 1).
//  3. A product is rounded before it is added: there is no fused multiply-add.
//     In Go that is written float32(a*b) + c.
//  4. No call of math.Exp or math.Log, which are assembly on some machines.
//
// # Limits
//
// Lengths are the caller's to get right: a wrong length panics, as an index out
// of range does. Nothing here is reached by sizes from a peer before tcn has
// checked them.
package kernel

// Set is one implementation of every operation. All fields are set. Functions
// are safe for concurrent use on distinct outputs and never keep a slice.
type Set struct {
	// Name identifies the instruction level: "portable", "avx2", "avx512".
	Name string

	// MatMul computes y[i, r] = Σ x[i, c]·w[r, c] for every row i of n and
	// every weight row r in [lo, hi).
	//
	//	y [n, rows]   x [n, cols]   w [rows, cols]   all row-major
	//
	// The range [lo, hi) lets several workers share one product.
	MatMul func(y, x, w []float32, n, rows, cols, lo, hi int)

	// RMSNorm computes out[c] = (x[c] / sqrt(Σx²/d + eps)) · gain[c].
	//
	//	out, x, gain [d]   out may be x
	RMSNorm func(out, x, gain []float32, eps float32)

	// Conv computes one output row of the causal depthwise convolution:
	// out[c] = taps[0][c]·w[0, c], then + taps[1][c]·w[1, c], … in turn.
	// taps[K-1] is the present input, taps[0] the oldest; a tap before the
	// start of the text is a row of zeros.
	//
	//	out [width]   taps [K][width]   w [K, width] tap-major
	Conv func(out []float32, taps [][]float32, w []float32)

	// Gate computes y[c] = SiLU(a[c]) · σ(g[c]).
	//
	//	y, a, g [width]   y may be a or g
	Gate func(y, a, g []float32)

	// AddScaled computes x[c] = x[c] + scale·t[c].
	//
	//	x, t [width]
	AddScaled func(x, t []float32, scale float32)

	// RoundBF16 rounds each number to the nearest bfloat16, ties to even, and
	// leaves it in its float32 form. Numbers that are not finite stay so.
	//
	//	x [width]
	RoundBF16 func(x []float32)
}
