package eval

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// SuiteVersion counts the changes of [Prompts] or of how they are answered.
// Digests of different versions cannot be compared.
const SuiteVersion = 1

// Prompts are the fixed suite: prose, verse, talk, scripture, manuals, lists,
// numbers, code, capitals, a broken-off word, bytes beyond ASCII and none but a
// newline. Nothing of them is quoted from a corpus.
var Prompts = []string{
	"The old house at the end of the road ",
	"She opened the letter and read it twice. ",
	"In the beginning of the reign of the king, ",
	"And it came to pass, when the people were gathered, that ",
	"Enter the DUKE, with attendants.\n\nDUKE.\n",
	"O gentle night, that ",
	"\"Where have you been?\" he asked. \"",
	"The committee reported on Tuesday that ",
	"To install the package, run the following command:\n\n",
	"The function returns a pointer to ",
	"There are three reasons for this. First, ",
	"1. Wash the rice.\n2. ",
	"On 14 March 1861, ",
	"1 2 3 4 5 6 7 8 9 ",
	"for (i = 0; i < n; i++) {\n\t",
	"THE HISTORY OF ",
	"It was not what he had expec",
	"Dear Sir,\n\n",
	"caf\u00e9 \u2014 na\u00efve: ",
	"\n",
}

// SuiteBytes is how many bytes answer each prompt.
const SuiteBytes = 128

// The two ways each prompt is answered.
var (
	// Greedy takes the likeliest byte.
	Greedy = tcn.Sampling{}
	// Seeded draws as people do: temperature 0.8, top-p 0.95, seed 1.
	Seeded = tcn.Sampling{Temperature: 0.8, TopP: 0.95, Seed: 1}
)

// Request is a prompt to be continued by n bytes.
type Request struct {
	Prompt   []byte
	Sampling tcn.Sampling
	Bytes    int
}

// Decoder answers requests in their order. An answer is shorter than asked for
// only where the model's positions end.
type Decoder func(ctx context.Context, requests []Request) ([][]byte, error)

// SuiteRequests are the prompts of the suite, greedy, then seeded, with n bytes
// to be answered each.
func SuiteRequests(n int) []Request {
	var requests []Request
	for _, sampling := range []tcn.Sampling{Greedy, Seeded} {
		for _, prompt := range Prompts {
			requests = append(requests, Request{Prompt: []byte(prompt), Sampling: sampling, Bytes: n})
		}
	}
	return requests
}

// Answer is one prompt of the suite and what the model wrote.
type Answer struct {
	Prompt         []byte
	Greedy, Seeded []byte
}

// Suite decodes the suite with n bytes to an answer. Errors: the decoder's.
func Suite(ctx context.Context, decode Decoder, n int) ([]Answer, error) {
	requests := SuiteRequests(n)
	texts, err := decode(ctx, requests)
	if err != nil {
		return nil, err
	}
	if len(texts) != len(requests) {
		return nil, fmt.Errorf("eval: %d answers to %d prompts", len(texts), len(requests))
	}
	answers := make([]Answer, len(Prompts))
	for i := range answers {
		answers[i] = Answer{Prompt: requests[i].Prompt, Greedy: texts[i], Seeded: texts[len(Prompts)+i]}
	}
	return answers, nil
}

// SuiteDigest is the SHA-256, in hexadecimal, of the answers: for each prompt,
// the prompt, the greedy and the seeded answer, each after its length as a
// little-endian uint32.
func SuiteDigest(answers []Answer) string {
	hash := sha256.New()
	for _, a := range answers {
		for _, text := range [][]byte{a.Prompt, a.Greedy, a.Seeded} {
			_, _ = hash.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(text)))) // a hash does not fail
			_, _ = hash.Write(text)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Decode is m as a [Decoder]. All requests are decoded beside one another, a row
// of each to a Step. Errors: those of tcn, the context's; an empty prompt is a
// tcn.ErrShape.
func (m Model) Decode(ctx context.Context, requests []Request) (answers [][]byte, err error) {
	sequences := make([]*sequence, len(requests))
	defer func() {
		for _, s := range sequences {
			if s != nil {
				err = errors.Join(err, s.state.Close())
			}
		}
	}()
	for i, r := range requests {
		if sequences[i], err = m.start(r); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var work []*tcn.Work
		for _, s := range sequences {
			if s.work.Rows.Count > 0 {
				work = append(work, &s.work)
			}
		}
		if len(work) == 0 {
			break
		}
		if err := m.Stage.Step(work); err != nil {
			return nil, err
		}
		for i, s := range sequences {
			if err := s.next(m.Ends); err != nil {
				return nil, fmt.Errorf("request %d: %w", i, err)
			}
		}
	}
	for _, s := range sequences {
		answers = append(answers, s.answer)
	}
	return answers, nil
}

// sequence is one request on its way.
type sequence struct {
	request Request
	state   tcn.State
	work    tcn.Work // rows of the next Step; none when done
	answer  []byte
}

// start readies a request's prompt for its first Step.
func (m Model) start(r Request) (*sequence, error) {
	if len(r.Prompt) == 0 {
		return nil, fmt.Errorf("%w: empty prompt", tcn.ErrShape)
	}
	if err := r.Sampling.Validate(); err != nil {
		return nil, err
	}
	d := m.Ends.Config().DModel
	rows := make([]float32, len(r.Prompt)*d)
	for p, b := range r.Prompt {
		if err := m.Ends.Embed(p, b, rows[p*d:(p+1)*d]); err != nil {
			return nil, err
		}
	}
	state, err := m.Stage.NewState(m.Variant.Range, 0)
	if err != nil {
		return nil, err
	}
	s := &sequence{request: r, state: state}
	if r.Bytes > 0 {
		s.work = tcn.Work{State: state, Variant: m.Variant, Rows: tcn.Rows{Count: len(r.Prompt), Data: rows}}
	}
	return s, nil
}

// next draws the byte that follows the rows just stepped and readies its row.
func (s *sequence) next(ends *tcn.Ends) error {
	rows := &s.work.Rows
	if rows.Count == 0 {
		return nil
	}
	if s.work.Err != nil {
		return s.work.Err
	}
	d, c := ends.Config().DModel, ends.Config()
	var logits [tcn.VocabSize]float32
	if err := ends.Logits(rows.Data[(rows.Count-1)*d:], &logits); err != nil {
		return err
	}
	position := rows.Position + rows.Count
	if c.MaxPositions > 0 && position >= c.MaxPositions {
		rows.Count = 0
		return nil
	}
	drawn := s.request.Sampling.Next(position, &logits)
	s.answer = append(s.answer, drawn)
	if len(s.answer) == s.request.Bytes {
		rows.Count = 0
		return nil
	}
	*rows = tcn.Rows{Position: position, Count: 1, Data: rows.Data[:d]}
	return ends.Embed(position, drawn, rows.Data)
}
