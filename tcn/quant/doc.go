// Package quant is the form of quantized matrices: 2-bit weights with a rotation
// ([Q2]) and 8-bit weights ([Q8]), their layout, sizes and checks. How they were
// chosen is not its business, nor is how a product is shared out.
//
// # Product
//
// A matrix [rows, cols] has one float32 scale a row. A row of activations x is
// turned into int8 numbers q with one scale s; all sums are of integers, so their
// order does not matter:
//
//	Q2   q, s = int8(H·D·x)   y[r] = (float32(Σ q[c]·w[r, c])·s)·scale[r]   w ∈ {-3, -1, 1, 3}
//	Q8   q, s = int8(x)       the same                                      w ∈ {-127 … 127}
//
// D turns the signs that are set in Signs, H is the unnormalised Walsh–Hadamard
// transform of blocks of [kernel.HadamardBlock](cols) columns. Since H·H is the
// block size B, a matrix W is represented by weights that approximate
// W·D·H/(B·scale): the factor is folded into the scale, like the half step of
// the levels -1.5, -0.5, 0.5, 1.5.
//
// # Layout
//
// Made for reading memory from one end to the other. Rows lie 16 interleaved, a
// block; in a block 16 columns lie together, a group; what is missing to whole
// blocks and groups is filled with zero bytes.
//
//	Q2 Codes [⌈rows/16⌉ blocks][⌈cols/16⌉ groups][64 bytes]
//
//	byte of the line    0  1  2  3   4  5  6  7        60 61 62 63
//	                  ├ row 0 ────┼ row 1 ────┼ … ───┼ row 15 ────┤
//	bits 0-1  column    0  1  2  3   0  1  2  3         0  1  2  3
//	bits 2-3            4  5  6  7   4  5  6  7         4  5  6  7
//	bits 4-5            8  9 10 11   8  9 10 11         8  9 10 11
//	bits 6-7           12 13 14 15  12 13 14 15        12 13 14 15
//
// One load brings a whole group of a block, a mask and no shift brings four
// columns of every row, and the four int8 numbers they meet are one dword,
// the same for all rows. Code 0, 1, 2, 3 is weight -3, -1, 1, 3.
//
//	Q8 Codes [⌈rows/16⌉ blocks][⌈cols/16⌉ groups][4 lines][64 bytes]
//
//	line l: byte 4·r + b is the int8 weight of row r, column 4·l + b
//
//	Scale [rows] float32   Signs [⌈cols/8⌉]: bit c mod 8 of byte c/8 is column c's
//
// Filling has no effect: rows past the end are never written as results, and the
// activations of columns past the end are 0, so that Σ q·code and the correction
// -3·Σq of a 2-bit sum are the same whatever the codes there. They are zero all
// the same, so that equal matrices are equal bytes with one CID.
//
// # Laws
//
//  1. A matrix that [NewQ2] or [NewQ8] took cannot make a product panic or
//     overflow its integers: 131,072 columns times 127·127 fit an int32.
//  2. One matrix has one encoding: filling and unused bits are zero, -128 is not
//     a weight, and no scale of 8-bit weights is negative.
//  3. Slices are used where they lie, a mapped file included. The kernels need
//     no alignment; files give 64 bytes, so that a line is one cache line.
//
// # Limits
//
// Columns 131,072, rows 1,048,576: see limits.go.
package quant
