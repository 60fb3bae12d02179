package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/zetagrid/zetagrid/tcn/quantize"
)

// plotScaling draws the rate, and below it the memory beside a transformer's
// cache, over the position, into an SVG file.
func plotScaling(name string, points []scalingPoint) error {
	var rate, resident, cache plotter.XYs
	for _, p := range points {
		x := float64(p.Position)
		rate = append(rate, plotter.XY{X: x, Y: p.BytesPerSecond})
		resident = append(resident, plotter.XY{X: x, Y: float64(p.ResidentBytes) / 1e6})
		cache = append(cache, plotter.XY{X: x, Y: float64(p.KVBytes) / 1e6})
	}
	above := newPlot("Rate", "bytes a second")
	err1 := plotutil.AddLinePoints(above, "zetagrid", rate)
	above.Y.Min = 0
	below := newPlot("Memory", "MB")
	err2 := plotutil.AddLinePoints(below, "zetagrid, whole process", resident, "KV cache of the paper's Table 1", cache)
	below.Y.Min = 0
	if err := errors.Join(err1, err2); err != nil {
		return err
	}

	canvas := vgsvg.New(16*vg.Centimeter, 20*vg.Centimeter)
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadY: vg.Centimeter / 2}
	page := draw.New(canvas)
	above.Draw(tiles.At(page, 0, 0))
	below.Draw(tiles.At(page, 0, 1))
	return writeSVG(name, canvas)
}

// writeSVG writes a picture, whatever the file is called.
func writeSVG(name string, canvas *vgsvg.Canvas) error {
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	return os.WriteFile(name, svg.Bytes(), 0o644)
}

// checkPlot refuses, before the long work that ends in a picture, a name whose
// folder is not there; "" is no picture.
func checkPlot(name string) error {
	if name == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(name)); err != nil {
		return fmt.Errorf("--plot %s: %w", name, err)
	}
	return nil
}

func newPlot(title, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = "position in the text, bytes"
	p.Y.Label.Text = y
	p.Legend.Top = true
	p.Legend.Left = true
	p.Add(plotter.NewGrid())
	return p
}

// plotQuantization draws the relative output errors over the layers into an SVG
// file: W_in above, W_out below, both logarithmic.
func plotQuantization(name string, r quantize.Report) error {
	canvas := vgsvg.New(16*vg.Centimeter, 20*vg.Centimeter)
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadY: vg.Centimeter / 2}
	page := draw.New(canvas)
	for i, matrix := range []string{"w_in", "w_out"} {
		var chosen, nearest, repaired plotter.XYs
		add := func(to *plotter.XYs, layer int, v float64) {
			*to = append(*to, plotter.XY{X: float64(layer), Y: 10 * math.Log10(max(v, leastError))})
		}
		for _, m := range r.Matrices {
			if m.Matrix != matrix {
				continue
			}
			add(&chosen, m.Layer, m.OutputError)
			add(&nearest, m.Layer, m.NearestOutput)
			if m.RepairedError != nil {
				add(&repaired, m.Layer, *m.RepairedError)
			}
		}
		p := newPlot(matrix, "output error, dB")
		p.X.Label.Text = "layer"
		p.Y.Max = max(p.Y.Max, 0) // nothing lies there but the legend
		lines := []any{string(r.Method), chosen, "rtn", nearest}
		if len(repaired) > 0 {
			lines = append(lines, "repaired", repaired)
		}
		if err := plotutil.AddLinePoints(p, lines...); err != nil {
			return err
		}
		p.Draw(tiles.At(page, 0, i))
	}
	return writeSVG(name, canvas)
}

// leastError is what a matrix without any error is drawn with, -100 dB.
const leastError = 1e-10
