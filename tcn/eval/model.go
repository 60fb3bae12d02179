package eval

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// stepRows is how many rows a Step is given: four of the batches that the CPU
// reads weights for.
const stepRows = 256

// Model is a whole model in this process. It belongs to one goroutine at a time.
type Model struct {
	Stage   tcn.Stage    // of every block
	Variant *tcn.Variant // of every block
	Ends    *tcn.Ends
}

// Logits calls each with the logits that follow text[i], for every i in turn,
// from an empty state. Errors: those of tcn, the context's, each's.
func (m Model) Logits(ctx context.Context, text []byte, each func(i int, logits *[tcn.VocabSize]float32) error) (err error) {
	state, err := m.Stage.NewState(m.Variant.Range, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	d := m.Ends.Config().DModel
	rows := make([]float32, min(stepRows, len(text))*d)
	var logits [tcn.VocabSize]float32
	for at := 0; at < len(text); at += stepRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := text[at:min(at+stepRows, len(text))]
		for i, b := range piece {
			if err := m.Ends.Embed(at+i, b, rows[i*d:(i+1)*d]); err != nil {
				return err
			}
		}
		work := &tcn.Work{State: state, Variant: m.Variant, Rows: tcn.Rows{Position: at, Count: len(piece), Data: rows[:len(piece)*d]}}
		if err := errors.Join(m.Stage.Step([]*tcn.Work{work}), work.Err); err != nil {
			return err
		}
		for i := range piece {
			if err := m.Ends.Logits(rows[i*d:(i+1)*d], &logits); err != nil {
				return err
			}
			if err := each(at+i, &logits); err != nil {
				return err
			}
		}
	}
	return nil
}

// Predict is m as a [Predictor].
func (m Model) Predict(ctx context.Context, text []byte) ([]float32, error) {
	if len(text) < 2 {
		return nil, fmt.Errorf("%w: %d bytes", ErrText, len(text))
	}
	logs := make([]float32, 0, len(text)-1)
	err := m.Logits(ctx, text[:len(text)-1], func(i int, logits *[tcn.VocabSize]float32) error {
		all := tcn.LogProbs(logits)
		logs = append(logs, all[text[i+1]])
		return nil
	})
	return logs, err
}

// Sequence is the sequence length that a model of config c is scored in:
// [SequenceBytes], or all of its positions if it has fewer.
func Sequence(c tcn.Config) int {
	if c.MaxPositions > 0 {
		return min(SequenceBytes, c.MaxPositions)
	}
	return SequenceBytes
}

// Comparison is two models' predictions of the same text.
type Comparison struct {
	Reference, Other Score
	// Divergence is Σ KL(reference ‖ other) over the predicted bytes of each
	// sequence: what coding by the other's distribution costs beyond the
	// reference's own, in nats.
	Divergence Score
	// Agreeing is at how many bytes both have the same likeliest byte.
	Agreeing int
}

// Compare scores both models on a text and finds the divergence between their
// next-byte distributions. The models may share a stage. Errors: [ErrText],
// those of tcn, the context's.
func Compare(ctx context.Context, reference, other Model, text []byte, sequence int) (Comparison, error) {
	var c Comparison
	err := sequences(text, sequence, func(_ int, text []byte) error {
		logs := make([][tcn.VocabSize]float32, 0, len(text)-1)
		ours := Loss{Bytes: len(text) - 1}
		err := reference.Logits(ctx, text[:len(text)-1], func(i int, logits *[tcn.VocabSize]float32) error {
			logs = append(logs, tcn.LogProbs(logits))
			ours.Nats -= float64(logs[i][text[i+1]])
			return nil
		})
		if err != nil {
			return fmt.Errorf("reference: %w", err)
		}
		theirs, apart := Loss{Bytes: ours.Bytes}, Loss{Bytes: ours.Bytes}
		err = other.Logits(ctx, text[:len(text)-1], func(i int, logits *[tcn.VocabSize]float32) error {
			q := tcn.LogProbs(logits)
			theirs.Nats -= float64(q[text[i+1]])
			apart.Nats += Divergence(&logs[i], &q)
			if likeliest(&logs[i]) == likeliest(&q) {
				c.Agreeing++
			}
			return nil
		})
		c.Reference, c.Other, c.Divergence = append(c.Reference, ours), append(c.Other, theirs), append(c.Divergence, apart)
		return err
	})
	return c, err
}

// likeliest is the byte of the largest number, ties to the lower byte.
func likeliest(logs *[tcn.VocabSize]float32) int {
	best := 0
	for b, l := range logs {
		if l > logs[best] {
			best = b
		}
	}
	return best
}

// Divergence is KL(p ‖ q) in nats, of natural logarithms of probabilities as
// tcn.LogProbs gives them: Σ p·(ln p − ln q). It is not negative but for
// rounding, which is cut off at 0.
func Divergence(p, q *[tcn.VocabSize]float32) float64 {
	sum := 0.0
	for b, l := range p {
		sum += float64(float64(kernel.Exp(l)) * (float64(l) - float64(q[b])))
	}
	return max(sum, 0)
}

// LogitsDigest is the SHA-256, in hexadecimal, of the logits that follow every
// byte of every prompt, each prompt from an empty state, as little-endian
// float32. Every backend on every machine must give the same for a model.
func (m Model) LogitsDigest(ctx context.Context, prompts []string) (string, error) {
	digest := NewLogitsDigest()
	for n, prompt := range prompts {
		err := m.Logits(ctx, []byte(prompt), func(_ int, logits *[tcn.VocabSize]float32) error {
			digest.Add(logits)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("prompt %d: %w", n, err)
		}
	}
	return digest.String(), nil
}

// LogitsDigest hashes logits as they come; see [Model.LogitsDigest].
type LogitsDigest struct{ hash hash.Hash }

// NewLogitsDigest is the digest of no logits.
func NewLogitsDigest() LogitsDigest { return LogitsDigest{sha256.New()} }

// Add takes the next logits.
func (d LogitsDigest) Add(logits *[tcn.VocabSize]float32) {
	var raw [4 * tcn.VocabSize]byte
	for b, l := range logits {
		binary.LittleEndian.PutUint32(raw[4*b:], math.Float32bits(l))
	}
	_, _ = d.hash.Write(raw[:]) // a hash does not fail
}

// String is the digest of what came so far, in hexadecimal.
func (d LogitsDigest) String() string { return hex.EncodeToString(d.hash.Sum(nil)) }
