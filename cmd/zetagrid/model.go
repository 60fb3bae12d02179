package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
	"github.com/ipfs/go-cid"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/schollz/progressbar/v3"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/importer"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// modelCmd groups what works on model folders.
type modelCmd struct {
	Import    modelImportCmd    `cmd:"" help:"Make a model folder of a model's own files."`
	Init      modelInitCmd      `cmd:"" help:"Make a model folder of random weights."`
	Train     modelTrainCmd     `cmd:"" help:"Train a small model from text."`
	Quantize  quantizeCmd       `cmd:"" help:"Make a model folder of 2-bit weights of one of float32 weights."`
	Inspect   modelInspectCmd   `cmd:"" help:"Show what a model folder holds."`
	Expand    modelExpandCmd    `cmd:"" help:"Grow a model by blocks of the same tiles."`
	Stabilize modelStabilizeCmd `cmd:"" help:"Train the small parameters of an expanded model."`
	Verify    modelVerifyCmd    `cmd:"" help:"Rehash a model folder and name the first bad file."`
}

// modelImportCmd groups the importers.
type modelImportCmd struct {
	Release     importReleaseCmd     `cmd:"" help:"Import a release: Genome (.npy), checkpoint (.pt), config.json."`
	Safetensors importSafetensorsCmd `cmd:"" help:"Import weights in one .safetensors file, with a config.json."`
}

// outFlags say where a new model goes and how its CID is reported.
type outFlags struct {
	Out  string `short:"o" required:"" placeholder:"DIR" help:"Model folder to make; absent or empty."`
	JSON bool   `name:"json" help:"Print {\"cid\": MODEL CID}."`
}

// cidJSON is the output of the --json commands that make a model.
type cidJSON struct {
	CID string `json:"cid"`
}

// report prints the CID of the model that was made.
func (f outFlags) report(s *streams, c cid.Cid) error {
	if f.JSON {
		return s.printJSON(cidJSON{c.String()})
	}
	_, err := fmt.Fprintln(s.out, c)
	return err
}

// importReleaseCmd is zetagrid model import release.
type importReleaseCmd struct {
	Genome string `required:"" placeholder:"FILE" help:"The Genome, a flat .npy of any numeric type."`
	Soul   string `required:"" placeholder:"FILE" help:"The checkpoint, a .pt file; it is read, never executed."`
	Config string `required:"" placeholder:"FILE" help:"The config.json."`
	outFlags
}

func (*importReleaseCmd) Help() string {
	return examples(example{"zetagrid model import release --genome genome.npy --soul soul.pt --config config.json -o model", "make the folder model and print its CID"})
}

func (c *importReleaseCmd) Run(ctx context.Context, s *streams) error {
	report := modelProgress(s)
	defer report.end()
	id, err := importer.Release(ctx, importer.ReleaseOptions{
		Genome: c.Genome, Soul: c.Soul, Config: c.Config, Out: c.Out,
		Progress: report.update, Warn: func(text string) { s.note("%s", text) },
	})
	if err != nil {
		return err
	}
	return c.report(s, id)
}

// importSafetensorsCmd is zetagrid model import safetensors.
type importSafetensorsCmd struct {
	Weights string `required:"" placeholder:"FILE" help:"The weights, one .safetensors file."`
	Config  string `required:"" placeholder:"FILE" help:"The config.json."`
	outFlags
}

func (*importSafetensorsCmd) Help() string {
	return examples(example{"zetagrid model import safetensors --weights weights.safetensors --config config.json -o model", "make the folder model and print its CID"})
}

func (c *importSafetensorsCmd) Run(ctx context.Context, s *streams) error {
	report := modelProgress(s)
	defer report.end()
	id, err := importer.Safetensors(ctx, importer.SafetensorsOptions{
		Weights: c.Weights, Config: c.Config, Out: c.Out,
		Progress: report.update, Warn: func(text string) { s.note("%s", text) },
	})
	if err != nil {
		return err
	}
	return c.report(s, id)
}

// modelInspectCmd is zetagrid model inspect.
type modelInspectCmd struct {
	Model string `arg:"" optional:"" help:"Model folder. Default: the model in this program."`
	Data  string `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder, for the model in this program. Default: this user's data folder."`
	JSON  bool   `name:"json" help:"Print one JSON document."`
}

func (*modelInspectCmd) Help() string {
	return examples(example{"zetagrid model inspect ./model", "config, true parameter count, bytes of each block, state, receptive field"})
}

func (c *modelInspectCmd) Run(s *streams) error {
	folder, err := folderOrDefault(s, c.Model, c.Data)
	if err != nil {
		return err
	}
	in, err := modelfile.Inspect(folder)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(in)
	}
	s.printTable(nil, inspectionRows(in))
	if _, err := fmt.Fprintln(s.out); err != nil {
		return err
	}
	var rows []table.Row
	for _, b := range in.Blocks {
		rows = append(rows, table.Row{b.Block, b.Layers, b.TileBytes, b.SmallBytes, b.SoulBytes, b.StateBytes})
	}
	s.printTable(table.Row{"block", "layers", "tile bytes", "small bytes", "soul bytes", "state bytes"}, rows)
	return nil
}

// inspectionRows are the facts about a whole model, each with its name.
func inspectionRows(in modelfile.Inspection) []table.Row {
	config := in.Config
	soul, positions := in.Soul, "none: text is unbounded"
	if soul == "" {
		soul = "none"
	}
	if len(in.Blocks) > 0 && in.Blocks[0].SoulForm != "" {
		soul += ", " + string(in.Blocks[0].SoulForm)
	}
	if config.MaxPositions > 0 {
		positions = fmt.Sprint(config.MaxPositions)
	}
	number := func(n int64) string { return humanize.Comma(n) }
	rows := []table.Row{
		{"model", in.Model},
		{"genome", in.Genome},
		{"default Soul", soul},
		{"cell", config.Cell},
		{"d_model, d_ff", fmt.Sprintf("%d, %d", config.DModel, config.DFF)},
		{"layers", fmt.Sprintf("%d in %d Fractal Blocks of %d", config.Layers, config.Blocks(), config.LayersPerBlock)},
		{"convolution", fmt.Sprintf("%d taps, dilations %v", config.KernelSize, config.Dilations)},
		{"positions", positions},
		{"state, boundary", fmt.Sprintf("%s, %s", config.State, config.Boundary)},
		{"parameters", fmt.Sprintf("%s (%s of them weights of the Genome; the Soul's %s not counted)",
			number(in.Parameters.Total), number(in.Parameters.Matrices+in.Parameters.Conv), number(in.Parameters.Soul))},
		{"files", number(in.FileBytes) + " bytes, of which ends " + number(in.EndsBytes)},
		{"state of a sequence", number(in.StateBytes) + " bytes, however long the text"},
		{"receptive field", number(int64(in.ReceptiveField)) + " bytes of text"},
	}
	if in.ShapeOnly {
		rows[0], rows[1] = table.Row{"shape", in.Model}, table.Row{"weights", "none: shape only, file sizes are what they would be"}
	}
	if len(in.Missing) > 0 {
		rows = append(rows, table.Row{"missing", strings.Join(in.Missing, "\n")})
	}
	return rows
}

// modelVerifyCmd is zetagrid model verify.
type modelVerifyCmd struct {
	Model     string   `arg:"" optional:"" help:"Model folder. Default: the model in this program."`
	Reproduce bool     `help:"Also check the model against its checklist: sizes, the suite decoded again, the held-out figure if the text is given."`
	Text      []string `placeholder:"FILE" sep:"none" help:"With --reproduce: the text whose held-out part was scored. Repeatable."`
	HeldOut   string   `placeholder:"FILE" help:"With --reproduce: the held-out text itself."`
	Data      string   `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder, for the model in this program. Default: this user's data folder."`
	JSON      bool     `name:"json" help:"Print {\"cid\": MODEL CID} when all is well; with --reproduce, the checks too."`
	deviceFlags
}

func (*modelVerifyCmd) Help() string {
	return examples(
		example{"zetagrid model verify ./model", "exit 0 when every file has the content its CID names"},
		example{"zetagrid model verify --reproduce --held-out heldout.txt ./model", "and when the model does what its checklist says"},
	)
}

// Validate is called by kong after parsing.
func (c *modelVerifyCmd) Validate() error {
	if !c.Reproduce && (len(c.Text) > 0 || c.HeldOut != "") {
		return errors.New("--text and --held-out need --reproduce")
	}
	return nil
}

func (c *modelVerifyCmd) Run(ctx context.Context, s *streams) error {
	folder, err := folderOrDefault(s, c.Model, c.Data)
	if err != nil {
		return err
	}
	report := modelProgress(s)
	err = modelfile.Verify(ctx, folder, report.update)
	report.end()
	if err != nil {
		if !errors.Is(err, modelfile.ErrShapeOnly) {
			err = &remedy{err, "copy or import the model again"}
		}
		return err
	}
	opened, err := modelfile.OpenFolder(folder)
	if err != nil {
		return err
	}
	_, id := opened.Model()
	if !c.Reproduce {
		return outFlags{JSON: c.JSON}.report(s, id)
	}
	checks, err := c.reproduce(ctx, s, folder)
	if err != nil && checks == nil {
		return err
	}
	if c.JSON {
		return errors.Join(s.printJSON(reproduceJSON{id.String(), checks}), err)
	}
	printChecks(s, checks)
	return err
}

// floatWeights is what --weights calls float32; a config has no word for it.
const floatWeights = "f32"

// modelInitCmd is zetagrid model init.
type modelInitCmd struct {
	Config         string   `placeholder:"FILE" help:"A config.json that says the sizes; then the size flags must be left out."`
	Preset         string   `placeholder:"NAME" help:"Sizes of a model too large to make here: 120b or 1t. Only --cell applies of the size flags."`
	ShapeOnly      bool     `name:"shape-only" help:"Write the sizes and no weights: enough for plan and inspect."`
	Cell           tcn.Cell `enum:"release,paper" default:"release" help:"Order of operations in a layer: release or paper. Default release."`
	DModel         int      `name:"d-model" default:"64" placeholder:"N" help:"Width of the residual stream. Default 64."`
	DFF            int      `name:"d-ff" default:"128" placeholder:"N" help:"Width of the gate. Default 128."`
	Layers         int      `default:"48" placeholder:"N" help:"Layers. Default 48."`
	LayersPerBlock int      `default:"0" placeholder:"N" help:"Layers of a Fractal Block. Default: one dilation cycle, 8."`
	KernelSize     int      `default:"3" placeholder:"N" help:"Taps of the convolution. Default 3."`
	MaxPositions   int      `default:"0" placeholder:"N" help:"Learned positions. Default 0: none, text is unbounded."`
	Weights        string   `enum:"f32,q2" default:"f32" placeholder:"TYPE" help:"Type of the matrices: f32, or q2 for random 2-bit codes. Default f32."`
	Seed           uint64   `default:"1" placeholder:"N" help:"Seed of the weights. The same seed and sizes give the same CID. Default 1."`
	outFlags
}

func (*modelInitCmd) Help() string {
	return examples(
		example{"zetagrid model init -o model", "a small random model; its text means nothing"},
		example{"zetagrid model init --d-model 256 --d-ff 1024 --layers 8 --seed 7 -o model", "other sizes"},
		example{"zetagrid model init --weights q2 --d-model 2048 --d-ff 8192 --layers 20 -o model", "a billion 2-bit weights, 250 MB"},
		example{"zetagrid model init --config config.json -o model", "the sizes of a config.json"},
		example{"zetagrid model init --preset 1t --shape-only -o rack", "the sizes of a trillion parameters, for zetagrid plan"},
	)
}

// sizeFlags are the flags whose values a config.json brings.
var sizeFlags = []string{"cell", "d-model", "d-ff", "layers", "layers-per-block", "kernel-size", "max-positions"}

// refuseFlags refuses the named flags beside another that makes them mean nothing.
func refuseFlags(k *kong.Context, beside string, names ...string) error {
	for _, step := range k.Path {
		if step.Flag != nil && !step.Resolved && slices.Contains(names, step.Flag.Name) {
			return fmt.Errorf("%s brings the sizes; leave --%s out", beside, step.Flag.Name)
		}
	}
	return nil
}

// Validate is called by kong after parsing.
func (c *modelInitCmd) Validate(k *kong.Context) error {
	switch {
	case c.Config != "":
		return refuseFlags(k, "--config", append(sizeFlags, "weights")...)
	case c.Preset != "":
		return refuseFlags(k, "--preset", append(sizeFlags[1:], "weights")...)
	}
	config, _ := c.config() // of the flags
	return config.WithDefaults().Validate()
}

func (c *modelInitCmd) Run(ctx context.Context, s *streams) error {
	if c.Preset != "" && c.Config != "" {
		return usagef("model init", "--preset and --config exclude each other")
	}
	if c.Preset != "" && !c.ShapeOnly {
		return usagef("model init", "--preset %s would write tens of gigabytes of random weights; add --shape-only for its sizes alone", c.Preset)
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	if c.ShapeOnly {
		id, err := modelfile.InitShape(ctx, c.Out, config)
		if err != nil {
			return err
		}
		return c.report(s, id)
	}
	report := modelProgress(s)
	defer report.end()
	id, err := modelfile.Init(ctx, c.Out, config, c.Seed, report.update)
	if err != nil {
		return err
	}
	return c.report(s, id)
}

// config is what the file or the preset says, or the flags.
func (c *modelInitCmd) config() (tcn.Config, error) {
	if c.Preset != "" {
		config, err := plan.Preset(c.Preset)
		config.Cell = c.Cell
		return config, err
	}
	if c.Config == "" {
		config := seededConfig()
		config.Cell, config.DModel, config.DFF = c.Cell, c.DModel, c.DFF
		config.Layers, config.LayersPerBlock = c.Layers, c.LayersPerBlock
		config.KernelSize, config.MaxPositions = c.KernelSize, c.MaxPositions
		if c.Weights != floatWeights {
			config.Weights = tcn.Weights(c.Weights)
		}
		return config, nil
	}
	text, err := os.ReadFile(c.Config)
	if err != nil {
		return tcn.Config{}, err
	}
	in, err := modelfile.DecodeConfig(text)
	return in.Config, err
}

// modelFolder is the folder a model is named by: itself, or that of a file in it.
func modelFolder(named string) string {
	if info, err := os.Stat(named); err == nil && !info.IsDir() {
		return filepath.Dir(named)
	}
	return named
}

// modelBar shows how far work on a model folder is.
type modelBar struct{ bar *progressbar.ProgressBar }

func modelProgress(s *streams) modelBar { return modelBar{progress(s, -1, "")} }

// update is a modelfile.Progress. A bar that cannot draw is no reason to stop.
func (b modelBar) update(doing string, done, total int64) {
	b.bar.Describe(doing)
	b.bar.ChangeMax64(total)
	_ = b.bar.Set64(done)
}

func (b modelBar) end() { _ = b.bar.Finish() }
