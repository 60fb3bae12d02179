package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zetagrid/zetagrid/cuda/bench"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// benchDeviceCmd is zetagrid bench device.
type benchDeviceCmd struct {
	Device string        `default:"cuda:0" placeholder:"DEVICE" help:"The GPU: cuda:0, cuda:1, … Default cuda:0."`
	Only   []string      `placeholder:"PART,…" help:"What to measure: decode, prefill, rack, model. Default: all."`
	Rounds int           `default:"31" placeholder:"N" help:"Rounds of each figure; at least 15. Default 31."`
	Limit  time.Duration `default:"8m" placeholder:"TIME" help:"What has not been measured by then is listed as not measured. Default 8m."`
	Output string        `placeholder:"DIR" help:"Write figures.json and table.md there too, anew after each figure."`
	JSON   bool          `name:"json" help:"Print one JSON document."`

	DModel int   `name:"d-model" default:"16384" placeholder:"N" help:"Width of the one Fractal Block of decode, prefill and rack. Default 16384, that of a trillion parameters."`
	DFF    int   `name:"d-ff" default:"65536" placeholder:"N" help:"Its inner width. Default 65536."`
	Layers int   `default:"8" placeholder:"N" help:"Its layers. Default 8."`
	Rows   []int `default:"1,8,32" placeholder:"N,…" help:"decode: rows of a Step, each of a sequence of its own; the others are compared with the first. Default 1,8,32."`
	Prompt []int `default:"256,64,512" placeholder:"N,…" help:"prefill: rows of one sequence's prompt. Default 256,64,512."`

	Blocks   int           `default:"39" placeholder:"N" help:"rack: blocks of the model. Default 39."`
	GPUs     string        `name:"gpus" placeholder:"RACK" help:"rack: what the plan predicts for, such as 9xh100-80. Default: nine of this device, if its data sheet is known."`
	Link     string        `default:"100Gb" placeholder:"RATE" help:"rack: link between the GPUs. Default 100Gb."`
	RTT      time.Duration `name:"rtt" default:"50us" placeholder:"TIME" help:"rack: round trip between them. Default 50us."`
	Sessions int           `default:"32" placeholder:"N" help:"rack: sessions at once. Default 32."`
	Hop      time.Duration `default:"0s" placeholder:"TIME" help:"rack: what the software of a hop takes. Default: measured, as bench hops does."`

	Params paramCount `default:"120e9" placeholder:"N" help:"model: number of parameters. Default 120e9."`
	Bytes  int        `default:"131072" placeholder:"N" help:"model: bytes of text that it reads. Default 131072."`
	Souls  int        `default:"8" placeholder:"N" help:"model: Souls that are worn at once. Default 8."`

	open func(n int) (device.Device, error) // nil: the driver's
}

func (*benchDeviceCmd) Help() string {
	return "What a GPU does beside what it can do at best, measured in the same moments. Weights are random.\n" +
		"A GPU with less memory takes smaller shapes.\n\n" + examples(
		example{"zetagrid bench device", "everything; some minutes on a GPU of 80 GB"},
		example{"zetagrid bench device --only decode,prefill --output ./gpu", "some of it, and files"},
		example{"zetagrid bench device --d-model 8192 --d-ff 32768 --params 30e9", "shapes for 24 GB"},
	)
}

// Validate is called by kong after parsing.
func (c *benchDeviceCmd) Validate() error {
	if _, err := gpuNumber(c.Device); err != nil {
		return err
	}
	for _, part := range c.Only {
		if !slices.Contains(bench.Parts(), part) {
			return fmt.Errorf("--only %s: there are %s", part, strings.Join(bench.Parts(), ", "))
		}
	}
	if c.Limit <= 0 || c.Hop < 0 {
		return fmt.Errorf("--limit %v and --hop %v must be positive", c.Limit, c.Hop)
	}
	return nil
}

// gpuNumber is the number of the GPU that a name is of.
func gpuNumber(name string) (int, error) {
	d, err := parseDevice(name)
	if err == nil && d.kind != kindCUDA {
		err = fmt.Errorf("%s is no GPU", d)
	}
	if err != nil {
		return 0, fmt.Errorf("--device: %w", err)
	}
	return d.number, nil
}

func (c *benchDeviceCmd) Run(ctx context.Context, s *streams) error {
	ctx, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	parts := c.Only
	if len(parts) == 0 {
		parts = bench.Parts()
	}
	options, err := c.options(ctx, s, slices.Contains(parts, "rack"))
	if err != nil {
		return err
	}
	bar := progress(s, -1, "")
	result, err := bench.Run(ctx, options, parts, func(next string, soFar bench.Result) {
		bar.Describe(next)
		_ = bar.Add(1) // it draws on a terminal, or nowhere
		if err := c.write(soFar); err != nil {
			s.note("%v", err)
		}
	})
	_ = bar.Finish() // as above
	if errors.Is(err, bench.ErrOptions) {
		return usagef("bench device", "%w", err)
	}
	err = errors.Join(err, c.write(result)) // a device that failed has found something before
	if c.JSON {
		return errors.Join(err, s.printJSON(result))
	}
	printDevice(s, result)
	return err
}

// options is what is asked for. The device is opened for a moment, so that one that
// is not there says so first.
func (c *benchDeviceCmd) options(ctx context.Context, s *streams, rack bool) (bench.Options, error) {
	number, err := gpuNumber(c.Device)
	if err != nil {
		return bench.Options{}, err
	}
	open := c.open
	if open == nil {
		open = driver.Open
	}
	d, err := open(number)
	if err != nil {
		return bench.Options{}, err
	}
	info := d.Info()
	if err := d.Close(); err != nil {
		return bench.Options{}, err
	}
	o := bench.Options{
		Open: func() (device.Device, error) { return open(number) }, Rounds: c.Rounds,
		Decode: c.Rows, Prompt: c.Prompt, Bytes: c.Bytes, Souls: c.Souls,
	}
	if o.Model, err = plan.ConfigOf(int64(c.Params)); err != nil {
		return o, err
	}
	if o.Block, err = plan.Preset("1t"); err != nil {
		return o, err
	}
	o.Block.DModel, o.Block.DFF, o.Block.Layers, o.Block.LayersPerBlock = c.DModel, c.DFF, c.Layers, c.Layers
	if !rack {
		o.Rack = bench.Rack{Blocks: 1, Sessions: 1}
		return o, nil
	}
	o.Rack, err = c.rack(ctx, s, info)
	return o, err
}

// rack is the chain of devices like the one that is measured. Its hops are measured
// here, on the processor.
func (c *benchDeviceCmd) rack(ctx context.Context, s *streams, info device.Info) (bench.Rack, error) {
	r := bench.Rack{Blocks: c.Blocks, Sessions: c.Sessions, Hop: c.Hop}
	bits, err := plan.ParseBits(c.Link)
	if err != nil {
		return r, err
	}
	r.Link = plan.Link{Bits: bits, RTT: c.RTT.Seconds()}
	table := plan.DefaultTable()
	if c.GPUs != "" {
		if r.GPUs, err = table.ParseRack(c.GPUs); err != nil {
			return r, err
		}
	} else if kind, ok := bench.KindOf(table, info); ok {
		const devices = 9
		r.GPUs = slices.Repeat([]plan.GPU{kind}, devices)
	}
	if r.Hop > 0 {
		return r, nil
	}
	hops := benchHopsCmd{Laps: 500}
	measured, err := hops.measure(ctx, s)
	if err != nil {
		s.note("hops: %v", err) // the rack will be listed as not measured
		return r, nil
	}
	r.Hop = time.Duration(measured.HopP50 * float64(time.Microsecond))
	return r, nil
}

// write replaces the files of --output.
func (c *benchDeviceCmd) write(result bench.Result) error {
	if c.Output == "" {
		return nil
	}
	if err := os.MkdirAll(c.Output, 0o755); err != nil {
		return err
	}
	var table, figures strings.Builder
	deviceMarkdown(&table, result)
	if err := (&streams{out: &figures}).printJSON(result); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(c.Output, "table.md"), []byte(table.String()), 0o644),
		os.WriteFile(filepath.Join(c.Output, "figures.json"), []byte(figures.String()), 0o644))
}
