package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/train"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// evaluationBytes is how much held-out text is scored in the course of a
// training; all of it is at the end.
const evaluationBytes = 64 << 10

// timedSteps is how many steps are timed to turn minutes into steps, after one
// that warms up.
const timedSteps = 5

// trainSession is one run of a training: its files, its log and its clock.
type trainSession struct {
	out      outFlags
	again    string // what to do after an interruption; "": resume
	flags    trainFlags
	facts    trainFacts
	trainer  *train.Trainer
	corpus   *train.Corpus
	template *modelfile.Template
	ancestry map[string]string // provenance of the model that this one began with
	closers  []io.Closer
	pool     *kernel.Pool
	peak     float64 // fused multiply-adds a second, of all processors
	began    time.Time
	before   float64 // seconds of earlier runs
	log      *trainLog
}

func (t *trainSession) checkpointFile() string { return t.out.Out + ".checkpoint" }

func (t *trainSession) logFile() string {
	if t.flags.Log != "" {
		return t.flags.Log
	}
	return t.out.Out + ".log.jsonl"
}

// refuseOverwriting reports a folder or a checkpoint that is there.
func (t *trainSession) refuseOverwriting() error {
	if entries, err := os.ReadDir(t.out.Out); err == nil && len(entries) > 0 {
		return fmt.Errorf("%w: %s exists and is not empty", modelfile.ErrOutput, t.out.Out)
	}
	if _, err := os.Stat(t.checkpointFile()); err == nil {
		return &remedy{fmt.Errorf("%s is there", t.checkpointFile()), "go on from it with --resume, or remove it"}
	}
	return nil
}

// load reads a model folder to train a part of it.
func (t *trainSession) load(named string, part train.Part) (*train.Model, error) {
	folder, err := modelfile.OpenFolder(modelFolder(named))
	if err != nil {
		return nil, err
	}
	model, file, err := train.Load(folder, part)
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, file)
	manifest, _ := folder.Model()
	t.template, t.ancestry = &manifest.Template, manifest.Provenance
	return model, nil
}

// start makes the trainer.
func (t *trainSession) start(model *train.Model, o train.Options) error {
	corpus, err := t.facts.corpus()
	if err != nil {
		return err
	}
	t.corpus = corpus
	vectors, err := vectorSet()
	if err != nil {
		return err
	}
	kernels, err := kernelSet()
	if err != nil {
		return err
	}
	var teacher *train.Model
	if t.facts.Distill {
		if teacher, err = t.load(t.facts.From, train.All); err != nil {
			return err
		}
	}
	t.peak = fusedPeak(vectors)
	t.pool = kernel.NewPool(0)
	t.began = time.Now()
	t.trainer, err = train.New(model, teacher, corpus, o, train.Compute{
		Kernels: kernels, Vectors: vectors, Pool: t.pool,
		Clock: func() int64 { return int64(time.Since(t.began)) },
	})
	return err
}

// vectorSet is the fastest set of this machine, or the one asked for.
func vectorSet() (*vector.Set, error) {
	name := os.Getenv(kernelVariable)
	if name == "" {
		return vector.Best(), nil
	}
	return vector.Named(name)
}

// fusedPeak measures the fused multiply-adds a second of all processors, in
// registers; 0 where there is no assembly. Each takes the best of many bursts,
// too short for other programs to be in all of them.
func fusedPeak(set *vector.Set) float64 {
	const rounds, bursts = 1 << 14, 200
	var group sync.WaitGroup
	best := make([]float64, runtime.GOMAXPROCS(0))
	for i := range best {
		group.Go(func() {
			for range bursts {
				began := time.Now()
				n, _ := set.FusedPeak(rounds)
				best[i] = max(best[i], float64(n)/time.Since(began).Seconds())
			}
		})
	}
	group.Wait()
	sum := 0.0
	for _, rate := range best {
		sum += rate
	}
	return sum
}

// run trains to the end and writes the folder. It returns the score on what is
// held out, if anything is.
func (t *trainSession) run(ctx context.Context, s *streams) (score eval.Score, id cid.Cid, err error) {
	if t.log, err = openTrainLog(t.logFile(), t.trainer.Steps()); err != nil {
		return nil, cid.Undef, err
	}
	defer func() { err = errors.Join(err, t.log.close()) }()
	t.introduce(s)
	t.pool.Begin()
	defer t.pool.End()
	if err := t.steps(ctx, s); err != nil {
		return nil, cid.Undef, err
	}
	if err := t.save(); err != nil { // what is left can be stopped too
		return nil, cid.Undef, err
	}
	if score, err = t.heldOut(ctx, 0); err != nil {
		if ctx.Err() != nil {
			err = t.interrupted(ctx)
		}
		return nil, cid.Undef, err
	}
	if score != nil {
		s.note("held out: %.4f ± %.4f bits per byte (%d bytes)", score.BitsPerByte(), score.StandardError(), score.Bytes())
	}
	if id, err = t.write(ctx, s, score); err == nil && t.flags.Plot != "" {
		err = plotTraining(t.flags.Plot, t.log.lines)
	}
	return score, id, err
}

// introduce says what is about to be trained.
func (t *trainSession) introduce(s *streams) {
	c, o := t.trainer.Model().Config, t.trainer.Options()
	s.note("%d weights: d_model %d, d_ff %d, %d layers; %d bytes to learn from, %d held out; %d bytes a step",
		c.Parameters().Total, c.DModel, c.DFF, c.Layers, t.corpus.TrainBytes(), t.corpus.HeldOutBytes(), o.Batch*o.Sequence*o.Accumulate)
	s.note("this machine's peak: %.0f GFLOP/s of float32", 2*t.peak/1e9)
	if t.trainer.Steps() > 0 {
		s.note("going on after step %d of %d", t.trainer.Steps(), o.Steps)
	}
}

// steps trains until all steps are taken or the context ends, which leaves a
// checkpoint.
func (t *trainSession) steps(ctx context.Context, s *streams) error {
	bar := progress(s, t.trainer.Options().Steps, "training")
	defer func() { _ = bar.Finish() }() // it draws on a terminal, or nowhere
	window := t.newWindow()
	first := t.trainer.Steps()
	var timed time.Time
	for t.trainer.Steps() < t.trainer.Options().Steps {
		if ctx.Err() != nil {
			return t.interrupted(ctx)
		}
		step, err := t.trainer.Step()
		if err != nil {
			return err
		}
		window.add(step)
		taken := t.trainer.Steps() - first
		if t.facts.Minutes > 0 && t.trainer.Options().Steps == train.MaxSteps {
			if taken == 1 {
				timed = time.Now()
			}
			if taken == 1+timedSteps {
				if err := t.fixSteps(time.Since(timed) / timedSteps); err != nil {
					return err
				}
				bar.ChangeMax(t.trainer.Options().Steps)
				s.note("%g minutes are %d steps", t.facts.Minutes, t.trainer.Options().Steps)
			}
		}
		if err := t.after(ctx, s, step, window); err != nil {
			return err
		}
		bar.Describe(fmt.Sprintf("%.3f bits per byte", step.BitsPerByte))
		_ = bar.Set(step.Number)
	}
	return nil
}

// fixSteps turns the minutes into steps.
func (t *trainSession) fixSteps(each time.Duration) error {
	n := int(t.facts.Minutes * float64(time.Minute) / float64(max(each, 1)))
	return t.trainer.SetSteps(max(n, t.trainer.Steps()))
}

// after writes what is due after a step.
func (t *trainSession) after(ctx context.Context, s *streams, step train.Step, window *trainWindow) error {
	last := step.Number == t.trainer.Options().Steps
	due := func(every int) bool { return every > 0 && step.Number%every == 0 }
	if due(t.flags.LogEvery) || last {
		line := window.line(step)
		if due(t.flags.Evaluate) && !last {
			score, err := t.heldOut(ctx, evaluationBytes)
			if err != nil && ctx.Err() == nil {
				return err
			}
			if score != nil {
				line.HeldOut = score.BitsPerByte()
			}
		}
		if err := t.log.add(line); err != nil {
			return err
		}
		if !isTerminal(s.err) || line.HeldOut > 0 {
			s.note("%s", line)
		}
		*window = *t.newWindow()
	}
	if due(t.flags.Checkpoint) && !last && t.trainer.Options().Steps < train.MaxSteps {
		return t.save()
	}
	return nil
}

// heldOut scores the model; nil if nothing is held out.
func (t *trainSession) heldOut(ctx context.Context, bytes int) (eval.Score, error) {
	if t.corpus.HeldOutBytes() < 2 {
		return nil, nil
	}
	return t.trainer.HeldOut(ctx, bytes)
}

// save writes the checkpoint, if the training can go on from one.
func (t *trainSession) save() error {
	if t.again != "" {
		return nil
	}
	t.facts.Seconds = t.before + time.Since(t.began).Seconds()
	facts, err := json.Marshal(t.facts)
	if err != nil {
		return err
	}
	return t.trainer.Save(t.checkpointFile(), facts)
}

// interrupted leaves a checkpoint and says how to go on.
func (t *trainSession) interrupted(ctx context.Context) error {
	stopped := fmt.Errorf("%w after step %d of %d", context.Cause(ctx), t.trainer.Steps(), t.trainer.Options().Steps)
	if t.again != "" {
		return &remedy{stopped, t.again}
	}
	if t.trainer.Options().Steps == train.MaxSteps {
		return context.Cause(ctx) // too early to be worth keeping
	}
	if err := t.save(); err != nil {
		return errors.Join(stopped, err)
	}
	return &remedy{stopped, "zetagrid model train --resume --out " + t.out.Out + " goes on"}
}

// write makes the model folder and removes the checkpoint.
func (t *trainSession) write(ctx context.Context, s *streams, score eval.Score) (cid.Cid, error) {
	report := modelProgress(s)
	id, err := train.Write(ctx, t.out.Out, t.trainer.Model(), t.template, t.provenance(score), report.update)
	report.end()
	if err != nil {
		return cid.Undef, err
	}
	if err := os.Remove(t.checkpointFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return cid.Undef, err
	}
	return id, nil
}

// close frees what the session holds.
func (t *trainSession) close() error {
	t.pool.Close()
	var err error
	for _, c := range t.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}
