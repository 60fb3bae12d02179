// Package bench measures the GPU stage: how fast it decodes and reads prompts
// beside what the device can do at best in the same moments, what a rack of such
// devices would answer, and what memory a large model takes. `zetagrid bench
// device` prints what it finds.
//
// [Run] takes the figures of some [Parts]:
//
//	decode   one Fractal Block: Steps of few rows beside reading as many bytes, and
//	         where their time goes, kernel by kernel
//	prefill  2-bit products of many rows, and Steps, beside an int8 product
//	rack     what the blocks of a model take on a chain of devices, beside the plan
//	model    a whole model on the device: its memory and its rates
//
// [Memory] is the ceiling alone, for work that is done elsewhere on the same GPU.
//
// Weights are random: the same few bytes of host memory, from another place on for
// each matrix. On the device every matrix has its own.
//
// # Laws
//
//  1. A figure was measured on the device that the [Result] names, or it is listed
//     as not measured, with the reason. Nothing is estimated: of the parts of a
//     rack the hops and the blocks are measured, and the sum says what it is.
//  2. Ceilings are measured as [bench.Pair] does: beside the work, in the same
//     moments. Times are the host's, from the call to its return, unless they are
//     of single kernels.
//  3. Nothing is judged here but the device itself: a missed goal is a figure like
//     others, a failed device is an error.
//  4. A figure that the context ends is not measured; what was found before stays.
//
// # Limits
//
// Widths are whole groups of 16. See limits.go.
package bench
