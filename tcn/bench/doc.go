// Package bench measures how fast the quantized arithmetic is, beside what the
// machine can do at best in the same moments. The command line prints what it
// finds, and the Go benchmarks of this package are the same measurements.
//
// A [Lab] holds the memory and the workers that measurements use; [Lab.Figures]
// lists them, each a [Measurement] whose Run gives a [Figure].
//
// # Laws
//
//  1. A round is ceiling, work, ceiling. Its ratio is the work's rate over the
//     mean rate of the two ceilings beside it, which last about as long as the
//     work; a figure is the median of at least [LeastRounds] ratios. What else the
//     machine does moves the rates from second to second, the ratios far less;
//     but with more to do than it has processors for, it moves these too.
//  2. Weights that are read from memory lie off the Go heap, in huge pages where
//     the system offers them, and are more than caches hold.
//  3. The work is what a stage calls: rotating the row, its int8 numbers and the
//     handing out to workers are inside the time unless the figure says otherwise.
//  4. Nothing is judged here: a figure carries the least that is asked and the
//     aim; whoever reads it compares.
//
// # Limits
//
// A Lab maps 1 GiB on first use. See limits.go.
package bench
