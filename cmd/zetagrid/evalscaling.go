package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/schollz/progressbar/v3"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
)

// kvBytesPerToken is what a transformer's cache grows by with each token:
// Table 1 of the paper has 0.59, 2.36 and 9.44 GB at 8,192, 32,768 and 131,072
// tokens.
const kvBytesPerToken = 72_000

// A measurement at one position generates scalingWindows windows of
// scalingWindow bytes and takes the median rate, which a pause of the machine
// does not move.
const (
	scalingWindow  = 64
	scalingWindows = 25
)

// scalingBytes is how many bytes a measurement generates: one to end the
// prompt, then the windows.
const scalingBytes = 1 + scalingWindow*scalingWindows

// scalingJSON is the output of zetagrid eval --scaling --json.
type scalingJSON struct {
	Model  string         `json:"model"` // Model CID
	Points []scalingPoint `json:"points"`
}

// scalingPoint is one measurement of scalingJSON.
type scalingPoint struct {
	Position       int     `json:"position"`         // bytes of text before
	BytesPerSecond float64 `json:"bytes_per_second"` // generated one at a time; median of windows
	PromptRate     float64 `json:"prompt_bytes_per_second"`
	ResidentBytes  int64   `json:"resident_bytes"` // of this process
	KVBytes        int64   `json:"kv_bytes"`       // a transformer's cache, Table 1 of the paper
}

// scaling is zetagrid eval --scaling.
func (c *evalCmd) scaling(ctx context.Context, s *streams) error {
	local, err := startLocal(ctx, s, c.Model, c.Data, c.deviceFlags)
	if err != nil {
		return err
	}
	result := scalingJSON{Model: local.ModelCID()}
	result.Points, err = measureScaling(ctx, s, local, c.To)
	if err := errors.Join(err, local.Close()); err != nil {
		return err
	}
	if c.Plot != "" {
		if err := plotScaling(c.Plot, result.Points); err != nil {
			return err
		}
	}
	if c.JSON {
		return s.printJSON(result)
	}
	var rows []table.Row
	for _, p := range result.Points {
		rows = append(rows, table.Row{
			p.Position, fmt.Sprintf("%.0f", p.BytesPerSecond), fmt.Sprintf("%.0f", p.PromptRate),
			megabytes(p.ResidentBytes), megabytes(p.KVBytes),
		})
	}
	s.printTable(table.Row{"position", "bytes/s", "prompt bytes/s", "resident MB", "KV cache MB"}, rows)
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

// scalingPositions are 1, 2 and 5 times the powers of ten, up to and with to.
func scalingPositions(to int) []int {
	var list []int
	for power := 1000; power < to; power *= 10 {
		for _, p := range []int{power, 2 * power, 5 * power} {
			if p < to {
				list = append(list, p)
			}
		}
	}
	return append(list, to)
}

func measureScaling(ctx context.Context, s *streams, from source, to int) ([]scalingPoint, error) {
	positions := scalingPositions(to)
	total := 0
	for _, p := range positions {
		total += p
	}
	bar := progress(s, total, "bytes read")
	defer func() { _ = bar.Finish() }() // it draws on a terminal, or nowhere
	text := make([]byte, to)
	for i := range text {
		text[i] = byte(' ' + tcn.Hash64(1, uint64(i))%95) // printable and never the same twice
	}
	var points []scalingPoint
	for _, p := range positions {
		point, err := measureAt(ctx, from, text[:p])
		if err != nil {
			return nil, fmt.Errorf("position %d: %w", p, err)
		}
		points = append(points, point)
		_ = bar.Add(p) // as above
	}
	return points, nil
}

// measureAt generates after prompt and measures.
func measureAt(ctx context.Context, from source, prompt []byte) (scalingPoint, error) {
	point := scalingPoint{Position: len(prompt), KVBytes: kvBytesPerToken * int64(len(prompt))}
	began := time.Now()
	answer, err := from.Generate(ctx, session.Request{Prompt: prompt, MaxBytes: scalingBytes, LogProbs: -1})
	if err != nil {
		return point, err
	}
	defer func() { _ = answer.Close() }() // it has ended, or its error is known
	if _, err := answer.Next(); err != nil {
		return point, unlessEOF(err)
	}
	point.PromptRate = float64(len(prompt)) / time.Since(began).Seconds()
	rates := make([]float64, scalingWindows)
	for w := range rates {
		began := time.Now()
		for range scalingWindow {
			if _, err := answer.Next(); err != nil {
				return point, unlessEOF(err)
			}
		}
		rates[w] = scalingWindow / time.Since(began).Seconds()
	}
	slices.Sort(rates)
	point.BytesPerSecond = math.Round(rates[scalingWindows/2]*10) / 10
	point.ResidentBytes = residentBytes()
	return point, nil
}

// unlessEOF names what an early end of the answer means here.
func unlessEOF(err error) error {
	if err == io.EOF {
		return &remedy{
			fmt.Errorf("%w: the model's learned positions end here", session.ErrTooLong),
			"use a model without positions, or a smaller --to",
		}
	}
	return err
}

// progress is a bar on standard error; it stays unseen unless that is a
// terminal.
func progress(s *streams, total int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(s.err),
		progressbar.OptionSetVisibility(isTerminal(s.err)),
		progressbar.OptionSetDescription(what),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond), // as often as an eye can tell
	)
}
