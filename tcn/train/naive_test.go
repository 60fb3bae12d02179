package train

import (
	"math"

	"github.com/zetagrid/zetagrid/tcn"
)

// The model once more, in float64 and as simple as it can be said: what the
// trainer's gradients are differences of.

// naive is a model of float64 numbers, flat as tensors lists them.
type naive struct {
	config                    tcn.Config
	emb, pos, normF           []float64
	in, conv, out, gain, rate [][]float64
	routing                   []float64
}

func wide(values []float32) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

func naiveOf(m *Model) *naive {
	n := &naive{config: m.Config, emb: wide(m.Emb), pos: wide(m.Pos), normF: wide(m.NormF), routing: wide(m.Routing)}
	for _, l := range m.Layers {
		n.in, n.conv, n.out = append(n.in, wide(l.In)), append(n.conv, wide(l.Conv)), append(n.out, wide(l.Out))
		n.gain, n.rate = append(n.gain, wide(l.Gain)), append(n.rate, wide(l.Scale))
	}
	return n
}

// tensors lists the numbers in the order of Model.tensors(All).
func (n *naive) tensors() [][]float64 {
	var list [][]float64
	for _, t := range [][]float64{n.emb, n.pos, n.normF} {
		if len(t) > 0 {
			list = append(list, t)
		}
	}
	for i := range n.in {
		list = append(list, n.in[i], n.conv[i], n.out[i], n.gain[i], n.rate[i])
	}
	return append(list, n.routing)
}

func sigma(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

func (n *naive) norm(x, gain []float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	root := math.Sqrt(sum/float64(len(x)) + float64(n.config.RMSEps))
	out := make([]float64, len(x))
	for c, v := range x {
		out[c] = v / root * gain[c]
	}
	return out
}

func product(w, x []float64, rows int) []float64 {
	y := make([]float64, rows)
	for r := range y {
		for c, v := range x {
			y[r] += w[r*len(x)+c] * v
		}
	}
	return y
}

// logits of every position of one sequence.
func (n *naive) logits(text []byte) [][]float64 {
	c, d, f := n.config, n.config.DModel, n.config.DFF
	var x [][]float64
	for t, b := range text {
		row := append([]float64(nil), n.emb[int(b)*d:(int(b)+1)*d]...)
		for i := range row {
			if len(n.pos) > 0 {
				row[i] += n.pos[t*d+i]
			}
		}
		x = append(x, row)
	}
	for b := range c.Blocks() {
		lo, hi := c.BlockLayers(b)
		before := x
		for layer := lo; layer < hi; layer++ {
			if c.Cell == tcn.CellPaper {
				x = n.paperLayer(layer, x)
				continue
			}
			var h [][]float64
			for _, row := range x {
				h = append(h, product(n.in[layer], n.norm(row, n.gain[layer]), 2*f))
			}
			var next [][]float64
			for t, row := range x {
				y := make([]float64, f)
				for i := range y {
					a := n.tap(layer, h, t, i, f)
					y[i] = a * sigma(a) * sigma(h[t][f+i])
				}
				made := product(n.out[layer], y, d)
				for i := range made {
					made[i] = row[i] + n.rate[layer][0]*made[i]
				}
				next = append(next, made)
			}
			x = next
		}
		for t := range x {
			for i := range x[t] {
				x[t][i] = before[t][i] + n.routing[b]*(x[t][i]-before[t][i])
			}
		}
	}
	for t := range x {
		x[t] = product(n.emb, n.norm(x[t], n.normF), tcn.VocabSize)
	}
	return x
}

// tap is channel i of row t of a layer's convolution of width channels.
func (n *naive) tap(layer int, from [][]float64, t, i, width int) float64 {
	c, sum := n.config, 0.0
	for k := range c.KernelSize {
		if at := t - (c.KernelSize-1-k)*c.Dilation(layer); at >= 0 {
			sum += n.conv[layer][k*width+i] * from[at][i]
		}
	}
	return sum
}

// paperLayer is a layer of the paper's cell.
func (n *naive) paperLayer(layer int, x [][]float64) [][]float64 {
	d, f := n.config.DModel, n.config.DFF
	var next [][]float64
	for t, row := range x {
		u := make([]float64, d)
		for i := range u {
			u[i] = n.tap(layer, x, t, i, d)
		}
		h, y := product(n.in[layer], u, 2*f), make([]float64, f)
		for i := range y {
			g, v := h[i], h[f+i]
			y[i] = sigma(g) * v * sigma(v)
		}
		made := product(n.out[layer], y, d)
		for i := range made {
			made[i] = row[i] + n.rate[layer][0]*made[i]
		}
		next = append(next, n.norm(made, n.gain[layer]))
	}
	return next
}

// loss is the mean cross entropy in nats of sequences laid end to end.
func (n *naive) loss(text, next []byte, sequence int) float64 {
	sum := 0.0
	for lo := 0; lo < len(text); lo += sequence {
		for t, row := range n.logits(text[lo : lo+sequence]) {
			total := 0.0
			for _, v := range row {
				total += math.Exp(v)
			}
			sum += math.Log(total) - row[next[lo+t]]
		}
	}
	return sum / float64(len(text))
}
