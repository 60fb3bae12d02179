package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/train"
)

// modelStabilizeCmd is zetagrid model stabilize.
type modelStabilizeCmd struct {
	Model      string  `arg:"" help:"Model folder, such as zetagrid model expand makes."`
	Steps      int     `default:"200" placeholder:"N" help:"Optimizer steps. Default 200."`
	Minutes    float64 `placeholder:"M" help:"As many steps as this many minutes take, instead of --steps."`
	Batch      int     `default:"8" placeholder:"N" help:"Sequences of one pass. Default 8."`
	Accumulate int     `default:"1" placeholder:"N" help:"Passes of one step. Default 1."`
	Sequence   int     `default:"384" placeholder:"N" help:"Bytes of a sequence. Default 384."`
	LR         float64 `name:"lr" default:"0.01" placeholder:"RATE" help:"Highest learning rate. Default 0.01."`
	Warmup     int     `default:"20" placeholder:"N" help:"Steps in which the learning rate rises. Default 20."`
	Seed       uint64  `default:"1" placeholder:"N" help:"Seed of what is drawn. Default 1."`
	corpusFlags
	trainFlags
	outFlags
}

func (*modelStabilizeCmd) Help() string {
	return examples(
		example{"zetagrid model stabilize ./grown --data text.txt -o stable", "train the norm gains, scales and routing scalars of an expanded model; its tiles stay"},
		example{"zetagrid model stabilize ./grown --data text.txt --held-out other.txt --steps 500 --json -o stable", "measure on another text; print JSON"},
	)
}

// Validate is called by kong after parsing.
func (c *modelStabilizeCmd) Validate() error {
	if len(c.Data) == 0 {
		return errors.New("say what to learn from: --data FILE")
	}
	return errors.Join(c.trainFlags.check(), checkMinutes(c.Minutes))
}

// stabilizeJSON is the output of zetagrid model stabilize --json.
type stabilizeJSON struct {
	CID    string      `json:"cid"`
	Before heldOutJSON `json:"before"`
	After  heldOutJSON `json:"after"`
	Lower  heldOutJSON `json:"lower"` // before less after, sequence by sequence
}

// heldOutJSON is a loss on held-out text, and its standard error over sequences.
type heldOutJSON struct {
	BitsPerByte   float64 `json:"bits_per_byte"`
	StandardError float64 `json:"standard_error"`
	Bytes         int     `json:"bytes"`
}

func heldOutOf(s eval.Score) heldOutJSON {
	return heldOutJSON{s.BitsPerByte(), s.StandardError(), s.Bytes()}
}

func (c *modelStabilizeCmd) Run(ctx context.Context, s *streams) error {
	session := &trainSession{out: c.outFlags, flags: c.trainFlags, again: "run the command again"}
	err := c.train(ctx, s, session)
	return errors.Join(err, session.close())
}

func (c *modelStabilizeCmd) train(ctx context.Context, s *streams, session *trainSession) error {
	if err := session.refuseOverwriting(); err != nil {
		return err
	}
	session.facts = c.facts()
	session.facts.From, session.facts.Minutes = c.Model, c.Minutes
	model, err := session.load(c.Model, train.Small)
	if err != nil {
		return err
	}
	flags := passFlags{
		Steps: c.Steps, Minutes: c.Minutes, Batch: c.Batch, Accumulate: c.Accumulate, Sequence: c.Sequence,
		LR: c.LR, Warmup: c.Warmup, Clip: 1, Seed: c.Seed,
	}
	o := flags.options()
	o.Part, o.Decay = train.Small, 0
	if err := session.start(model, o); err != nil {
		return err
	}
	if session.corpus.HeldOutBytes() < 2 {
		return &remedy{fmt.Errorf("%w: nothing is held out to measure by", train.ErrCorpus), "name a text with --held-out, more --data, or a smaller --held-out-every"}
	}
	before, err := session.trainer.HeldOut(ctx, 0)
	if err != nil {
		return err
	}
	s.note("before: %.4f ± %.4f bits per byte held out", before.BitsPerByte(), before.StandardError())
	after, id, err := session.run(ctx, s)
	if err != nil {
		return err
	}
	lower, standardErr, err := eval.Difference(after, before)
	if err != nil {
		return err
	}
	s.note("lower by %.4f ± %.4f bits per byte, of paired sequences", lower, standardErr)
	if lower < 2*standardErr {
		s.note("that is not more than twice its standard error")
	}
	if c.JSON {
		return s.printJSON(stabilizeJSON{
			CID: id.String(), Before: heldOutOf(before), After: heldOutOf(after),
			Lower: heldOutJSON{lower, standardErr, after.Bytes()},
		})
	}
	return c.report(s, id)
}
