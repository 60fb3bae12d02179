package backendtest

import (
	"math"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Naive computes what blocks r make of a whole text at once: every layer over
// all rows, the convolution by looking back in the array. It has no rings, no
// batches and no matrix kernels; it shares with the product only exp. Souls is
// how many of the model's Souls are worn.
//
//	rows, result [n, d_model]; rows[0] is position 0 of the text
func (m *Model) Naive(r tcn.Range, souls int, rows []float32) []float32 {
	c := m.Config
	x := split(rows, c.DModel)
	for b := r.Lo; b < r.Hi; b++ {
		before := split(join(x), c.DModel)
		first, _ := c.BlockLayers(b)
		for i := range m.layers[b] {
			var worn []wornLayer
			for n := range souls {
				worn = append(worn, wornLayer{m.Souls[n].Weight, m.souls[n][b][i]})
			}
			small := m.Small[b].Layers[i]
			if c.Cell == tcn.CellPaper {
				naivePaper(c, m.layers[b][i], small, worn, c.Dilation(first+i), x)
			} else {
				naiveRelease(c, m.layers[b][i], small, worn, c.Dilation(first+i), x)
			}
		}
		routing := m.Small[b].Routing
		for p := range x {
			for i := range x[p] {
				switch routing {
				case 1:
				case 0:
					x[p][i] = before[p][i]
				default:
					change := x[p][i] - before[p][i]
					x[p][i] = float32(routing*change) + before[p][i]
				}
				x[p][i] = rounded(c.Boundary, x[p][i])
			}
		}
	}
	return join(x)
}

// NaiveLogits is the prediction after an output row.
func (m *Model) NaiveLogits(row []float32) [256]float32 {
	var out [256]float32
	h := norm(row, m.NormF, m.Config.RMSEps)
	copy(out[:], floats(m.Emb).times(h))
	return out
}

// naiveLayer is the frozen weights of one layer.
type naiveLayer struct {
	in   naiveMatrix
	conv []float32
	out  naiveMatrix
}

// naiveSoul is a Soul's terms of one layer.
type naiveSoul struct{ inA, inB, outA, outB naiveMatrix }

type wornLayer struct {
	weight float32
	terms  naiveSoul
}

// The release cell, row by row but for the convolution.
func naiveRelease(c tcn.Config, w naiveLayer, small tcn.SmallLayer, worn []wornLayer, dilation int, x [][]float32) {
	a, g := make([][]float32, len(x)), make([][]float32, len(x))
	for p := range x {
		h := norm(x[p], small.NormGain, c.RMSEps)
		both := w.in.times(h)
		for _, soul := range worn {
			add(both, soul.terms.inB.times(soul.terms.inA.times(h)), soul.weight)
		}
		a[p], g[p] = both[:c.DFF], both[c.DFF:]
	}
	a = convolve(c, w.conv, dilation, a)
	for p := range x {
		y := gate(a[p], g[p])
		t := w.out.times(y)
		for _, soul := range worn {
			add(t, soul.terms.outB.times(soul.terms.outA.times(y)), soul.weight)
		}
		add(x[p], t, small.Scale)
	}
}

// The paper cell.
func naivePaper(c tcn.Config, w naiveLayer, small tcn.SmallLayer, worn []wornLayer, dilation int, x [][]float32) {
	convolved := convolve(c, w.conv, dilation, x)
	for p := range x {
		both := w.in.times(convolved[p])
		for _, soul := range worn {
			add(both, soul.terms.inB.times(soul.terms.inA.times(convolved[p])), soul.weight)
		}
		y := gate(both[c.DFF:], both[:c.DFF])
		t := w.out.times(y)
		for _, soul := range worn {
			add(t, soul.terms.outB.times(soul.terms.outA.times(y)), soul.weight)
		}
		add(x[p], t, small.Scale)
		copy(x[p], norm(x[p], small.NormGain, c.RMSEps))
	}
}

// convolve looks back over all rows: out[p] = Σ in[p - (K-1-k)·dilation]·w[k],
// rows before 0 being zero.
func convolve(c tcn.Config, w []float32, dilation int, in [][]float32) [][]float32 {
	out := make([][]float32, len(in))
	for p := range in {
		width := len(in[p])
		out[p] = make([]float32, width)
		for i := range width {
			sum := float32(0)
			for k := range c.KernelSize {
				from, value := p-(c.KernelSize-1-k)*dilation, float32(0)
				if from >= 0 {
					value = rounded(c.State, in[from][i])
				}
				product := float32(value * w[k*width+i])
				if k == 0 {
					sum = product
				} else {
					sum += product
				}
			}
			out[p][i] = sum
		}
	}
	return out
}

// gate is SiLU(a)·σ(g).
func gate(a, g []float32) []float32 {
	y := make([]float32, len(a))
	for i := range a {
		silu := float32(a[i] * (1 / (1 + kernel.Exp(-a[i]))))
		y[i] = float32(silu * (1 / (1 + kernel.Exp(-g[i]))))
	}
	return y
}

// norm is RMSNorm(x).
func norm(x, gain []float32, eps float32) []float32 {
	squares := make([]float32, len(x))
	for i, v := range x {
		squares[i] = float32(v * v)
	}
	mean := sum(squares) / float32(len(x))
	root := float32(math.Sqrt(float64(mean + eps)))
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32((v / root) * gain[i])
	}
	return out
}

// sum is the rule for sums: 32 lanes, folded by halves.
func sum(values []float32) float32 {
	var lanes [32]float32
	for i, v := range values {
		lanes[i%32] += v
	}
	for _, half := range []int{16, 8, 4, 2, 1} {
		for j := range half {
			lanes[j] += lanes[j+half]
		}
	}
	return lanes[0]
}

// add is x = x + scale·t.
func add(x, t []float32, scale float32) {
	for i := range x {
		x[i] += float32(scale * t[i])
	}
}

// rounded is v as a number type holds it. To bf16: the neighbour with 16 zero
// bits below that is nearer, of two as near the one whose last bit is even.
func rounded(number tcn.Number, v float32) float32 {
	if number != tcn.BF16 {
		return v
	}
	low := math.Float32frombits(math.Float32bits(v) &^ 0xffff)
	high := math.Float32frombits(math.Float32bits(low) + 0x10000)
	below, above := math.Abs(float64(v)-float64(low)), math.Abs(float64(high)-float64(v))
	if below < above || below == above && math.Float32bits(low)>>16&1 == 0 {
		return low
	}
	return high
}

func split(rows []float32, width int) [][]float32 {
	var out [][]float32
	for ; len(rows) > 0; rows = rows[width:] {
		out = append(out, append([]float32(nil), rows[:width]...))
	}
	return out
}

func join(rows [][]float32) []float32 {
	var out []float32
	for _, row := range rows {
		out = append(out, row...)
	}
	return out
}
