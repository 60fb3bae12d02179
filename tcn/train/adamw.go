package train

import (
	"fmt"
	"math"
)

// adamw is the optimizer of Loshchilov and Hutter, "Decoupled weight decay
// regularization", 2019: Adam's steps, and decay of matrices beside them.
type adamw struct {
	trained []tensor
	first   [][]float32 // mean of gradients
	second  [][]float32 // mean of their squares
}

// adamEps keeps the step finite where gradients vanish.
const adamEps = 1e-8

// updatePiece is how many numbers one piece of an update has.
const updatePiece = 64 << 10

func newAdamW(m *Model, part Part) *adamw {
	o := &adamw{trained: m.tensors(part)}
	for _, t := range o.trained {
		o.first = append(o.first, make([]float32, len(t.values)))
		o.second = append(o.second, make([]float32, len(t.values)))
	}
	return o
}

// span is a run of numbers of one tensor.
type span struct{ tensor, lo, hi int }

func (o *adamw) spans() []span {
	var list []span
	for i, t := range o.trained {
		for lo := 0; lo < len(t.values); lo += updatePiece {
			list = append(list, span{i, lo, min(lo+updatePiece, len(t.values))})
		}
	}
	return list
}

// norm is the length of all gradients together. Errors: [ErrDiverged].
func (o *adamw) norm(e *engine, gradients []tensor) (float64, error) {
	spans := o.spans()
	squares := make([]float64, len(spans))
	e.Pool.Run(len(spans), func(i int) {
		s := spans[i]
		g := gradients[s.tensor].values[s.lo:s.hi]
		squares[i] = float64(e.Vectors.Dot(g, g))
	})
	sum := 0.0
	for i, s := range squares {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return 0, fmt.Errorf("%w: the gradient of %s is not finite; try a lower learning rate", ErrDiverged, o.trained[spans[i].tensor].name)
		}
		sum += s
	}
	return math.Sqrt(sum), nil
}

// update takes step number step, counted from 0. Gradients are multiplied by
// shrink first.
func (o *adamw) update(e *engine, gradients []tensor, opts Options, step int, shrink float32) {
	rate := opts.RateAt(step)
	beta1, beta2 := float32(opts.Beta1), float32(opts.Beta2)
	unbias1 := float32(1 / (1 - math.Pow(opts.Beta1, float64(step+1))))
	unbias2 := float32(1 / (1 - math.Pow(opts.Beta2, float64(step+1))))
	spans := o.spans()
	e.Pool.Run(len(spans), func(i int) {
		s := spans[i]
		t := o.trained[s.tensor]
		keep := float32(1)
		if t.decays {
			keep = float32(1 - rate*opts.Decay)
		}
		values, g := t.values[s.lo:s.hi], gradients[s.tensor].values[s.lo:s.hi]
		first, second := o.first[s.tensor][s.lo:s.hi], o.second[s.tensor][s.lo:s.hi]
		for c, slope := range g {
			slope *= shrink
			m := beta1*first[c] + (1-beta1)*slope
			v := beta2*second[c] + (1-beta2)*slope*slope
			first[c], second[c] = m, v
			root := float32(math.Sqrt(float64(v * unbias2)))
			values[c] = keep*values[c] - float32(rate)*m*unbias1/(root+adamEps)
		}
	})
}
