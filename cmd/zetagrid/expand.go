package main

import (
	"context"
	"errors"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// modelExpandCmd is zetagrid model expand.
type modelExpandCmd struct {
	Model  string               `arg:"" optional:"" help:"Model folder to grow. Default: the model in this program."`
	Blocks int                  `required:"" placeholder:"N" help:"Fractal Blocks of the expanded model; more than the seed has."`
	Mode   modelfile.ExpandMode `enum:"replicate,mirror" default:"replicate" help:"How the seed's blocks are laid out again: replicate (abc abc) or mirror (abc cba). Default replicate."`
	Data   string               `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder, for the model in this program. Default: this user's data folder."`
	outFlags
}

func (*modelExpandCmd) Help() string {
	return examples(
		example{"zetagrid model expand ./model --blocks 8 --mode mirror -o grown", "a deeper model of the same tiles, which computes the same bytes until it is trained"},
	)
}

// Validate is called by kong after parsing.
func (c *modelExpandCmd) Validate() error {
	if c.Blocks < 2 {
		return errors.New("--blocks is below 2")
	}
	return nil
}

func (c *modelExpandCmd) Run(ctx context.Context, s *streams) error {
	seed, err := folderOrDefault(s, c.Model, c.Data)
	if err != nil {
		return err
	}
	report := modelProgress(s)
	id, err := modelfile.Expand(ctx, seed, c.Out, modelfile.Expansion{Blocks: c.Blocks, Mode: c.Mode}, report.update)
	report.end()
	if err != nil {
		return err
	}
	return c.report(s, id)
}
