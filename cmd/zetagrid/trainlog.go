package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/zetagrid/zetagrid/tcn/train"
)

// trainLine is one line of the log of zetagrid model train.
type trainLine struct {
	Step           int     `json:"step"`
	BitsPerByte    float64 `json:"bits_per_byte"`                    // mean of the line's steps
	HeldOut        float64 `json:"held_out_bits_per_byte,omitempty"` // on the first 64 KiB held out
	Rate           float64 `json:"learning_rate"`
	GradientNorm   float64 `json:"gradient_norm"`
	Seconds        float64 `json:"seconds"` // since the training began
	StepSeconds    float64 `json:"step_seconds"`
	BytesPerSecond float64 `json:"bytes_per_second"`
	ProductGFLOPS  float64 `json:"product_gflops"` // of all processors, while in matrix products
	PeakGFLOPS     float64 `json:"peak_gflops"`    // measured at the start
	ProductShare   float64 `json:"product_share"`  // of all processors' time
	ResidentBytes  int64   `json:"resident_bytes"`
}

func (l trainLine) String() string {
	text := fmt.Sprintf("step %d: %.4f bits per byte", l.Step, l.BitsPerByte)
	if l.HeldOut > 0 {
		text += fmt.Sprintf(", held out %.4f", l.HeldOut)
	}
	text += fmt.Sprintf("; %.0f ms a step, %.0f bytes/s", 1000*l.StepSeconds, l.BytesPerSecond)
	if l.PeakGFLOPS > 0 {
		text += fmt.Sprintf("; products %.0f of %.0f GFLOP/s (%.0f %%), %.0f %% of the time",
			l.ProductGFLOPS, l.PeakGFLOPS, 100*l.ProductGFLOPS/l.PeakGFLOPS, 100*l.ProductShare)
	}
	return text + fmt.Sprintf("; %s MB", megabytes(l.ResidentBytes))
}

// trainWindow is the steps since the last line of the log.
type trainWindow struct {
	t               *trainSession
	began           time.Time
	products, nanos int64
	steps, bytes    int
	bits            float64
}

func (t *trainSession) newWindow() *trainWindow {
	w := &trainWindow{t: t, began: time.Now()}
	w.products, w.nanos = t.trainer.Work()
	return w
}

func (w *trainWindow) add(s train.Step) {
	w.steps++
	w.bytes += s.Bytes
	w.bits += s.BitsPerByte
}

// line sums the window up; s is its last step.
func (w *trainWindow) line(s train.Step) trainLine {
	seconds := time.Since(w.began).Seconds()
	l := trainLine{
		Step: s.Number, BitsPerByte: w.bits / float64(w.steps), Rate: s.Rate, GradientNorm: s.GradientNorm,
		Seconds: w.t.before + time.Since(w.t.began).Seconds(), StepSeconds: seconds / float64(w.steps),
		BytesPerSecond: float64(w.bytes) / seconds, PeakGFLOPS: 2 * w.t.peak / 1e9, ResidentBytes: residentBytes(),
	}
	products, nanos := w.t.trainer.Work()
	if nanos > w.nanos {
		width := float64(w.t.pool.Width())
		l.ProductGFLOPS = 2 * float64(products-w.products) / float64(nanos-w.nanos) * width
		l.ProductShare = float64(nanos-w.nanos) / 1e9 / seconds / width
	}
	return l
}

// trainLog is the file of JSON lines.
type trainLog struct {
	file  *os.File
	lines []trainLine
}

// openTrainLog opens the log of a training that has taken some steps: lines of
// later ones, which a crash left behind, are dropped.
func openTrainLog(name string, taken int) (*trainLog, error) {
	l := &trainLog{}
	var keep bytes.Buffer
	if old, err := os.ReadFile(name); err == nil && taken > 0 {
		lines := bufio.NewScanner(bytes.NewReader(old))
		for lines.Scan() {
			var line trainLine
			if json.Unmarshal(lines.Bytes(), &line) != nil || line.Step > taken {
				break
			}
			l.lines = append(l.lines, line)
			keep.Write(append(lines.Bytes(), '\n'))
		}
	}
	if err := os.WriteFile(name, keep.Bytes(), 0o644); err != nil {
		return nil, err
	}
	var err error
	l.file, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	return l, err
}

func (l *trainLog) add(line trainLine) error {
	l.lines = append(l.lines, line)
	return json.NewEncoder(l.file).Encode(line)
}

func (l *trainLog) close() error { return l.file.Close() }

// plotTraining draws the loss over the steps into an SVG file.
func plotTraining(name string, lines []trainLine) error {
	var trained, heldOut plotter.XYs
	for _, l := range lines {
		trained = append(trained, plotter.XY{X: float64(l.Step), Y: l.BitsPerByte})
		if l.HeldOut > 0 {
			heldOut = append(heldOut, plotter.XY{X: float64(l.Step), Y: l.HeldOut})
		}
	}
	p := newPlot("Loss", "bits per byte")
	p.X.Label.Text = "step"
	p.Legend.Left = false
	err := plotutil.AddLines(p, "training", trained)
	if len(heldOut) > 0 {
		err = errors.Join(err, plotutil.AddLinePoints(p, "held out", heldOut))
	}
	if err != nil {
		return err
	}
	canvas := vgsvg.New(16*vg.Centimeter, 10*vg.Centimeter)
	p.Draw(draw.New(canvas))
	return writeSVG(name, canvas)
}
