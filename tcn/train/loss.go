package train

import (
	"math"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// rootMeanSquare is √(sum/d + eps).
func rootMeanSquare(sum float32, d int, eps float32) float32 {
	return float32(math.Sqrt(float64(sum/float32(d) + eps)))
}

// lossBackward computes the cross entropy of what forward left with the bytes
// that follow, writes the gradient by the last block's output to e.backward.dx
// and adds that of the ends to g. It returns the loss in nats, summed over rows.
//
//	next [rows]: the byte that follows each
//	teacher [rows, 256]: probabilities to learn beside the bytes; nil: none
//	weight: of a row's gradient   share: the teacher's of it
func (e *engine) lossBackward(next []byte, teacher []float32, weight, share float32, g *Model, part Part) float64 {
	c, room := e.model.Config, &e.backward
	d, rows := c.DModel, e.acts.rows
	x := e.output(true)
	room.logits = sized(room.logits, rows*tcn.VocabSize)
	e.each(rows, func(chunk, lo, hi int, s *scratch) {
		u, du := s.u[:(hi-lo)*d], s.t[:(hi-lo)*d]
		e.normRows(u, x[lo*d:hi*d], e.model.NormF)
		logits := room.logits[lo*tcn.VocabSize : hi*tcn.VocabSize]
		e.product(logits, tcn.VocabSize, vector.RowMajor(u, d), hi-lo, e.head.forward, false)
		sums := &room.partials[chunk]
		sums.loss = 0
		for t := lo; t < hi; t++ {
			var wanted []float32
			if teacher != nil {
				wanted = teacher[t*tcn.VocabSize : (t+1)*tcn.VocabSize]
			}
			row := logits[(t-lo)*tcn.VocabSize : (t-lo+1)*tcn.VocabSize]
			sums.loss += e.entropyBackward(row, next[t], wanted, weight, share)
		}
		e.product(du, d, vector.RowMajor(logits, tcn.VocabSize), hi-lo, e.head.backward, false)
		clear(room.dx[lo*d : hi*d])
		e.normBackward(sums.gain, lo, hi, du, x, e.model.NormF)
		if part == All {
			setTerms(room.u, lo, u, d)
		}
	})
	if part == All {
		e.addProducts(weightGradient{g.Emb, tcn.VocabSize, d, room.logits, tcn.VocabSize, room.u})
	}
	loss := 0.0
	for _, p := range room.partials {
		loss += p.loss
		if part == All {
			e.Kernels.AddScaled(g.NormF, p.gain, 1)
		}
	}
	return loss
}

// entropyBackward turns a row of logits into the gradient by them and returns the
// cross entropy with the byte that follows.
func (e *engine) entropyBackward(row []float32, next byte, teacher []float32, weight, share float32) float64 {
	top := maxOf(row)
	logit := row[next]
	sum := e.Vectors.Exponentials(row, row, top)
	scale := weight / sum
	for b := range row {
		row[b] *= scale
	}
	row[next] -= weight * (1 - share)
	if teacher != nil {
		e.Kernels.AddScaled(row, teacher, -weight*share)
	} else if share != 0 {
		row[next] -= weight * share
	}
	return math.Log(float64(sum)) - float64(logit-top)
}

func maxOf(row []float32) float32 {
	top := row[0]
	for _, v := range row[1:] {
		top = max(top, v)
	}
	return top
}

// probabilities writes the prediction that follows every row of what forward
// left.
//
//	out [rows, 256]
func (e *engine) probabilities(out []float32, training bool) {
	d := e.model.Config.DModel
	x := e.output(training)
	e.each(e.acts.rows, func(_, lo, hi int, s *scratch) {
		u := s.u[:(hi-lo)*d]
		e.normRows(u, x[lo*d:hi*d], e.model.NormF)
		rows := out[lo*tcn.VocabSize : hi*tcn.VocabSize]
		e.product(rows, tcn.VocabSize, vector.RowMajor(u, d), hi-lo, e.head.forward, false)
		for at := 0; at < len(rows); at += tcn.VocabSize {
			row := rows[at : at+tcn.VocabSize]
			scale := 1 / e.Vectors.Exponentials(row, row, maxOf(row))
			for b := range row {
				row[b] *= scale
			}
		}
	})
}

// logProbabilities returns ln p of text[1:], each byte given all before it; text
// is one sequence.
func (e *engine) logProbabilities(text []byte) []float32 {
	c := e.model.Config
	rows := len(text) - 1
	e.forward(text[:rows], rows, false, false)
	x, d, out := e.output(false), c.DModel, make([]float32, rows)
	e.each(rows, func(_, lo, hi int, s *scratch) {
		u, logits := s.u[:(hi-lo)*d], s.y[:(hi-lo)*tcn.VocabSize]
		e.normRows(u, x[lo*d:hi*d], e.model.NormF)
		e.product(logits, tcn.VocabSize, vector.RowMajor(u, d), hi-lo, e.head.forward, false)
		for t := lo; t < hi; t++ {
			row := logits[(t-lo)*tcn.VocabSize : (t-lo+1)*tcn.VocabSize]
			logit, top := row[text[t+1]], maxOf(row)
			sum := e.Vectors.Exponentials(row, row, top)
			out[t] = min(0, float32(float64(logit-top)-math.Log(float64(sum))))
		}
	})
	return out
}
