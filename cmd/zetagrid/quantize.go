package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quantize"
)

// quantizeCmd is zetagrid model quantize.
type quantizeCmd struct {
	Model            string   `arg:"" help:"Model folder of float32 weights."`
	Calibration      []string `required:"" sep:"none" placeholder:"FILE" help:"Text like what the model will read: what counts is learned from it. May be given several times. Some hundred kilobytes are enough for widths up to a thousand."`
	HeldOut          []string `sep:"none" placeholder:"FILE" help:"Text to measure the outcome on. Default: none, or the held-out part of the calibration text where it is 800 kB or more, which is then not calibrated on."`
	Method           string   `enum:"ldlq,rtn" default:"ldlq" help:"ldlq: error compensation under the Hessian, then refinement. rtn: round to nearest, for comparison. Default ldlq."`
	Seed             uint64   `default:"1" placeholder:"N" help:"Seed of the rotation's signs. A model trained for 2 bits keeps its codes only under the seed it was trained with. Default 1."`
	Damping          float64  `default:"0.01" placeholder:"X" help:"Fraction of the Hessian's mean diagonal that is added to it. Default 0.01."`
	Sweeps           int      `default:"6" placeholder:"N" help:"Most rounds of refinement. Default 6."`
	RepairRank       int      `default:"0" placeholder:"R" help:"Give the largest errors to the model's Soul, at this rank. Default 0: leave the Soul alone."`
	SoulWeights      string   `enum:"f32,q8" default:"f32" help:"How the Soul is written, the model's own and the repair: float32 numbers, or q8: 8-bit rows, a quarter of the bytes from rank 16 on. Default f32."`
	CalibrationBytes int      `default:"0" placeholder:"N" help:"Use only the first N bytes of the calibration text. Default 0: all."`
	Plot             string   `placeholder:"FILE" help:"Also draw the errors by layer as SVG into a file."`
	Out              string   `short:"o" required:"" placeholder:"DIR" help:"Model folder to make; absent or empty."`
	JSON             bool     `name:"json" help:"Print the report as one JSON document."`
	deviceFlags
}

func (*quantizeCmd) Help() string {
	return examples(
		example{"zetagrid model quantize ./model --calibration text.txt -o model-q2", "2 bits a weight; what it cost, by matrix"},
		example{"zetagrid model quantize ./model --calibration text.txt --held-out other.txt --plot errors.svg -o model-q2", "also bits a byte and KL against float32"},
		example{"zetagrid model quantize ./model --calibration text.txt --repair-rank 16 -o model-q2", "with a Soul that makes up for some of the error"},
		example{"zetagrid model quantize ./model --calibration text.txt --repair-rank 16 --soul-weights q8 -o model-q2", "the same, the Soul in 8-bit rows"},
	) + "\nStopped or killed, the same command goes on from the last finished block."
}

// Validate is called by kong after parsing.
func (c *quantizeCmd) Validate() error {
	switch {
	case c.CalibrationBytes < 0:
		return fmt.Errorf("--calibration-bytes %d is negative", c.CalibrationBytes)
	case !(c.Damping >= 0 && c.Damping <= 1):
		return fmt.Errorf("--damping %v is not from 0 to 1", c.Damping)
	case c.Sweeps < 0 || c.Sweeps > quantize.MaxSweeps:
		return fmt.Errorf("--sweeps %d is not from 0 to %d", c.Sweeps, quantize.MaxSweeps)
	case c.RepairRank < 0 || c.RepairRank > tcn.MaxRank:
		return fmt.Errorf("--repair-rank %d is not from 0 to %d", c.RepairRank, tcn.MaxRank)
	}
	return checkPlot(c.Plot)
}

func (c *quantizeCmd) Run(ctx context.Context, s *streams) error {
	if err := c.onlyProcessor("model quantize"); err != nil {
		return err
	}
	calibration, heldOut, err := c.texts()
	if err != nil {
		return err
	}
	compute, closeCompute, err := c.compute()
	if err != nil {
		return err
	}
	defer closeCompute()
	// Most of the heap is rows and matrices, which are cheap to go over and must
	// not be matched by as much garbage.
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	bar := modelProgress(s)
	report, err := quantize.Quantize(ctx, quantize.Options{
		Model: modelFolder(c.Model), Out: c.Out, Calibration: calibration, HeldOut: heldOut,
		Method: quantize.Method(c.Method), Seed: c.Seed, Damping: c.Damping, Sweeps: c.Sweeps,
		RepairRank: c.RepairRank, SoulWeights: modelfile.SoulForm(c.SoulWeights), RowBytes: quantize.DefaultRowBytes, Compute: compute, Progress: bar.update,
	})
	bar.end()
	if errors.Is(err, context.Canceled) {
		return &remedy{err, "stopped; the same command goes on from the last finished block"}
	}
	if err != nil {
		return err
	}
	if c.Plot != "" {
		if err := plotQuantization(c.Plot, report); err != nil {
			return err
		}
	}
	if c.JSON {
		return s.printJSON(report)
	}
	return printQuantization(s, report)
}

// gcPercent is how much garbage there may be beside what is in use.
const gcPercent = 20

// texts reads the calibration and the held-out text.
func (c *quantizeCmd) texts() (calibration, heldOut []byte, err error) {
	if calibration, err = readAll(c.Calibration); err != nil {
		return nil, nil, err
	}
	if heldOut, err = readAll(c.HeldOut); err != nil {
		return nil, nil, err
	}
	if len(c.HeldOut) > 0 && len(heldOut) == 0 {
		return nil, nil, errors.New("the held-out text is empty")
	}
	if len(c.HeldOut) == 0 {
		calibration, heldOut = eval.Split(calibration)
	}
	if c.CalibrationBytes > 0 {
		calibration = calibration[:min(len(calibration), c.CalibrationBytes)]
	}
	return calibration, heldOut, nil
}

// readAll joins files.
func readAll(names []string) ([]byte, error) {
	var all bytes.Buffer
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all.Write(text)
	}
	return all.Bytes(), nil
}

// percent is a share, for people.
func percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

// printQuantization prints what a quantization cost.
func printQuantization(s *streams, r quantize.Report) error {
	var rows []table.Row
	for _, m := range r.Matrices {
		row := table.Row{m.Layer, m.Matrix, fmt.Sprintf("%d × %d", m.Rows, m.Cols), percent(m.WeightError), percent(m.OutputError), percent(m.NearestWeight), percent(m.NearestOutput)}
		if m.RepairedError != nil {
			row = append(row, percent(*m.RepairedError))
		}
		rows = append(rows, row)
	}
	header := table.Row{"layer", "matrix", "size", "weight error", "output error", "rtn weight", "rtn output"}
	if r.RepairRank > 0 {
		header = append(header, "repaired")
	}
	s.printTable(header, rows)
	if _, err := fmt.Fprintln(s.out); err != nil {
		return err
	}
	if q := r.Quality; q != nil {
		rows = nil
		for _, v := range q.Variants {
			rows = append(rows, table.Row{v.Name, fmt.Sprintf("%.4f ± %.4f", v.BitsPerByte, v.StandardErr), fmt.Sprintf("%+.2f %%", 100*v.OverF32), fmt.Sprintf("%.5f", v.KL), percent(v.Agreeing)})
		}
		s.printTable(table.Row{"held-out text", "bits a byte", "over f32", "KL to f32, bits", "same byte"}, rows)
		if _, err := fmt.Fprintln(s.out); err != nil {
			return err
		}
	}
	facts := []table.Row{
		{"model", r.Model},
		{"bits a weight", fmt.Sprintf("%.4f", r.BitsPerWeight)},
	}
	if r.SoulBits > 0 {
		facts = append(facts, table.Row{"of the Soul, beside", fmt.Sprintf("%.4f, %s", r.SoulBits, r.SoulWeights)})
	}
	if r.Quality != nil {
		facts = append(facts, table.Row{"KL over that of rtn", fmt.Sprintf("%.3f", r.Quality.KLRatio)})
	}
	if r.ResumedBlocks > 0 {
		facts = append(facts, table.Row{"blocks of an earlier run", r.ResumedBlocks})
	}
	s.printTable(nil, facts)
	return nil
}
