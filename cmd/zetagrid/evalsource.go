package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
)

// suiteAtOnce is how many prompts of the suite are answered at once.
const suiteAtOnce = 8

// evaluated is a model to be measured: in this process or through a grid, by the
// same requests.
type evaluated struct {
	source
	model, soul string // as requests name them
	through     string // "this process" or the API's URL
	sequence    int
	logits      bool // the source reports logits
}

// open starts or finds what is to be evaluated.
func (c *evalCmd) open(ctx context.Context, s *streams) (*evaluated, error) {
	e := &evaluated{model: c.Model, soul: c.Soul, through: c.API, sequence: c.Sequence}
	if c.API == "" {
		local, err := startLocal(ctx, s, c.Model, c.Data, c.deviceFlags)
		if err != nil {
			return nil, err
		}
		e.source, e.model, e.through, e.logits = local, local.ModelCID(), "this process", true
		if e.sequence == 0 {
			e.sequence = eval.Sequence(local.Config())
		}
		return e, nil
	}
	client := &api.Client{Base: c.API, Token: c.Token}
	if e.model == "" {
		models, err := client.Models(ctx)
		if err != nil {
			return nil, err
		}
		if len(models) == 0 {
			return nil, fmt.Errorf("%w: the node at %s names none", session.ErrModel, c.API)
		}
		e.model = models[0].ID
	}
	e.source = apiSource{client}
	if e.sequence == 0 {
		e.sequence = eval.SequenceBytes
	}
	return e, nil
}

// predict is an eval.Predictor.
func (e *evaluated) predict(ctx context.Context, text []byte) ([]float32, error) {
	pieces, err := e.pieces(ctx, session.Request{Prompt: text, Echo: true})
	if err != nil {
		return nil, err
	}
	if len(pieces) != len(text) {
		return nil, fmt.Errorf("%w: %d bytes came back of %d", eval.ErrText, len(pieces), len(text))
	}
	logs := make([]float32, 0, len(text)-1)
	for _, piece := range pieces[1:] {
		logs = append(logs, piece.LogProb)
	}
	return logs, nil
}

// decode is an eval.Decoder.
func (e *evaluated) decode(ctx context.Context, requests []eval.Request) ([][]byte, error) {
	answers := make([][]byte, len(requests))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(suiteAtOnce)
	for i, r := range requests {
		group.Go(func() error {
			pieces, err := e.pieces(ctx, session.Request{Prompt: r.Prompt, MaxBytes: r.Bytes, Sampling: r.Sampling, LogProbs: -1})
			for _, piece := range pieces {
				answers[i] = append(answers[i], piece.Byte)
			}
			return err
		})
	}
	return answers, group.Wait()
}

// logitsDigest is eval.Model.LogitsDigest of the suite's prompts: the logits
// after a byte are reported with the next one, the last ones with an answer's
// first byte.
func (e *evaluated) logitsDigest(ctx context.Context) (string, error) {
	digest := eval.NewLogitsDigest()
	for _, prompt := range eval.Prompts {
		pieces, err := e.pieces(ctx, session.Request{Prompt: []byte(prompt), MaxBytes: 1, Echo: true, Logits: true, LogProbs: -1})
		if err != nil {
			return "", err
		}
		if len(pieces) != len(prompt)+1 {
			return "", fmt.Errorf("%w: the model has too few positions for %q", tcn.ErrTooLong, prompt)
		}
		for _, piece := range pieces[1:] {
			digest.Add(piece.Logits)
		}
	}
	return digest.String(), nil
}

// pieces is a whole answer to a request of the model and Soul evaluated.
func (e *evaluated) pieces(ctx context.Context, r session.Request) (pieces []session.Piece, err error) {
	r.Model, r.Soul = e.model, e.soul
	answer, err := e.Generate(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	for {
		piece, err := answer.Next()
		if err == io.EOF {
			return pieces, nil
		}
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, piece)
	}
}
