// Package train trains small models of either cell from bytes of text: all
// numbers of a new model, a model whose matrices are rounded to 2-bit weights in
// every step, or only the small parameters of one that was expanded.
//
// A [Trainer] takes one optimizer step at a time; what it learns from is a
// [Corpus]; a [Checkpoint] keeps all of it. The arithmetic is that of package
// vector, fast rather than exact: a trained model is a model like any other, and
// only then computed exactly.
//
// # Quantization-aware training
//
// With tcn.WeightsQ2 the numbers that are trained are the rotated matrices
// V = W·D·H/√B. Each step rounds their rows to -3, -1, 1 and 3 times the row's
// best scale, and the rows they meet to int8 numbers, as the model's own
// arithmetic will; gradients pass straight through both. The folder that is
// written holds the codes of the last step.
//
// # Laws
//
//  1. Equal options, corpus, instruction level and step count give equal numbers,
//     however many processors computed and however often the training was
//     stopped and went on from a checkpoint.
//  2. What is drawn depends on (seed, step) alone.
//  3. No clock, no network; files only for checkpoints and model folders.
//
// # Limits
//
// See limits.go.
package train
