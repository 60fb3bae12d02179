// Package rounding chooses the 2-bit codes and row scales of a matrix: the
// arithmetic of the quantizer, on slices, without files or models.
//
// # What is minimized
//
// A row u of a rotated matrix is represented by s·w, w ∈ {-3, -1, 1, 3}. What
// counts is the error of the products with the rows x that the matrix really
// meets: with e = u - s·w,
//
//	E|e·x|² = e·H·eᵀ,   H = E[xᵀx],
//
// where x is the rotated row after it was turned into int8 numbers. H is gathered
// by [Moments] and prepared by [NewHessian], which adds to its diagonal a
// fraction of its mean (damping), so that directions that calibration hardly saw
// are not free.
//
// # Drift
//
// The rows that come are not those that were wanted: what was rounded before
// changed them. Where both are known ([Moments.AddDrifted]), [Hessian.Follow]
// turns the matrix into the one whose products with the rows that come are
// nearest to what was wanted, by least squares; that one is then rounded. So
// later matrices make up for some of the error of earlier ones.
//
// # Methods
//
// [Nearest] rounds to the nearest level, under the scale that makes Σe² least.
//
// [Compensated] goes through the columns from the last to the first. With
// H = M·D·Mᵀ, M lower triangular with ones on the diagonal,
//
//	e·H·eᵀ = Σ_k D_k·(e_k + Σ_{j>k} e_j·M[j, k])²,
//
// so each column is rounded after what earlier ones did to it was added (LDLQ,
// which is GPTQ in another order). The scale it begins with is the best under
// the diagonal of H. Then, in turn until it gains nothing: the scale is refitted
// under H, s = w·H·uᵀ / w·H·wᵀ, and single codes are changed while that lowers
// e·H·eᵀ (coordinate descent).
//
// # Laws
//
//  1. Rows are independent: a row's codes depend on it and H alone. The number of
//     workers and the vector width change nothing.
//  2. A row that is representable up to rounding noise ([Exact]) comes out with
//     its own codes, whatever the method.
//  3. Compensated is never worse under H than what it began with.
//
// # Limits
//
// Sizes are the caller's, as in package kernel: a wrong length panics. At 16,384
// columns H, its factor and the drift take 1 GB each, and the sums that they are
// made of 4 GB. A worker takes a few rows at a time.
package rounding
