package main

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/cuda/bench"
	kernelbench "github.com/zetagrid/zetagrid/tcn/bench"
)

// Headers of the tables of bench device.
var (
	deviceHeader = table.Row{"figure", "shape", "value", "ceiling", "of ceiling", "asked, aim", ""}
	stepHeader   = table.Row{"step", "kernel", "blocks", "launches", "µs", "share"}
)

// printDevice prints what was found, and what was not.
func printDevice(s *streams, r bench.Result) {
	s.printTable(nil, []table.Row{{"device", benchedDevice(r.Device)}})
	s.printTable(deviceHeader, deviceRows(r))
	if len(r.Kernels) > 0 {
		s.printTable(stepHeader, stepRows(r))
	}
}

// deviceMarkdown writes the same as Markdown.
func deviceMarkdown(w io.Writer, r bench.Result) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // into memory
	markdown := func(header table.Row, rows []table.Row) {
		t := table.NewWriter()
		t.AppendHeader(header)
		t.AppendRows(rows)
		line("%s\n\n", t.RenderMarkdown())
	}
	line("Device: %s\n\n", benchedDevice(r.Device))
	markdown(deviceHeader, deviceRows(r))
	if len(r.Kernels) > 0 {
		markdown(stepHeader, stepRows(r))
	}
}

// benchedDevice is what a device says of itself.
func benchedDevice(d bench.Device) string {
	if d.Name == "" {
		return "none was opened"
	}
	return fmt.Sprintf("%s, %.1f GB, compute capability %s, %d multiprocessors, driver %s",
		d.Name, float64(d.Memory)/1e9, d.Compute, d.Multiprocessors, d.Driver)
}

// deviceRows are the figures, and those that were not measured.
func deviceRows(r bench.Result) []table.Row {
	var rows []table.Row
	for _, f := range r.Figures {
		rows = append(rows, deviceRow(f))
	}
	for _, m := range r.NotMeasured {
		rows = append(rows, table.Row{m.Figure, m.Shape, "not measured", "", "", "", m.Reason})
	}
	return rows
}

// deviceRow shows a figure and whether it is what was asked.
func deviceRow(f kernelbench.Figure) table.Row {
	ceiling, ratio, asked, judged := "", "", "", ""
	if f.Beside != "" {
		ceiling = fmt.Sprintf("%.4g (%s)", f.Ceiling, f.Beside)
		ratio = fmt.Sprintf("%.3f", f.OfCeiling)
	}
	switch g := f.Goal; {
	case g.Least > 0 && g.Most > 0:
		asked = fmt.Sprintf("≥ %g and value ≤ %.4g", g.Least, g.Most)
	case g.Most > 0:
		asked = fmt.Sprintf("value ≤ %g", g.Most)
	case g.Aim > 0:
		asked = fmt.Sprintf("≥ %g, %g", g.Least, g.Aim)
	case g.Least > 0:
		asked = fmt.Sprintf("≥ %g", g.Least)
	}
	if asked != "" {
		judged = "missed"
		if f.Reached() {
			judged = "reached"
		}
	}
	return table.Row{f.Name, f.Shape, fmt.Sprintf("%.4g %s", f.Value, f.Unit), ceiling, ratio, asked, judged}
}

// stepRows are where the time of Steps goes.
func stepRows(r bench.Result) []table.Row {
	var rows []table.Row
	for _, k := range r.Kernels {
		rows = append(rows, table.Row{k.Step, k.Kernel, k.Blocks, k.Launches, fmt.Sprintf("%.1f", k.Time), fmt.Sprintf("%.3f", k.Share)})
	}
	return rows
}
