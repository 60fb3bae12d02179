package eval

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// ErrText: there is nothing to score, or a predictor does not answer for all of
// it.
var ErrText = errors.New("eval: bad text")

// SequenceBytes is the length of the sequences a text is scored in: beyond the
// receptive field of models of some 60 layers, and short enough that a held-out
// text of a few hundred kilobytes makes enough of them for a standard error.
const SequenceBytes = 4096

// Loss is what the predictions of one sequence cost.
type Loss struct {
	Bytes int     // predicted: the sequence's, less one
	Nats  float64 // Σ −ln p(byte)
}

// Score is the loss of every sequence of a text, in its order.
type Score []Loss

// Predictor gives ln p of text[1:], each byte given all before it:
// len(text)-1 numbers for a text of at least two bytes.
type Predictor func(ctx context.Context, text []byte) ([]float32, error)

// Measure scores a text in sequences of a length: [SequenceBytes], unless the
// model has fewer positions. What is left at the end counts if it is at least
// two bytes. report, if any, is told the bytes done after each sequence. Errors:
// [ErrText], the predictor's.
func Measure(ctx context.Context, p Predictor, text []byte, sequence int, report func(done int)) (Score, error) {
	var score Score
	err := sequences(text, sequence, func(at int, text []byte) error {
		logs, err := p(ctx, text)
		if err != nil {
			return err
		}
		if len(logs) != len(text)-1 {
			return fmt.Errorf("%w: %d predictions of %d bytes", ErrText, len(logs), len(text)-1)
		}
		loss := Loss{Bytes: len(logs)}
		for i, l := range logs {
			if math.IsNaN(float64(l)) || l > 0 {
				return fmt.Errorf("%w: the logarithm of the probability of byte %d is %v", ErrText, i+1, l)
			}
			loss.Nats -= float64(l)
		}
		score = append(score, loss)
		if report != nil {
			report(at + len(text))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return score, nil
}

// sequences calls visit with each sequence of text and where it begins.
func sequences(text []byte, length int, visit func(at int, text []byte) error) error {
	if length < 2 || len(text) < 2 {
		return fmt.Errorf("%w: %d bytes in sequences of %d; neither may be below 2", ErrText, len(text), length)
	}
	for at := 0; at < len(text)-1; at += length {
		if err := visit(at, text[at:min(at+length, len(text))]); err != nil {
			return fmt.Errorf("bytes from %d on: %w", at, err)
		}
	}
	return nil
}

// Bytes is how many bytes were predicted.
func (s Score) Bytes() int {
	n := 0
	for _, l := range s {
		n += l.Bytes
	}
	return n
}

// nats is the mean loss of a byte; s must not be empty.
func (s Score) nats() float64 {
	sum := 0.0
	for _, l := range s {
		sum += l.Nats
	}
	return sum / float64(s.Bytes())
}

// BitsPerByte is the mean loss in bits, NaN for an empty score.
func (s Score) BitsPerByte() float64 { return s.nats() / math.Ln2 }

// Perplexity is e to the mean loss: among how many equally likely bytes the
// model is left to guess.
func (s Score) Perplexity() float64 { return float64(kernel.Exp(float32(s.nats()))) }

// StandardError is that of [Score.BitsPerByte] over the sequences, as of a
// ratio of sums: √(n/(n−1) · Σ(nats − mean·bytes)²) / Σ bytes. It is 0 for
// fewer than two sequences, of which nothing can be said.
func (s Score) StandardError() float64 {
	mean := s.nats()
	deviations := make([]float64, len(s))
	for i, l := range s {
		deviations[i] = l.Nats - float64(mean*float64(l.Bytes))
	}
	return standardError(deviations, s.Bytes())
}

// standardError is of a sum of deviations over bytes, in bits a byte.
func standardError(deviations []float64, bytes int) float64 {
	n := float64(len(deviations))
	if n < 2 {
		return 0
	}
	sum := 0.0
	for _, d := range deviations {
		sum += float64(d * d)
	}
	return math.Sqrt(sum*n/(n-1)) / float64(bytes) / math.Ln2
}

// Difference is by how many bits a byte b is worse than a, sequence by
// sequence, and the standard error of that: far below those of a and b, for
// what is hard to predict is hard for both. Errors: [ErrText] unless both are
// of the same sequences.
func Difference(a, b Score) (bits, standardErr float64, err error) {
	if len(a) == 0 || len(a) != len(b) {
		return 0, 0, fmt.Errorf("%w: scores of %d and %d sequences", ErrText, len(a), len(b))
	}
	mean, deviations := b.nats()-a.nats(), make([]float64, len(a))
	for i := range a {
		if a[i].Bytes != b[i].Bytes {
			return 0, 0, fmt.Errorf("%w: sequence %d is of %d and of %d bytes", ErrText, i, a[i].Bytes, b[i].Bytes)
		}
		deviations[i] = b[i].Nats - a[i].Nats - float64(mean*float64(a[i].Bytes))
	}
	return mean / math.Ln2, standardError(deviations, a.Bytes()), nil
}
