package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/train"
)

// corpusFlags say what is learned from and what is held out.
type corpusFlags struct {
	Data    []string `placeholder:"FILE" type:"path" help:"Text to learn from; repeat it for several files, which are joined in their order."`
	HeldOut []string `placeholder:"FILE" type:"path" help:"Text to measure by. Default: the last of every 50 chunks of 16 KiB of the joined --data, which is then not learned from."`
	Every   int      `name:"held-out-every" default:"50" placeholder:"N" help:"Hold out the last of every N chunks instead. Default 50."`

	Licence     string   `placeholder:"TEXT" help:"Licence of the weights, for the manifest."`
	DataLicence []string `placeholder:"TEXT" sep:"none" help:"Licence of each --data and --held-out in turn, for the manifest; repeat it."`
}

// passFlags say how large the passes and steps are.
type passFlags struct {
	Steps      int     `default:"1000" placeholder:"N" help:"Optimizer steps. Default 1000."`
	Minutes    float64 `placeholder:"M" help:"As many steps as this many minutes take, instead of --steps."`
	Batch      int     `default:"8" placeholder:"N" help:"Sequences of one pass. Default 8."`
	Accumulate int     `default:"1" placeholder:"N" help:"Passes of one step. Default 1."`
	Sequence   int     `default:"384" placeholder:"N" help:"Bytes of a sequence. Default 384."`
	LR         float64 `name:"lr" default:"0.003" placeholder:"RATE" help:"Highest learning rate. Default 0.003."`
	Warmup     int     `default:"50" placeholder:"N" help:"Steps in which the learning rate rises; then it falls along a cosine. Default 50."`
	Clip       float64 `default:"1" placeholder:"NORM" help:"Largest norm of a step's gradients; 0 is any. Default 1."`
	Seed       uint64  `default:"1" placeholder:"N" help:"Seed of the first weights and of what is drawn. Default 1."`
}

// options are the passes' with what is the same for every kind of training.
func (f passFlags) options() train.Options {
	o := train.DefaultOptions()
	o.Steps, o.Batch, o.Accumulate, o.Sequence = f.Steps, f.Batch, f.Accumulate, f.Sequence
	o.Rate, o.Warmup, o.Clip, o.Seed = f.LR, f.Warmup, f.Clip, f.Seed
	if f.Minutes > 0 {
		o.Steps = train.MaxSteps // until the first steps have been timed
	}
	return o
}

// trainFlags say what is written while a training runs, and when.
type trainFlags struct {
	LogEvery   int    `default:"10" placeholder:"N" help:"Steps of one line of the log. Default 10."`
	Evaluate   int    `name:"evaluate-every" default:"200" placeholder:"N" help:"Measure on held-out text after every N steps; 0 is only at the end. Default 200."`
	Checkpoint int    `name:"checkpoint-every" default:"200" placeholder:"N" help:"Write OUT.checkpoint after every N steps. Default 200."`
	Log        string `placeholder:"FILE" help:"JSON lines of the loss, the rate and the memory. Default OUT.log.jsonl."`
	Plot       string `placeholder:"FILE" help:"Also draw the loss as SVG into a file."`
}

// modelTrainCmd is zetagrid model train.
type modelTrainCmd struct {
	corpusFlags
	Config         string      `placeholder:"FILE" help:"A config.json that says the sizes; then the size flags are left out."`
	Cell           tcn.Cell    `enum:"release,paper" default:"release" help:"Order of operations in a layer: release or paper. Default release."`
	DModel         int         `name:"d-model" default:"192" placeholder:"N" help:"Width of the residual stream. Default 192."`
	DFF            int         `name:"d-ff" default:"576" placeholder:"N" help:"Width of the gate. Default 576."`
	Layers         int         `default:"16" placeholder:"N" help:"Layers. Default 16."`
	LayersPerBlock int         `default:"0" placeholder:"N" help:"Layers of a Fractal Block. Default: one dilation cycle, 8."`
	KernelSize     int         `default:"3" placeholder:"N" help:"Taps of the convolution. Default 3."`
	MaxPositions   int         `default:"0" placeholder:"N" help:"Learned positions. Default 0: none, text is unbounded."`
	From           string      `placeholder:"MODEL" help:"Begin with the weights of a model folder of float32 weights instead of random ones."`
	Weights        tcn.Weights `enum:"f32,q2" default:"f32" help:"f32, or q2: train the 2-bit weights themselves (quantization-aware). Default f32."`
	Distill        float64     `placeholder:"SHARE" help:"Let the model of --from, as it was, teach: its share of the loss, 0 to 1."`
	passFlags
	Decay   float64 `default:"0.1" placeholder:"N" help:"Weight decay of matrices. Default 0.1."`
	Dropout float64 `placeholder:"RATE" help:"Dropout of the gate's outputs. Default 0."`
	Resume  bool    `help:"Go on from OUT.checkpoint. Everything but --out comes from it."`
	trainFlags
	outFlags
}

func (*modelTrainCmd) Help() string {
	return examples(
		example{"zetagrid model train --data text.txt --minutes 30 -o model", "train the default size on one text for half an hour"},
		example{"zetagrid model train --data a.txt --data b.txt --d-model 256 --d-ff 768 --layers 24 --steps 5000 -o model --plot loss.svg", "other sizes; draw the loss"},
		example{"zetagrid model train --resume -o model", "go on after Ctrl-C or a crash, to the same numbers"},
		example{"zetagrid model train --data text.txt --from model --weights q2 --distill 0.5 --lr 0.001 --steps 1000 -o model-q2", "make a 2-bit model of it by quantization-aware training"},
	)
}

// Validate is called by kong after parsing.
func (c *modelTrainCmd) Validate(k *kong.Context) error {
	switch {
	case !c.Resume && len(c.Data) == 0:
		return errors.New("say what to learn from: --data FILE")
	case c.Distill != 0 && c.From == "" && !c.Resume:
		return errors.New("--distill needs --from MODEL, which teaches")
	case c.From != "" && c.Config != "":
		return errors.New("--from brings its own config; leave --config out")
	}
	if err := errors.Join(c.trainFlags.check(), checkMinutes(c.Minutes)); err != nil || c.Resume {
		return err
	}
	switch {
	case c.Config != "":
		return refuseFlags(k, "--config", sizeFlags...)
	case c.From != "":
		return refuseFlags(k, "--from", sizeFlags...)
	}
	config, _ := c.config() // of the flags
	return config.WithDefaults().Validate()
}

// checkMinutes refuses a time that cannot be; 0 is no time given.
func checkMinutes(m float64) error {
	if !(m >= 0 && m <= maxMinutes) {
		return fmt.Errorf("--minutes %v is not from 0 to %v", m, maxMinutes)
	}
	return nil
}

// maxMinutes is ten years, far from where a time.Duration ends.
const maxMinutes = 10 * 366 * 24 * 60

func (f trainFlags) check() error {
	if f.LogEvery < 1 || f.Evaluate < 0 || f.Checkpoint < 1 {
		return errors.New("--log-every and --checkpoint-every are at least 1, --evaluate-every at least 0")
	}
	return checkPlot(f.Plot)
}

func (c *modelTrainCmd) Run(ctx context.Context, s *streams) error {
	session := &trainSession{out: c.outFlags, flags: c.trainFlags}
	var err error
	if c.Resume {
		err = session.resume(ctx, s)
	} else {
		err = c.begin(ctx, s, session)
	}
	if err != nil {
		return errors.Join(err, session.close())
	}
	_, id, err := session.run(ctx, s)
	if err = errors.Join(err, session.close()); err != nil {
		return err
	}
	return c.report(s, id)
}

// begin readies a training from the beginning.
func (c *modelTrainCmd) begin(ctx context.Context, s *streams, session *trainSession) error {
	if err := session.refuseOverwriting(); err != nil {
		return err
	}
	session.facts = c.facts()
	session.facts.From, session.facts.Distill, session.facts.Minutes = c.From, c.Distill > 0, c.Minutes
	model, err := c.model(ctx, s, session)
	if err != nil {
		return err
	}
	o := c.options()
	o.Decay, o.Dropout, o.Distill = c.Decay, c.Dropout, c.Distill
	return session.start(model, o)
}

// model is what the training begins with.
func (c *modelTrainCmd) model(ctx context.Context, s *streams, session *trainSession) (*train.Model, error) {
	if c.From == "" {
		config, err := c.config()
		if err != nil {
			return nil, err
		}
		return train.NewModel(config.WithDefaults(), c.Seed)
	}
	model, err := session.load(c.From, train.All)
	if err != nil {
		return nil, err
	}
	return model, model.SetWeights(c.Weights)
}

// config is what the file says, or the flags.
func (c *modelTrainCmd) config() (tcn.Config, error) {
	if c.Config != "" {
		in, err := modelfile.ReadConfig(c.Config)
		if err == nil && c.Weights == tcn.WeightsQ2 {
			in.Config.Weights = c.Weights
		}
		return in.Config, err
	}
	config := seededConfig()
	config.Cell, config.DModel, config.DFF = c.Cell, c.DModel, c.DFF
	config.Layers, config.LayersPerBlock = c.Layers, c.LayersPerBlock
	config.KernelSize, config.MaxPositions, config.Weights = c.KernelSize, c.MaxPositions, c.Weights
	return config, nil
}

// corpus reads the texts.
func (f trainFacts) corpus() (*train.Corpus, error) {
	texts, err := readTexts(f.Data)
	if err != nil {
		return nil, err
	}
	heldOut, err := readTexts(f.HeldOut)
	if err != nil {
		return nil, err
	}
	rule := eval.DefaultSplit
	rule.Every = f.Every
	return train.NewCorpus(texts, heldOut, rule)
}

func readTexts(names []string) ([]train.Text, error) {
	var texts []train.Text
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		texts = append(texts, train.Text{Name: name, Data: data})
	}
	return texts, nil
}

// typedCommand is the command as it was typed, quoted where a shell needs it.
func typedCommand() string {
	words := []string{"zetagrid"}
	for _, word := range os.Args[1:] {
		if word == "" || strings.ContainsAny(word, " \t\n\"'\\$&|;<>()*?[]#~`{}!") {
			word = strconv.Quote(word)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// resume readies a training from its checkpoint.
func (t *trainSession) resume(_ context.Context, _ *streams) error {
	checkpoint, err := train.OpenCheckpoint(t.checkpointFile())
	if err != nil {
		return &remedy{err, "resume needs the checkpoint of an earlier zetagrid model train with the same --out"}
	}
	t.closers = append(t.closers, checkpoint)
	if err := json.Unmarshal(checkpoint.Run, &t.facts); err != nil {
		return fmt.Errorf("%s: %w", t.checkpointFile(), err)
	}
	if checkpoint.Options.Part != train.All {
		return fmt.Errorf("%w: it is one of a stabilization", train.ErrCheckpoint)
	}
	model, err := train.NewModel(checkpoint.Config, checkpoint.Options.Seed)
	if err != nil {
		return err
	}
	if err := t.start(model, checkpoint.Options); err != nil {
		return err
	}
	if err := checkpoint.Restore(t.trainer); err != nil {
		return err
	}
	t.before = t.facts.Seconds
	return nil
}
