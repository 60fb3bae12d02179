package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// planCmd is zetagrid plan.
type planCmd struct {
	Params   paramCount    `placeholder:"N" help:"Number of parameters: 120e9, 120B, 1T. A config of about that size stands for the model."`
	Model    string        `placeholder:"MODEL" help:"Model folder, a shape of model init --shape-only, or a Model CID in the data folder. Default: the one in this program."`
	Bits     int           `default:"2" placeholder:"N" help:"Bits of a weight, for --params. Default 2."`
	Context  int64         `default:"131072" placeholder:"N" help:"Bytes of context of the scaling report's tables. Default 131072."`
	GPU      string        `name:"gpu" default:"h100-80" placeholder:"KIND" help:"Kind of GPU that the tables are about. Default h100-80."`
	GPUs     string        `name:"gpus" placeholder:"RACK" help:"Lay the blocks over these GPUs: 9xh100-80, or 4xh100-80,2xrtx4090-24."`
	Link     string        `default:"100Gb" placeholder:"RATE" help:"Link between the GPUs: 100Gb, 1Gb, 20Mb. Default 100Gb."`
	RTT      time.Duration `name:"rtt" default:"50us" placeholder:"TIME" help:"Round trip between them. Default 50us, a rack's."`
	Replicas int           `default:"0" placeholder:"N" help:"Copies of every block to aim for. Default: as many chains as there is room for, or second copies."`
	SVG      string        `name:"svg" placeholder:"FILE" help:"Draw the rack into an SVG file."`
	Sessions int           `default:"8" placeholder:"N" help:"Sessions to hold at once. Default 8."`
	Souls    int           `default:"1" placeholder:"N" help:"Souls to hold ready. Default 1."`
	SoulRank int           `default:"0" placeholder:"N" help:"Rank of those Souls. Default: that of the model's own Soul, or 128."`
	SoulForm string        `name:"soul-weights" enum:"f32,q8" default:"f32" help:"How those Souls are stored: f32, or q8: 8-bit rows. Default f32."`
	GPUTable string        `name:"gpu-table" placeholder:"FILE" help:"JSON file with more kinds of GPU, or other numbers for those that there are."`
	ListGPUs bool          `name:"list-gpus" help:"List the kinds of GPU."`
	Data     string        `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder, for a Model CID. Default: this user's data folder."`
	JSON     bool          `name:"json" help:"Print one JSON document."`
}

func (*planCmd) Help() string {
	return "The scaling report's tables are an upper bound; beside them stands what this implementation takes. " +
		"Rates are predicted from data sheets, not measured.\n\n" + examples(
		example{"zetagrid plan --params 120e9 --bits 2 --context 131072 --gpu h100-80", "what 120 billion parameters take, and whether one GPU holds them"},
		example{"zetagrid plan --params 1T --gpus 9xh100-80 --svg rack.svg", "a trillion parameters over nine GPUs, and a picture"},
		example{"zetagrid plan --model ./model --gpus 4xh100-80,2xrtx4090-24 --link 1Gb --rtt 20ms", "a model over GPUs in several places"},
		example{"zetagrid plan", "what the default model takes"},
		example{"zetagrid plan --list-gpus", "the kinds of GPU and their numbers"},
	)
}

// Validate is called by kong after parsing.
func (c *planCmd) Validate() error {
	switch {
	case c.ListGPUs:
		return nil
	case c.Params != 0 && c.Model != "":
		return errors.New("--params and --model exclude each other")
	case c.GPUs == "" && c.SVG != "":
		return errors.New("--svg draws a rack: name one with --gpus")
	case c.GPUs != "" && c.Bits != 2 && c.Bits != 32:
		return errors.New("--gpus lays out weights of 2 or 32 bits, as this implementation stores them")
	case c.Params == 0 && c.Bits != 2:
		return errors.New("--bits is for --params: a model says itself how its weights are stored")
	}
	return nil
}

// soulRankDefault is the rank of the published Soul.
const soulRankDefault = 128

// planJSON is the output of zetagrid plan --json.
type planJSON struct {
	Upper  plan.Bound   `json:"upper"`            // the scaling report's bound
	Need   *plan.Need   `json:"need,omitempty"`   // absent for bits that this implementation does not store
	Layout *plan.Layout `json:"layout,omitempty"` // with --gpus
}

func (c *planCmd) Run(ctx context.Context, s *streams) error {
	table, err := c.table()
	if err != nil {
		return err
	}
	if c.ListGPUs {
		return printGPUs(s, table, c.JSON)
	}
	model, rank, err := c.model(ctx, s)
	if err != nil {
		return err
	}
	demand := plan.Demand{Sessions: c.Sessions, Souls: c.Souls, SoulRank: rank, SoulForm: modelfile.SoulForm(c.SoulForm)}
	gpu, err := table.GPU(c.GPU)
	if err != nil {
		return err
	}
	parameters, bits := int64(c.Params), c.Bits
	if c.Params == 0 {
		parameters, bits = model.Config.Parameters().Total, weightBits(model.Config)
	}
	var result planJSON
	if result.Upper, err = plan.Upper(parameters, bits, c.Context, gpu); err != nil {
		return err
	}
	if bits == weightBits(model.Config) {
		need, err := plan.Needs(model, demand, gpu)
		if err != nil {
			return err
		}
		result.Need = &need
	}
	if c.GPUs != "" {
		if result.Layout, err = c.lay(table, model, demand); err != nil {
			return err
		}
	}
	if c.SVG != "" {
		title := fmt.Sprintf("%s parameters on %s", paramCount(parameters), strings.ReplaceAll(c.GPUs, ",", ", "))
		if err := os.WriteFile(c.SVG, result.Layout.SVG(title), 0o644); err != nil {
			return err
		}
	}
	if c.JSON {
		return s.printJSON(result)
	}
	if result.Layout != nil {
		printLayout(s, *result.Layout)
		return nil
	}
	printUpper(s, result.Upper)
	if result.Need != nil {
		printNeed(s, *result.Need, model.Config)
	}
	return nil
}

// lay lays a model over the rack.
func (c *planCmd) lay(table plan.Table, model plan.Model, demand plan.Demand) (*plan.Layout, error) {
	gpus, err := table.ParseRack(c.GPUs)
	if err != nil {
		return nil, err
	}
	bits, err := plan.ParseBits(c.Link)
	if err != nil {
		return nil, err
	}
	demand.Replicas = c.Replicas
	layout, err := plan.Lay(model, demand, gpus, plan.Link{Bits: bits, RTT: c.RTT.Seconds()})
	if errors.Is(err, plan.ErrFit) {
		return nil, &remedy{err, wouldFit(table, model, demand, gpus)}
	}
	return &layout, err
}

// wouldFit says what holds a model that a rack does not.
func wouldFit(table plan.Table, model plan.Model, demand plan.Demand, gpus []plan.GPU) string {
	kinds := slices.Compact(slices.Clone(gpus))
	for _, kind := range table.Kinds() {
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	var fits []string
	for _, kind := range kinds {
		// What cannot be counted is not named.
		if n, err := plan.Least(model, demand, kind); err == nil && n > 0 && len(fits) < 4 {
			fits = append(fits, fmt.Sprintf("%dx%s", n, kind.Name))
		}
	}
	less := fmt.Sprintf("ask for less than --sessions %d --souls %d", demand.Sessions, demand.Souls)
	if len(fits) == 0 {
		return less
	}
	return strings.Join(fits, ", ") + " would hold it once; or " + less
}

// weightBits is the nominal bits of a weight of a config.
func weightBits(c tcn.Config) int {
	if c.Weights == tcn.WeightsQ2 {
		return 2
	}
	return 32
}

// table is the kinds of GPU, with those of --gpu-table.
func (c *planCmd) table() (plan.Table, error) {
	table := plan.DefaultTable()
	if c.GPUTable == "" {
		return table, nil
	}
	info, err := os.Stat(c.GPUTable)
	if err != nil {
		return table, err
	}
	if info.Size() > plan.TableBytes || !info.Mode().IsRegular() {
		return table, fmt.Errorf("%w: %s is no file of at most %d bytes", plan.ErrTable, c.GPUTable, plan.TableBytes)
	}
	text, err := os.ReadFile(c.GPUTable)
	if err != nil {
		return table, err
	}
	table, err = table.Extend(text)
	if err != nil {
		return table, fmt.Errorf("%s: %w", c.GPUTable, err)
	}
	return table, nil
}

// model is what to plan for, and the rank of its Souls.
func (c *planCmd) model(ctx context.Context, s *streams) (m plan.Model, rank int, err error) {
	own := 0
	switch {
	case c.Params != 0:
		m.Config, err = plan.ConfigOf(int64(c.Params))
		if c.Bits == 32 {
			m.Config.Weights = ""
		}
	default:
		m, own, err = c.named(ctx, s)
	}
	switch {
	case err != nil || c.Souls == 0:
		return m, 0, err
	case c.SoulRank != 0:
		return m, c.SoulRank, nil
	case own != 0:
		return m, own, nil
	}
	return m, soulRankDefault, nil
}

// named is the model that --model names, or the default one, and its Soul's rank; 0: it has none.
func (c *planCmd) named(ctx context.Context, s *streams) (plan.Model, int, error) {
	if id, err := cid.Decode(c.Model); err == nil {
		return c.stored(ctx, id)
	}
	dir, err := folderOrDefault(s, c.Model, c.Data)
	if err != nil {
		return plan.Model{}, 0, err
	}
	folder, err := modelfile.OpenFolder(dir)
	if errors.Is(err, modelfile.ErrShapeOnly) {
		shape, _, err := modelfile.OpenShape(dir)
		return plan.Model{Config: shape.Config}, 0, err
	}
	if err != nil {
		return plan.Model{}, 0, fmt.Errorf("model %s: %w", dir, err)
	}
	model, _ := folder.Model()
	genome, _ := folder.Genome()
	rank := 0
	if soul, _, ok := folder.Soul(); ok {
		rank = soul.Rank
	}
	return asPlanned(model, genome), rank, nil
}

// stored is the model of a Model CID that the data folder keeps.
func (c *planCmd) stored(ctx context.Context, id cid.Cid) (m plan.Model, rank int, err error) {
	folder, err := dataFolder(c.Data)
	if err != nil {
		return plan.Model{}, 0, err
	}
	store, err := content.Open(filepath.Join(folder, "content"), nil)
	if err != nil {
		return plan.Model{}, 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	data, err := store.Manifest(ctx, id)
	if err != nil {
		return plan.Model{}, 0, fmt.Errorf("model %s: %w", id, err)
	}
	model, err := modelfile.DecodeModel(data)
	if err != nil {
		return plan.Model{}, 0, fmt.Errorf("model %s: %w", id, err)
	}
	if data, err = store.Manifest(ctx, model.Genome); err != nil {
		return plan.Model{}, 0, fmt.Errorf("genome of model %s: %w", id, err)
	}
	genome, err := modelfile.DecodeGenome(data)
	if err == nil {
		err = model.Fits(genome, model.Genome)
	}
	if err == nil && model.Soul != nil {
		rank, err = soulRank(ctx, store, *model.Soul)
	}
	return asPlanned(model, genome), rank, err
}

// soulRank is the rank of a stored Soul; 0: it is not here.
func soulRank(ctx context.Context, store *content.Store, id cid.Cid) (int, error) {
	data, err := store.Manifest(ctx, id)
	if errors.Is(err, content.ErrAbsent) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("soul %s: %w", id, err)
	}
	soul, err := modelfile.DecodeSoul(data)
	return soul.Rank, err
}

// asPlanned is what a model's manifests say for planning.
func asPlanned(model modelfile.Model, genome modelfile.Genome) plan.Model {
	m := plan.Model{Config: genome.Config}
	for _, tile := range genome.Tiles {
		m.Tiles = append(m.Tiles, tile.String())
	}
	for _, small := range model.Small {
		m.Small = append(m.Small, small.String())
	}
	return m
}

// paramCount is a number of parameters written as people do: 120e9, 120B, 1.5T.
type paramCount int64

// UnmarshalText reads a number. Errors: not a whole number of parameters, or
// outside what can be planned for.
func (p *paramCount) UnmarshalText(text []byte) error {
	number, unit := strings.ToLower(string(text)), 1.0
	for suffix, times := range map[string]float64{"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12} {
		if cut, found := strings.CutSuffix(number, suffix); found {
			number, unit = cut, times
			break
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	value = math.Round(value * unit)
	if err != nil || !(value >= plan.MinParameters && value <= plan.MaxParameters) {
		return fmt.Errorf("%q is no number of parameters such as 120e9, 120B or 1T, from %.0e to %.0e", text, float64(plan.MinParameters), float64(plan.MaxParameters))
	}
	*p = paramCount(value)
	return nil
}

// String is p in words: "120.8 billion".
func (p paramCount) String() string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, " trillion"}, {1e9, " billion"}, {1e6, " million"}} {
		if float64(p) >= unit.size {
			return strconv.FormatFloat(math.Round(float64(p)/unit.size*10)/10, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatInt(int64(p), 10)
}
