package train

import (
	"context"
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
)

// Trainer trains one model. It belongs to one goroutine at a time.
type Trainer struct {
	options   Options
	model     *Model
	corpus    *Corpus
	teacher   *engine // nil: none
	engine    *engine
	optimizer *adamw
	gradients *Model
	step      int
	fresh     bool // the engine has packed the model's numbers as they are
	soft      []float32
}

// Step is what one optimizer step did.
type Step struct {
	Number       int     // counted from 1
	BitsPerByte  float64 // of the step's own bytes, before the update
	GradientNorm float64 // before clipping
	Rate         float64 // learning rate
	Bytes        int     // predicted
}

// New readies a trainer of m, whose numbers it changes. teacher, for
// Options.Distill, is a model of the same config but for the weights, or nil.
// Errors: [ErrConfig], [ErrOptions], [ErrCorpus], those of tcn.
func New(m, teacher *Model, corpus *Corpus, o Options, compute Compute) (*Trainer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := m.Config.Validate(); err != nil {
		return nil, err
	}
	switch p := m.Config.MaxPositions; {
	case p > 0 && o.Sequence > p:
		return nil, fmt.Errorf("%w: sequences of %d bytes, but %d positions", ErrOptions, o.Sequence, p)
	case (o.Distill > 0) != (teacher != nil):
		return nil, fmt.Errorf("%w: distillation needs a teacher, and a teacher distillation", ErrOptions)
	case teacher != nil && teacher.Config.MaxPositions != m.Config.MaxPositions:
		return nil, fmt.Errorf("%w: the teacher has %d positions, the model %d", ErrConfig, teacher.Config.MaxPositions, m.Config.MaxPositions)
	}
	for i, l := range m.Layers {
		if l.Frozen != nil && o.Part != Small {
			return nil, fmt.Errorf("%w: layer %d has 2-bit codes, which do not train; begin with float32 weights", ErrConfig, i)
		}
	}
	if err := corpus.check(o.Sequence); err != nil {
		return nil, err
	}
	t := &Trainer{
		options: o, model: m, corpus: corpus,
		engine: newEngine(m, compute), optimizer: newAdamW(m, o.Part), gradients: m.gradients(o.Part),
	}
	if teacher != nil {
		t.teacher = newEngine(teacher, compute)
		t.teacher.refresh(All)
	}
	t.engine.refresh(All)
	t.fresh = true
	return t, nil
}

// Options are those the trainer works by.
func (t *Trainer) Options() Options { return t.options }

// SetSteps changes how many steps there are in all, which the learning rate
// depends on. Errors: [ErrOptions].
func (t *Trainer) SetSteps(n int) error {
	o := t.options
	o.Steps = n
	o.Warmup = min(o.Warmup, max(1, n/10))
	if err := o.Validate(); err != nil {
		return err
	}
	t.options = o
	return nil
}

// Steps is how many steps were taken.
func (t *Trainer) Steps() int { return t.step }

// Level is the instruction level of the trainer's arithmetic, which its numbers
// depend on.
func (t *Trainer) Level() string { return t.engine.Vectors.Name }

// Model is the model as it is now.
func (t *Trainer) Model() *Model { return t.model }

// routed reports whether gradients of all routing scalars are wanted.
func (t *Trainer) routed() bool { return t.options.Part == Small }

// Step takes one optimizer step. Errors: [ErrDiverged]; the model is then as it
// was before.
func (t *Trainer) Step() (Step, error) {
	o, e := t.options, t.engine
	t.refresh()
	gradients := t.gradients.tensors(o.Part)
	for _, g := range gradients {
		clear(g.values)
	}
	bytes := o.Batch * o.Sequence * o.Accumulate
	loss := 0.0
	for pass := range o.Accumulate {
		at := uint64(t.step)*uint64(o.Accumulate) + uint64(pass)
		text, next := t.corpus.batch(o.Seed, at, o.Batch, o.Sequence)
		e.dropout = dropout{rate: float32(o.Dropout), seed: tcn.Hash64(tcn.Hash64(o.Seed, drawDropout), at)}
		loss += t.pass(text, next, 1/float32(bytes))
	}
	e.finish(t.gradients)
	done := Step{
		Number: t.step + 1, Bytes: bytes, Rate: o.RateAt(t.step),
		BitsPerByte: loss / float64(bytes) / math.Ln2,
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return done, fmt.Errorf("%w: the loss of step %d is %v; try a lower learning rate", ErrDiverged, done.Number, loss)
	}
	norm, err := t.optimizer.norm(e, gradients)
	if err != nil {
		return done, fmt.Errorf("step %d: %w", done.Number, err)
	}
	done.GradientNorm = norm
	shrink := 1.0
	if o.Clip > 0 && norm > o.Clip {
		shrink = o.Clip / norm
	}
	t.optimizer.update(e, gradients, o, t.step, float32(shrink))
	t.step++
	t.fresh = false
	return done, nil
}

// pass takes one batch forward and back and returns its loss in nats.
func (t *Trainer) pass(text, next []byte, weight float32) float64 {
	o, e := t.options, t.engine
	var soft []float32
	if t.teacher != nil {
		t.soft = sized(t.soft, len(text)*tcn.VocabSize)
		soft = t.soft
		t.teacher.forward(text, o.Sequence, false, false)
		t.teacher.probabilities(soft, false)
	}
	e.forward(text, o.Sequence, true, t.routed())
	e.reserveBackward(o.Part)
	loss := e.lossBackward(next, soft, weight, float32(o.Distill), t.gradients, o.Part)
	e.backwardPass(text, t.gradients, o.Part, t.routed())
	return loss
}

// refresh packs the numbers that the last step changed.
func (t *Trainer) refresh() {
	if !t.fresh {
		t.engine.refresh(t.options.Part)
		t.fresh = true
	}
}

// Predict is an [eval.Predictor] of the model as it is now.
func (t *Trainer) Predict(ctx context.Context, text []byte) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p := t.model.Config.MaxPositions; p > 0 && len(text)-1 > p {
		return nil, fmt.Errorf("%w: %d bytes, %d positions", tcn.ErrTooLong, len(text), p)
	}
	t.refresh()
	t.engine.dropout = dropout{}
	return t.engine.logProbabilities(text), nil
}

// HeldOut scores the model as it is now on the first bytes of the held-out text,
// in sequences of eval.SequenceBytes or as long as the positions; 0 means all of
// it. Errors: [ErrCorpus] if nothing is held out, the context's.
func (t *Trainer) HeldOut(ctx context.Context, bytes int) (eval.Score, error) {
	text := t.corpus.heldOut
	if len(text) < 2 {
		return nil, fmt.Errorf("%w: nothing is held out", ErrCorpus)
	}
	if bytes > 0 {
		text = text[:min(bytes, len(text))]
	}
	sequence := eval.SequenceBytes
	if p := t.model.Config.MaxPositions; p > 0 {
		sequence = min(sequence, p)
	}
	return eval.Measure(ctx, t.Predict, text, sequence, nil)
}

// Work is what matrix products took until now: multiplications, and nanoseconds
// summed over processors; 0 without a clock.
func (t *Trainer) Work() (multiplications, nanoseconds int64) {
	g := &t.engine.gauge
	return g.multiplications.Load(), g.nanoseconds.Load()
}
