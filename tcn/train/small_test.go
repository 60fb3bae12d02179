package train

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestSmallGradientsAreThoseOfAll: training less is not training otherwise.
func TestSmallGradientsAreThoseOfAll(t *testing.T) {
	const sequence = 21
	m, err := NewModel(tinyConfig(), 7)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	wake(m, random, true)
	m.Routing[1] = 0 // a block that was just added
	text, next := randomText(random, 2*sequence), randomText(random, 2*sequence)
	gradients := map[Part]map[string][]float32{}
	for _, part := range []Part{All, Small} {
		e := newEngine(m, testCompute(t))
		e.refresh(All)
		g := m.gradients(part)
		e.forward(text, sequence, true, true)
		e.reserveBackward(part)
		e.lossBackward(next, nil, 1, 0, g, part)
		e.backwardPass(text, g, part, true)
		e.finish(g)
		gradients[part] = map[string][]float32{}
		for _, tensor := range g.tensors(part) {
			gradients[part][tensor.name] = tensor.values
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gradients[Small])) {
		if !slices.Equal(gradients[Small][name], gradients[All][name]) {
			t.Errorf("%s: %v alone, %v with all", name, gradients[Small][name], gradients[All][name])
		}
	}
	if gradients[Small]["routing"][1] == 0 {
		t.Error("a block that is skipped does not learn to be entered")
	}
}

// expanded trains a seed model a little and grows it.
func expanded(t *testing.T, weights tcn.Weights) (seed, grown string) {
	t.Helper()
	c, o := tinyConfig(), tinyOptions()
	c.Layers, c.LayersPerBlock, c.Dilations, c.Weights = 4, 2, []int{1, 2}, weights
	o.Steps, o.Batch, o.Rate = 30, 6, 1e-2
	trainer := tinyTrainer(t, c, o)
	steps(t, trainer, 30)
	dir := t.TempDir()
	seed, grown = filepath.Join(dir, "seed"), filepath.Join(dir, "grown")
	if _, err := Write(context.Background(), seed, trainer.Model(), nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := modelfile.Expand(context.Background(), seed, grown, modelfile.Expansion{Blocks: 4, Mode: modelfile.ExpandReplicate}, nil); err != nil {
		t.Fatal(err)
	}
	return seed, grown
}

// TestStabilizeLowersTheLossAndKeepsTheTiles for both forms of weights.
func TestStabilizeLowersTheLossAndKeepsTheTiles(t *testing.T) {
	for _, weights := range []tcn.Weights{"", tcn.WeightsQ2} {
		t.Run("weights="+string(weights), func(t *testing.T) {
			_, grown := expanded(t, weights)
			folder, err := modelfile.OpenFolder(grown)
			if err != nil {
				t.Fatal(err)
			}
			m, file, err := Load(folder, Small)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := file.Close(); err != nil {
					t.Error(err)
				}
			}()
			o := tinyOptions()
			o.Part, o.Steps, o.Batch, o.Rate = Small, 60, 6, 1e-2
			trainer, err := New(m, nil, tinyCorpus(t), o, testCompute(t))
			if err != nil {
				t.Fatal(err)
			}
			if shared := trainer.engine.layers[0].in == trainer.engine.layers[4].in; !shared {
				t.Error("equal tiles are packed twice")
			}
			before := heldOut(t, trainer)
			steps(t, trainer, o.Steps)
			after := heldOut(t, trainer)
			lower, standardErr, err := eval.Difference(after, before)
			if err != nil || lower < 0.005 {
				t.Errorf("lower by %.4f ± %.4f bits per byte: %v", lower, standardErr, err)
			}
			stable := filepath.Join(t.TempDir(), "stable")
			if _, err := Write(context.Background(), stable, m, nil, nil, nil); err != nil {
				t.Fatal(err)
			}
			written, err := modelfile.OpenFolder(stable)
			if err != nil {
				t.Fatal(err)
			}
			_, was := folder.Genome()
			if _, is := written.Genome(); is != was {
				t.Errorf("Genome %v, want %v", is, was)
			}
		})
	}
}

func heldOut(t *testing.T, trainer *Trainer) eval.Score {
	t.Helper()
	score, err := trainer.HeldOut(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return score
}

// TestExpandedPredictsAsItsSeed: r = 0 leaves the trainer's predictions alone too.
func TestExpandedPredictsAsItsSeed(t *testing.T) {
	seed, grown := expanded(t, "")
	text := tinyCorpus(t).heldOut[:50]
	var want []float32
	for _, dir := range []string{seed, grown} {
		folder, err := modelfile.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		m, file, err := Load(folder, All)
		if err != nil {
			t.Fatal(err)
		}
		trainer, err := New(m, nil, tinyCorpus(t), tinyOptions(), testCompute(t))
		if err != nil {
			t.Fatal(err)
		}
		got, err := trainer.Predict(context.Background(), text)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}
