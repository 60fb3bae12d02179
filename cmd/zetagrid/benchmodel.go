package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	devicebench "github.com/zetagrid/zetagrid/cuda/bench"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/bench"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// benchModelCmd is zetagrid bench model.
type benchModelCmd struct {
	Model  string `placeholder:"MODEL" help:"Model folder. Default: one of about a billion random 2-bit weights, made in a temporary folder and removed after."`
	DModel int    `name:"d-model" default:"2048" placeholder:"N" help:"Of the model that is made. Default 2048."`
	DFF    int    `name:"d-ff" default:"8192" placeholder:"N" help:"Of the model that is made. Default 8192."`
	Layers int    `default:"20" placeholder:"N" help:"Of the model that is made. Default 20."`
	Bytes  int    `default:"8" placeholder:"N" help:"Bytes generated in a round. Default 8."`
	Rounds int    `default:"31" placeholder:"N" help:"Rounds of read, generate, read; at least 15. Default 31."`
	JSON   bool   `name:"json" help:"Print one JSON document."`
	deviceFlags
}

func (*benchModelCmd) Help() string {
	return "One process, one prompt: how many bytes a second a model generates, beside how\n" +
		"often the memory it lies in can be read, and how much memory it takes.\n\n" +
		examples(
			example{"zetagrid bench model", "a billion 2-bit weights; some 20 seconds and 260 MB of disk"},
			example{"zetagrid bench model --model ./model --rounds 101 --json", "a model of yours"},
		)
}

// Validate is called by kong after parsing.
func (c *benchModelCmd) Validate() error {
	if c.Rounds < bench.LeastRounds || c.Rounds > bench.MostRounds {
		return fmt.Errorf("--rounds %d is not in %d to %d", c.Rounds, bench.LeastRounds, bench.MostRounds)
	}
	if c.Bytes < 1 || c.Bytes > 1<<12 {
		return fmt.Errorf("--bytes %d is not in 1 to 4096", c.Bytes)
	}
	return nil
}

// modelBenchJSON is the output of zetagrid bench model --json.
type modelBenchJSON struct {
	Model          string       `json:"model"`            // Model CID
	Weights        int64        `json:"weights"`          // of the matrices
	PackedBytes    int64        `json:"packed_bytes"`     // they take, without scales
	StateBytes     int64        `json:"state_bytes"`      // of the one sequence
	BytesPerSecond float64      `json:"bytes_per_second"` // generated; median
	Figure         bench.Figure `json:"figure"`           // packed bytes used a second, beside a read
	PeakBytes      int64        `json:"peak_bytes"`       // resident, most so far; before any memory for measuring was mapped
	AllowedBytes   int64        `json:"allowed_bytes"`    // packed, state and modelSlack
}

// What is asked of a model end to end.
const (
	modelSlack = 200_000_000 // bytes of memory besides packed weights and state
	modelLeast = 0.75        // of the rate at which memory gives the packed weights
)

func (c *benchModelCmd) Run(ctx context.Context, s *streams) (err error) {
	model := c.Model
	if model == "" {
		folder, err := os.MkdirTemp("", "zetagrid-bench-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		model = filepath.Join(folder, "model")
		if err := c.make(ctx, s, model); err != nil {
			return err
		}
	}
	result, err := c.measure(ctx, s, modelFolder(model))
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(result)
	}
	f := result.Figure
	read := fmt.Sprintf("%.3f of %.2f GB/s", f.OfCeiling, f.Ceiling)
	if f.Goal.Least > 0 {
		read += fmt.Sprintf(" (asked %.2f)", f.Goal.Least)
	}
	s.printTable(nil, []table.Row{
		{"model", result.Model},
		{"weights", fmt.Sprintf("%d in %s MB, state %s MB", result.Weights, megabytes(result.PackedBytes), megabytes(result.StateBytes))},
		{"generates", fmt.Sprintf("%.1f bytes/s, which read %.2f GB/s of weights", result.BytesPerSecond, f.Value)},
		{"of the read", read},
		{"peak memory", fmt.Sprintf("%s MB (asked %s)", megabytes(result.PeakBytes), megabytes(result.AllowedBytes))},
	})
	return nil
}

// make makes the model that is measured by default.
func (c *benchModelCmd) make(ctx context.Context, s *streams, folder string) error {
	config := seededConfig()
	config.Weights, config.DModel, config.DFF, config.Layers = tcn.WeightsQ2, c.DModel, c.DFF, c.Layers
	report := modelProgress(s)
	defer report.end()
	_, err := modelfile.Init(ctx, folder, config, 1, report.update)
	return err
}

// measure decodes on a grid of one: the way of every prompt.
func (c *benchModelCmd) measure(ctx context.Context, s *streams, folder string) (result modelBenchJSON, err error) {
	in, err := modelfile.Inspect(folder)
	if err != nil {
		return result, err
	}
	local, err := startLocal(ctx, s, folder, "", c.deviceFlags)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, local.Close()) }()
	result = modelBenchJSON{Model: in.Model, Weights: in.Parameters.Matrices, StateBytes: in.StateBytes}
	result.PackedBytes = 4 * result.Weights
	if in.Config.Weights == tcn.WeightsQ2 {
		result.PackedBytes = result.Weights / 4
	}
	result.AllowedBytes = result.PackedBytes + result.StateBytes + modelSlack
	if _, err := generateTimed(ctx, local, 2*c.Bytes); err != nil { // the weights are touched for the first time
		return result, err
	}
	result.PeakBytes = peakResidentBytes()

	ceiling, err := c.ceiling(s, result.PackedBytes)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, ceiling.Close()) }()
	work := func() (time.Duration, error) { return generateTimed(ctx, local, c.Bytes) }
	result.Figure, err = ceiling.Beside(ctx, "model", c.Rounds, int64(c.Bytes)*result.PackedBytes, work)
	result.Figure.Kernels = local.kernels
	if c.Device.isProcessor() {
		result.Figure.Goal = bench.Goal{Least: modelLeast}
	}
	result.BytesPerSecond = result.Figure.Value * 1e9 / float64(result.PackedBytes)
	return result, err
}

// ceiling is a read of the memory that the weights lie in, packed bytes of them: of
// several devices, which a prompt has take turns, the first.
func (c *benchModelCmd) ceiling(s *streams, packed int64) (memoryRead, error) {
	if c.Device.isProcessor() {
		return processorMemory{bench.NewLab()}, nil
	}
	first := c.Device.devices[0]
	if first.kind == kindCPU {
		s.note("the ceiling is a read of the processor's memory, not of the other devices'")
		return processorMemory{bench.NewLab()}, nil
	}
	if len(c.Device.devices) > 1 {
		s.note("the ceiling is a read of the memory of %s", first)
	}
	opened, err := openDevice(first)
	if err != nil {
		return nil, err
	}
	m, err := devicebench.OpenMemory(opened, packed)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return m, nil
}

// memoryRead is a read of memory that work is measured beside.
type memoryRead interface {
	Beside(ctx context.Context, name string, rounds int, bytes int64, work func() (time.Duration, error)) (bench.Figure, error)
	Close() error
}

// processorMemory is the memory of this machine.
type processorMemory struct{ *bench.Lab }

func (m processorMemory) Beside(ctx context.Context, name string, rounds int, bytes int64, work func() (time.Duration, error)) (bench.Figure, error) {
	return m.BesideRead(ctx, name, rounds, bytes, work)
}

// generateTimed generates n bytes after a first one, whose lap opens the session,
// and returns how long they took.
func generateTimed(ctx context.Context, from source, n int) (time.Duration, error) {
	answer, err := from.Generate(ctx, session.Request{Prompt: []byte("?"), MaxBytes: n + 1, LogProbs: -1})
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Close() }() // it has ended, or its error is known
	if _, err := answer.Next(); err != nil {
		return 0, unlessEOF(err)
	}
	began := time.Now()
	for range n {
		if _, err := answer.Next(); err != nil {
			return 0, unlessEOF(err)
		}
	}
	took := time.Since(began)
	if _, err := answer.Next(); err != io.EOF {
		return 0, fmt.Errorf("after %d bytes: %w", n+1, err)
	}
	return took, nil
}
