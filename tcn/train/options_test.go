package train

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

func TestOptionsLimits(t *testing.T) {
	for name, test := range map[string]struct {
		most int
		set  func(o *Options, n int)
	}{
		"steps":      {MaxSteps, func(o *Options, n int) { o.Steps = n }},
		"warm-up":    {MaxSteps, func(o *Options, n int) { o.Warmup = n }},
		"accumulate": {MaxAccumulate, func(o *Options, n int) { o.Accumulate = n }},
		"sequence":   {MaxBatchBytes, func(o *Options, n int) { o.Sequence, o.Batch = n, 1 }},
		"batch":      {MaxBatchBytes / 256, func(o *Options, n int) { o.Sequence, o.Batch = 256, n }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, past := range []int{0, 1} {
				o := DefaultOptions()
				test.set(&o, test.most+past)
				if err := o.Validate(); (err == nil) != (past == 0) || err != nil && !errors.Is(err, ErrOptions) {
					t.Errorf("%d: %v", test.most+past, err)
				}
			}
		})
	}
}

func TestOptionsRefused(t *testing.T) {
	nan := math.NaN()
	for name, set := range map[string]func(o *Options){
		"no steps":     func(o *Options) { o.Steps = 0 },
		"no batch":     func(o *Options) { o.Batch = 0 },
		"no sequence":  func(o *Options) { o.Sequence = 0 },
		"no passes":    func(o *Options) { o.Accumulate = 0 },
		"no rate":      func(o *Options) { o.Rate = 0 },
		"rate":         func(o *Options) { o.Rate = nan },
		"floor":        func(o *Options) { o.Floor = 2 },
		"decay":        func(o *Options) { o.Decay = -1 },
		"beta1":        func(o *Options) { o.Beta1 = 1 },
		"beta2":        func(o *Options) { o.Beta2 = nan },
		"clip":         func(o *Options) { o.Clip = -1 },
		"dropout":      func(o *Options) { o.Dropout = 1 },
		"distillation": func(o *Options) { o.Distill = 1.5 },
		"part":         func(o *Options) { o.Part = 2 },
	} {
		o := DefaultOptions()
		set(&o)
		if err := o.Validate(); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRateRisesAndFalls(t *testing.T) {
	o := Options{Steps: 100, Warmup: 10, Rate: 1, Floor: 0.1}
	for step, want := range map[int]float64{0: 0.1, 9: 1, 10: 1, 55: 0.55, 100: 0.1, 1000: 0.1} {
		if got := o.RateAt(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	compute, corpus := testCompute(t), tinyCorpus(t)
	for name, test := range map[string]struct {
		config  func(c *tcn.Config)
		options func(o *Options)
		teacher bool
		want    error
	}{
		"positions":      {func(c *tcn.Config) { c.MaxPositions = 16 }, nil, false, ErrOptions},
		"no teacher":     {nil, func(o *Options) { o.Distill = 0.5 }, false, ErrOptions},
		"a teacher":      {nil, nil, true, ErrOptions},
		"other teacher":  {func(c *tcn.Config) { c.MaxPositions = 99 }, func(o *Options) { o.Distill = 0.5 }, true, ErrConfig},
		"short text":     {nil, func(o *Options) { o.Sequence = 1 << 16 }, false, ErrCorpus},
		"steps":          {nil, func(o *Options) { o.Steps = 0 }, false, ErrOptions},
		"invalid config": {func(c *tcn.Config) { c.DModel = 0 }, nil, false, tcn.ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			c, o := tinyConfig(), tinyOptions()
			if test.config != nil {
				test.config(&c)
			}
			if test.options != nil {
				test.options(&o)
			}
			m, err := NewModel(c, 1)
			if err == nil {
				var teacher *Model
				if test.teacher {
					if teacher, err = NewModel(tinyConfig(), 2); err != nil {
						t.Fatal(err)
					}
				}
				_, err = New(m, teacher, corpus, o, compute)
			}
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	c := tinyConfig()
	c.Weights = tcn.WeightsQ2
	if _, err := modelfile.Init(context.Background(), filepath.Join(dir, "codes"), c, 1, nil); err != nil {
		t.Fatal(err)
	}
	folder, err := modelfile.OpenFolder(filepath.Join(dir, "codes"))
	if err != nil {
		t.Fatal(err)
	}
	m, file, err := Load(folder, All)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := New(m, nil, tinyCorpus(t), tinyOptions(), testCompute(t)); !errors.Is(err, ErrConfig) {
		t.Errorf("all of 2-bit codes: %v", err)
	}
	if err := m.SetWeights(tcn.WeightsF32); !errors.Is(err, ErrConfig) {
		t.Errorf("2-bit codes as numbers: %v", err)
	}
}

func TestCorpus(t *testing.T) {
	text := []byte(strings.Repeat("a", 10) + strings.Repeat("b", 10) + strings.Repeat("c", 10) + "dddd")
	texts := []Text{{"one", text[:15]}, {"two", text[15:]}}
	c, err := NewCorpus(texts, nil, eval.SplitRule{ChunkBytes: 10, Every: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.train) + "|" + string(c.heldOut); got != "aaaaaaaaaabbbbbbbbbbdddd|cccccccccc" {
		t.Errorf("split %s", got)
	}
	if o := c.Origins(); len(o) != 2 || o[0].Name != "one" || o[1].Bytes != 19 || len(o[0].SHA256) != 64 || o[0].Use != "split" {
		t.Errorf("origins %+v", o)
	}
	for at := range uint64(50) {
		text, next := c.batch(1, at, 2, 6)
		if len(text) != 12 || len(next) != 12 || string(text[1:6]) != string(next[:5]) || string(text[7:]) != string(next[6:11]) {
			t.Fatalf("batch %q, %q", text, next)
		}
	}
	whole, err := NewCorpus(texts, []Text{{"other", []byte("xyz")}}, eval.DefaultSplit)
	if err != nil || whole.TrainBytes() != len(text) || whole.HeldOutBytes() != 3 || whole.Origins()[2].Use != "held-out" {
		t.Errorf("held-out text: %+v, %v", whole, err)
	}
	for name, rule := range map[string]eval.SplitRule{"every": {ChunkBytes: 10, Every: 1}, "chunks": {Every: 2}} {
		if _, err := NewCorpus(texts, nil, rule); !errors.Is(err, ErrCorpus) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewCorpus(nil, nil, eval.DefaultSplit); !errors.Is(err, ErrCorpus) {
		t.Errorf("nothing: %v", err)
	}
}

// TestCheckpointRefused: what is no checkpoint, or not this training's.
func TestCheckpointRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "checkpoint")
	trainer := tinyTrainer(t, tinyConfig(), tinyOptions())
	if err := trainer.Save(file, nil); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
	checkpoint, err := OpenCheckpoint(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := checkpoint.Close(); err != nil {
			t.Error(err)
		}
	}()
	other := tinyOptions()
	other.Rate = 0.5
	if err := checkpoint.Restore(tinyTrainer(t, tinyConfig(), other)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("other options: %v", err)
	}
	c := tinyConfig()
	c.DFF = 24
	if err := checkpoint.Restore(tinyTrainer(t, c, tinyOptions())); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("other sizes: %v", err)
	}
	trainer.corpus.origins[0].SHA256 = "another"
	if err := checkpoint.Restore(trainer); !errors.Is(err, ErrCorpus) {
		t.Errorf("other text: %v", err)
	}
	if err := os.WriteFile(file, []byte("no checkpoint"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(file); err == nil {
		t.Error("a text file was opened as a checkpoint")
	}
}

func TestStateBytes(t *testing.T) {
	trainer := tinyTrainer(t, tinyConfig(), tinyOptions())
	file := filepath.Join(t.TempDir(), "checkpoint")
	save := func(n int) error { return trainer.Save(file, json.RawMessage(`"`+strings.Repeat("x", n)+`"`)) }
	if err := save(0); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := OpenCheckpoint(file)
	if err != nil {
		t.Fatal(err)
	}
	rest := checkpoint.stateShape()[0]
	if err := errors.Join(checkpoint.Close(), save(StateBytes-rest)); err != nil {
		t.Fatal(err)
	}
	if checkpoint, err = OpenCheckpoint(file); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Close(); err != nil {
		t.Fatal(err)
	}
	if err := save(StateBytes - rest + 1); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestDecodeCheckpointRefuses(t *testing.T) {
	good := Checkpoint{Version: checkpointVersion, Config: tinyConfig(), Options: tinyOptions(), Taken: 1}
	for name, change := range map[string]func(c *Checkpoint){
		"version":        func(c *Checkpoint) { c.Version = 2 },
		"config":         func(c *Checkpoint) { c.Config.DFF = 0 },
		"options":        func(c *Checkpoint) { c.Options.Batch = 0 },
		"steps":          func(c *Checkpoint) { c.Taken = c.Options.Steps + 1 },
		"negative steps": func(c *Checkpoint) { c.Taken = -1 },
	} {
		bad := good
		change(&bad)
		text, err := json.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeCheckpoint(text); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := decodeCheckpoint([]byte("{")); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("half: %v", err)
	}
}

// FuzzDecodeCheckpoint: what is decoded is valid, and nothing panics.
func FuzzDecodeCheckpoint(f *testing.F) {
	text, err := json.Marshal(Checkpoint{Version: checkpointVersion, Config: tinyConfig(), Options: tinyOptions(), Taken: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := decodeCheckpoint(text)
		if err != nil {
			if !errors.Is(err, ErrCheckpoint) {
				t.Errorf("error %v", err)
			}
			return
		}
		if err := errors.Join(c.Config.Validate(), c.Options.Validate()); err != nil {
			t.Error(err)
		}
	})
}

// TestRowScaleIsBest: no scale near it rounds a row with less error.
func TestRowScaleIsBest(t *testing.T) {
	row := spread(1, drawIn, 0, 300, 1)
	row[3], row[40] = 4, -5 // spread evenly but for these
	loss := func(step float32) float64 {
		sum := 0.0
		for _, v := range row {
			d := float64(v) - float64(step)*float64(2*int(code(v, step))-3)
			sum += d * d
		}
		return sum
	}
	best := loss(RowScale(row))
	for factor := float32(0.5); factor < 2; factor += 0.05 {
		if l := loss(RowScale(row) * factor); l < best*0.995 {
			t.Errorf("%v times the scale loses %v, the scale %v", factor, l, best)
		}
	}
	if s := RowScale(make([]float32, 8)); s != 0 {
		t.Errorf("scale of zeros is %v", s)
	}
}
