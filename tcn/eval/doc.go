// Package eval measures a model of package tcn: how well it predicts a text
// (bits per byte, perplexity), how far its predictions are from another model's
// (Kullback-Leibler divergence), what it writes after a fixed suite of prompts,
// and whether what it writes has collapsed.
//
// # How a text is scored
//
// [Split] says which part of a text is held out from training. What is scored
// is cut into sequences of [SequenceBytes]; the model reads each from an empty
// state, as it reads a prompt. The first byte of a sequence has nothing before
// it and is not predicted; every other byte counts alike, those predicted from
// a short context included. A figure is so a little worse than that of one
// endless stream, and is that of real use; and the sequences are near enough
// independent to give a standard error.
//
// Loss is in nats inside the package, ln 2 of which are a bit.
//
// # Laws
//
//  1. A figure depends on (model, text, sequence bytes) and on nothing else,
//     to the last bit of the float64: logarithms are tcn's own, sums run in
//     the order of the text.
//  2. A suite's answers are those of tcn.Sampling, and so the same from a
//     [Model] in this process and from any grid that serves it.
//  3. Nothing here opens a file or looks at a clock.
//
// # Limits
//
// Texts are the caller's own and bound nothing but time. Memory is that of one
// sequence.
package eval
