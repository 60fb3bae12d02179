package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// tinyConfig is a model of a few thousand numbers with odd widths.
func tinyConfig() tcn.Config {
	return tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 12, DFF: 20, Layers: 5, LayersPerBlock: 2,
		KernelSize: 3, Dilations: []int{1, 2, 4}, RMSEps: 1e-6,
	}.WithDefaults()
}

// testCompute computes with the fastest sets and a helper.
func testCompute(t testing.TB) Compute {
	pool := kernel.NewPool(1)
	t.Cleanup(pool.Close)
	return Compute{Kernels: kernel.Best(), Vectors: vector.Best(), Pool: pool}
}

// wake moves what begins at 1 or 0 off it, so that every gradient is alive.
func wake(m *Model, random *rand.Rand, routing bool) {
	for _, part := range m.tensors(All) {
		if part.name == "routing" && !routing {
			continue
		}
		for i := range part.values {
			part.values[i] += float32(0.1 * random.NormFloat64())
		}
	}
}

func randomText(random *rand.Rand, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('a' + random.IntN(5))
	}
	return text
}

func TestGradients(t *testing.T) {
	for _, cell := range []tcn.Cell{tcn.CellRelease, tcn.CellPaper} {
		for _, routed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s routed=%v", cell, routed), func(t *testing.T) {
				c := tinyConfig()
				c.Cell = cell
				if routed { // and learned positions, in the same go
					c.MaxPositions = 16
				}
				checkGradients(t, c, routed)
			})
		}
	}
}

// checkGradients compares the gradient by numbers of every tensor with
// differences of the naive loss.
func checkGradients(t *testing.T, c tcn.Config, routed bool) {
	const sequence = 13
	places := 8
	if testing.Short() {
		places = 2
	}
	m, err := NewModel(c, 7)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	wake(m, random, routed)
	text, next := randomText(random, 3*sequence), randomText(random, 3*sequence)
	e := newEngine(m, testCompute(t))
	e.refresh(All)
	g := m.gradients(All)
	e.forward(text, sequence, true, routed)
	e.reserveBackward(All)
	loss := e.lossBackward(next, nil, 1/float32(len(text)), 0, g, All)
	e.backwardPass(text, g, All, routed)
	e.finish(g)

	n := naiveOf(m)
	if want := n.loss(text, next, sequence); math.Abs(loss/float64(len(text))-want) > 1e-5 {
		t.Errorf("loss %v, want %v", loss/float64(len(text)), want)
	}
	tensors, gradients := n.tensors(), g.tensors(All)
	for i, values := range tensors {
		largest := 0.0
		for _, v := range gradients[i].values {
			largest = max(largest, math.Abs(float64(v)))
		}
		if largest == 0 && (gradients[i].name != "routing" || routed) {
			t.Errorf("%s has no gradient", gradients[i].name)
		}
		if gradients[i].name == "routing" && !routed {
			continue
		}
		for range places {
			at := random.IntN(len(values))
			const h = 1e-5
			kept := values[at]
			values[at] = kept + h
			up := n.loss(text, next, sequence)
			values[at] = kept - h
			down := n.loss(text, next, sequence)
			values[at] = kept
			want, got := (up-down)/(2*h), float64(gradients[i].values[at])
			if math.Abs(got-want) > 1e-4*largest+1e-7 {
				t.Errorf("%s[%d]: gradient %v, want %v", gradients[i].name, at, got, want)
			}
		}
	}
}
