package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// benchHopsCmd is zetagrid bench hops.
type benchHopsCmd struct {
	Laps int  `default:"500" placeholder:"N" help:"Laps and echoes to measure. Default 500."`
	JSON bool `name:"json" help:"Print one JSON document."`
	deviceFlags
	logFlags
}

func (*benchHopsCmd) Help() string {
	return examples(example{"zetagrid bench hops", "three hops over loopback with rows of 8 KiB"})
}

// Validate is called by kong after parsing.
func (c *benchHopsCmd) Validate() error {
	if c.Laps < 10 || c.Laps > session.GeneratedBytes {
		return fmt.Errorf("--laps %d is not in 10 to %d", c.Laps, session.GeneratedBytes)
	}
	return nil
}

// hopsJSON is the output of zetagrid bench hops --json; times are microseconds.
type hopsJSON struct {
	Hops     int     `json:"hops"`
	RowBytes int     `json:"row_bytes"`
	LapP50   float64 `json:"lap_p50_us"`
	HopP50   float64 `json:"hop_p50_us"` // (lap - compute) / hops
	HopP99   float64 `json:"hop_p99_us"`
	EchoP50  float64 `json:"echo_p50_us"` // a bare QUIC stream: the same bytes there and back
	EchoP99  float64 `json:"echo_p99_us"`
}

// hopsConfig is a model with rows of 8 KiB and next to no work in its blocks.
func hopsConfig() tcn.Config {
	return tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 2048, DFF: 32,
		Layers: demoNodes, LayersPerBlock: 1, KernelSize: 2, Dilations: []int{1}, RMSEps: 1e-6,
	}.WithDefaults()
}

func (c *benchHopsCmd) Run(ctx context.Context, s *streams) error {
	result, err := c.measure(ctx, s)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(result)
	}
	s.printTable(table.Row{"", "p50 µs", "p99 µs"}, []table.Row{
		{fmt.Sprintf("a hop, %d bytes", result.RowBytes), round(result.HopP50), round(result.HopP99)},
		{"a bare QUIC echo", round(result.EchoP50), round(result.EchoP99)},
	})
	return nil
}

// measure makes the model, and measures laps and echoes.
func (c *benchHopsCmd) measure(ctx context.Context, s *streams) (result hopsJSON, err error) {
	folder, err := os.MkdirTemp("", "zetagrid-bench-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	model := filepath.Join(folder, "model")
	if _, err := modelfile.Init(ctx, model, hopsConfig(), 1, nil); err != nil {
		return result, err
	}
	result = hopsJSON{Hops: demoNodes, RowBytes: 4 * hopsConfig().DModel}
	if err := c.laps(ctx, s, model, &result); err != nil {
		return result, err
	}
	echoes, err := quicEchoes(ctx, result.RowBytes, c.Laps)
	if err != nil {
		return result, err
	}
	result.EchoP50, result.EchoP99 = microseconds(echoes, 50), microseconds(echoes, 99)
	return result, nil
}

// laps measures a grid of three hops and a gateway that owns no block.
func (c *benchHopsCmd) laps(ctx context.Context, s *streams, model string, result *hopsJSON) (err error) {
	grid, err := startGrid(ctx, gridOptions{model: model, blocks: demoNodes, gateway: true, device: c.deviceFlags, logger: c.logger(s.err)})
	defer func() { err = errors.Join(err, grid.Close()) }()
	if err != nil {
		return err
	}
	gateway := grid.nodes[len(grid.nodes)-1]
	if err := waitCovered(ctx, gateway); err != nil {
		return err
	}
	answer, err := gateway.Generate(ctx, session.Request{Prompt: []byte("lap"), MaxBytes: c.Laps, LogProbs: -1})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }() // it has ended, or its error is known
	laps, hops, err := timeLaps(answer, c.Laps)
	if err != nil {
		return err
	}
	result.LapP50 = microseconds(laps, 50)
	result.HopP50, result.HopP99 = microseconds(hops, 50), microseconds(hops, 99)
	return nil
}

// timeLaps reads an answer, of which each byte takes one lap. The first is not
// counted: its lap opens the session. hops is what is not computing, for each
// hop.
func timeLaps(answer api.Stream, n int) (laps, hops []time.Duration, err error) {
	if _, err := answer.Next(); err != nil {
		return nil, nil, unlessEOF(err)
	}
	before := answer.Usage()
	for range n - 1 {
		if _, err := answer.Next(); err != nil {
			return nil, nil, unlessEOF(err)
		}
		now := answer.Usage()
		rest := now.Wire + now.Queue - before.Wire - before.Queue
		laps = append(laps, rest+now.Compute-before.Compute)
		hops = append(hops, rest/demoNodes)
		before = now
	}
	return laps, hops, nil
}

// microseconds is a percentile of times.
func microseconds(times []time.Duration, percent int) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return float64(sorted[(len(sorted)-1)*percent/100]) / float64(time.Microsecond)
}

func round(v float64) string { return fmt.Sprintf("%.0f", v) }
