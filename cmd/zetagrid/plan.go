package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// planCmd is zetagrid plan.
type planCmd struct {
	Params   paramCount `placeholder:"N" help:"Number of parameters: 120e9, 120B, 1T. A config of about that size stands for the model."`
	Model    string     `placeholder:"MODEL" help:"Model folder, a shape of model init --shape-only, or a Model CID in the data folder."`
	Bits     int        `default:"2" placeholder:"N" help:"Bits of a weight, for --params. Default 2."`
	Context  int64      `default:"131072" placeholder:"N" help:"Bytes of context of the scaling report's tables. Default 131072."`
	GPU      string     `name:"gpu" default:"h100-80" placeholder:"KIND" help:"Kind of GPU that the tables are about. Default h100-80."`
	Sessions int        `default:"8" placeholder:"N" help:"Sessions to hold at once. Default 8."`
	Souls    int        `default:"1" placeholder:"N" help:"Souls to hold ready. Default 1."`
	SoulRank int        `default:"0" placeholder:"N" help:"Rank of those Souls. Default: that of the model's own Soul, or 128."`
	GPUTable string     `name:"gpu-table" placeholder:"FILE" help:"JSON file with more kinds of GPU, or other numbers for those that there are."`
	ListGPUs bool       `name:"list-gpus" help:"List the kinds of GPU."`
	Data     string     `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder, for a Model CID. Default: this user's data folder."`
	JSON     bool       `name:"json" help:"Print one JSON document."`
}

func (*planCmd) Help() string {
	return "The scaling report's tables are an upper bound; beside them stands what this implementation takes. " +
		"Rates are predicted from data sheets, not measured.\n\n" + examples(
		example{"zetagrid plan --params 120e9 --bits 2 --context 131072 --gpu h100-80", "what 120 billion parameters take, and whether one GPU holds them"},
		example{"zetagrid plan --list-gpus", "the kinds of GPU and their numbers"},
	)
}

// Validate is called by kong after parsing.
func (c *planCmd) Validate() error {
	switch {
	case c.ListGPUs:
		return nil
	case c.Params == 0 && c.Model == "":
		return errors.New("say what to plan for: --params 120e9 or --model MODEL")
	case c.Params != 0 && c.Model != "":
		return errors.New("--params and --model exclude each other")
	case c.Model != "" && c.Bits != 2:
		return errors.New("--bits is for --params: a model says itself how its weights are stored")
	}
	return nil
}

// soulRankDefault is the rank of the published Soul.
const soulRankDefault = 128

// planJSON is the output of zetagrid plan --json.
type planJSON struct {
	Upper plan.Bound `json:"upper"`          // the scaling report's bound
	Need  *plan.Need `json:"need,omitempty"` // absent for bits that this implementation does not store
}

func (c *planCmd) Run(ctx context.Context, s *streams) error {
	table, err := c.table()
	if err != nil {
		return err
	}
	if c.ListGPUs {
		return printGPUs(s, table, c.JSON)
	}
	model, rank, err := c.model(ctx)
	if err != nil {
		return err
	}
	demand := plan.Demand{Sessions: c.Sessions, Souls: c.Souls, SoulRank: rank}
	gpu, err := table.GPU(c.GPU)
	if err != nil {
		return err
	}
	parameters, bits := int64(c.Params), c.Bits
	if c.Model != "" {
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
	if c.JSON {
		return s.printJSON(result)
	}
	printUpper(s, result.Upper)
	if result.Need != nil {
		printNeed(s, *result.Need, model.Config)
	}
	return nil
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
func (c *planCmd) model(ctx context.Context) (m plan.Model, rank int, err error) {
	own := 0
	switch {
	case c.Params != 0:
		m.Config, err = plan.ConfigOf(int64(c.Params))
		if c.Bits == 32 {
			m.Config.Weights = ""
		}
	default:
		m, own, err = c.named(ctx)
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

// named is the model that --model names, and its Soul's rank; 0: it has none.
func (c *planCmd) named(ctx context.Context) (plan.Model, int, error) {
	if id, err := cid.Decode(c.Model); err == nil {
		return c.stored(ctx, id)
	}
	dir := modelFolder(c.Model)
	folder, err := modelfile.OpenFolder(dir)
	if errors.Is(err, modelfile.ErrShapeOnly) {
		shape, _, err := modelfile.OpenShape(dir)
		return plan.Model{Config: shape.Config}, 0, err
	}
	if err != nil {
		return plan.Model{}, 0, fmt.Errorf("model %s: %w", c.Model, err)
	}
	genome, _ := folder.Genome()
	rank := 0
	if soul, _, ok := folder.Soul(); ok {
		rank = soul.Rank
	}
	return ofGenome(genome), rank, nil
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
	return ofGenome(genome), 0, err
}

func ofGenome(g modelfile.Genome) plan.Model {
	m := plan.Model{Config: g.Config}
	for _, tile := range g.Tiles {
		m.Tiles = append(m.Tiles, tile.String())
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
