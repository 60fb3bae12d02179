// Package quantize makes a model of 2-bit weights out of one of float32 weights,
// block by block, so that a model far larger than memory goes through.
//
// # How
//
// A calibration text is embedded and its rows are taken through the model one
// layer at a time. Before a matrix is rounded, the rows that reach it (through
// the layers rounded before it, the model's Soul included, rotated and turned
// into int8 numbers) are gathered into its Hessian, beside the rows that reach it
// in the float32 model, through which the text goes too. Package rounding chooses
// codes whose products are nearest to the float32 ones; then the rows go on
// through the rounded layer. A held-out text takes the same way through four
// models side by side, so that what the rounding cost is known at the end without
// loading a model: float32; float32 with int8 rows; 2-bit rounded to nearest;
// 2-bit as chosen.
//
//	Quantize                                quantize.go
//	  source     the model that is read     source.go
//	  blocks     layer by layer             layer.go, matrices.go
//	  walk       rows through a layer       walk.go, rows.go
//	  finished   what a kill must not undo  finished.go
//	  soul       the Soul that is written   soul.go
//	  outcome    the model that is written  outcome.go
//	  Report     what it cost               report.go
//
// # Laws
//
//  1. The model made depends on (Model CID, calibration text, method, seed,
//     damping, sweeps, repair rank, form of the Soul) and not on the held-out
//     text, the workers, the vector width, or how often it was killed and resumed.
//     (Another processor architecture, where the compiler fuses multiplications
//     with additions, may choose other codes where two are equally good.)
//  2. A matrix that is representable keeps its codes.
//  3. Signs are those of [quant.Signs], so that a model trained for them is
//     representable.
//  4. A block that is finished stays finished: its tile lies in a folder beside
//     the destination until the whole is done, and is used again if the inputs
//     are the same.
//  5. Tiles that were one file become one file.
//
// # Limits
//
// In memory at a time: the matrices of one layer as float32 numbers, one Hessian,
// and rows of the texts up to Options.RowBytes; beyond that they go to a file.
// The tiles of the model that is read are mapped, not copied. See limits.go for
// what the options may be.
package quantize
