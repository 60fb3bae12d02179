package train

import (
	"fmt"
	"math"
)

// Options are how a model is trained. Its JSON is part of a checkpoint.
type Options struct {
	Part       Part    `json:"part"`
	Steps      int     `json:"steps"`      // optimizer steps in all
	Batch      int     `json:"batch"`      // sequences of one pass
	Accumulate int     `json:"accumulate"` // passes of one step
	Sequence   int     `json:"sequence"`   // bytes predicted in a sequence
	Rate       float64 `json:"rate"`       // learning rate, at its highest
	Floor      float64 `json:"floor"`      // where it ends, as a fraction of Rate
	Warmup     int     `json:"warmup"`     // steps in which it rises
	Decay      float64 `json:"decay"`      // of matrices, times the learning rate, each step
	Beta1      float64 `json:"beta1"`      // AdamW's memory of gradients
	Beta2      float64 `json:"beta2"`      // AdamW's memory of their squares
	Clip       float64 `json:"clip"`       // largest norm of all gradients; 0: any
	Dropout    float64 `json:"dropout"`    // of the gate's outputs
	Distill    float64 `json:"distill"`    // the teacher's share of the loss; 0: no teacher
	Seed       uint64  `json:"seed"`
}

// DefaultOptions are those that suit models of some millions of weights.
func DefaultOptions() Options {
	return Options{
		Steps: 1000, Batch: 8, Accumulate: 1, Sequence: 384,
		Rate: 3e-3, Floor: 0.05, Warmup: 50, Decay: 0.1, Beta1: 0.9, Beta2: 0.95, Clip: 1, Seed: 1,
	}
}

// Validate reports the first number that is out of its range. Errors: [ErrOptions].
func (o Options) Validate() error {
	for _, f := range []struct {
		name            string
		value, low, top int
	}{
		{"steps", o.Steps, 1, MaxSteps},
		{"batch", o.Batch, 1, MaxBatchBytes},
		{"accumulate", o.Accumulate, 1, MaxAccumulate},
		{"sequence", o.Sequence, 1, MaxBatchBytes},
		{"warm-up", o.Warmup, 0, MaxSteps},
		{"part", int(o.Part), int(All), int(Small)},
	} {
		if f.value < f.low || f.value > f.top {
			return fmt.Errorf("%w: %s %d is not in %d…%d", ErrOptions, f.name, f.value, f.low, f.top)
		}
	}
	if o.Batch > MaxBatchBytes/o.Sequence {
		return fmt.Errorf("%w: %d sequences of %d bytes are more than %d", ErrOptions, o.Batch, o.Sequence, MaxBatchBytes)
	}
	for _, f := range []struct {
		name            string
		value, low, top float64
	}{
		{"learning rate", o.Rate, math.SmallestNonzeroFloat32, 1},
		{"floor", o.Floor, 0, 1},
		{"decay", o.Decay, 0, 1},
		{"beta1", o.Beta1, 0, 0.9999999},
		{"beta2", o.Beta2, 0, 0.9999999},
		{"clip", o.Clip, 0, math.MaxFloat32},
		{"dropout", o.Dropout, 0, 0.9},
		{"distill", o.Distill, 0, 1},
	} {
		if !(f.value >= f.low && f.value <= f.top) {
			return fmt.Errorf("%w: %s %v is not in %v…%v", ErrOptions, f.name, f.value, f.low, f.top)
		}
	}
	return nil
}

// RateAt is the learning rate of a step, counted from 0: it rises evenly over the
// warm-up and falls along half a cosine to Floor.
func (o Options) RateAt(step int) float64 {
	if step < o.Warmup {
		return o.Rate * float64(step+1) / float64(o.Warmup)
	}
	done := float64(step-o.Warmup) / float64(max(1, o.Steps-o.Warmup))
	return o.Rate * (o.Floor + (1-o.Floor)*0.5*(1+math.Cos(math.Pi*min(1, done))))
}
