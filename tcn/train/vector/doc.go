// Package vector is the float32 arithmetic of training: matrix products and
// passes over rows, fast rather than exact. Sums have whatever order suits the
// registers and products are fused with additions, so two instruction levels give
// slightly different numbers; one level always gives the same.
//
// # Products
//
// One function serves the three products of training, as the left factor may lie
// in any direction and the right one is packed into [Panels]:
//
//	Y = X·Wᵀ     forward     left X [T, in]          panels of Wᵀ [in, out]
//	dX = dY·W    backward    left dY [T, out]        panels of W [out, in]
//	dW = dYᵀ·X   backward    left dYᵀ, by strides    panels of X [T, in]
//
// A panel is as many columns as two registers hold, one row of them behind the
// other: the innermost loop reads it from one end to the other, and numbers of the
// left factor one by one, each for a whole row of the panel.
//
// # Laws
//
//  1. An element of a product depends on its row of the left factor and its
//     column of the right one, never on how rows were shared among callers.
//  2. Functions do not keep slices, start goroutines or allocate, and are safe
//     for concurrent use on distinct outputs.
//
// # Limits
//
// Lengths are the caller's to get right: a wrong one panics.
package vector
