package main

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// gigabytes is bytes as GB, of 10⁹ bytes, or as MB what is less than a tenth.
func gigabytes(bytes int64, digits int) string {
	if bytes > 0 && bytes < 100_000_000 {
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.*f GB", digits, float64(bytes)/1e9)
}

// span is low and high in GB.
func span(s plan.Span, digits int) string {
	if s.High < 100_000_000 {
		return fmt.Sprintf("%.1f to %.1f MB", float64(s.Low)/1e6, float64(s.High)/1e6)
	}
	return fmt.Sprintf("%.*f to %s", digits, float64(s.Low)/1e9, gigabytes(s.High, digits))
}

// gpusJSON is the output of zetagrid plan --list-gpus --json.
type gpusJSON struct {
	GPUs []plan.GPU `json:"gpus"`
}

func printGPUs(s *streams, kinds plan.Table, asJSON bool) error {
	if asJSON {
		return s.printJSON(gpusJSON{kinds.Kinds()})
	}
	var rows []table.Row
	for _, g := range kinds.Kinds() {
		rows = append(rows, table.Row{g.Name, gigabytes(g.Memory, 0), fmt.Sprintf("%.0f GB/s", g.Bandwidth/1e9), fmt.Sprintf("%.0f TOPS", g.Int8/1e12)})
	}
	s.printTable(table.Row{"GPU", "memory", "bandwidth", "int8, dense"}, rows)
	return nil
}

// printUpper prints the scaling report's tables.
func printUpper(s *streams, b plan.Bound) {
	rows := []table.Row{
		{"raw weights", gigabytes(b.Raw, 1)},
		{"effective weights", span(b.Effective, 0)},
		{"KV-equivalent state", fmt.Sprintf("%d KB a byte of context", plan.KVBytesPerToken/1000)},
	}
	for _, state := range b.States {
		rows = append(rows, table.Row{"  at " + humanize.Comma(state.Context), gigabytes(state.Bytes, 2)})
	}
	if b.State != b.States[len(b.States)-1] {
		rows = append(rows, table.Row{"  at " + humanize.Comma(b.State.Context), gigabytes(b.State.Bytes, 2)})
	}
	rows = append(rows,
		table.Row{"overhead", span(b.Overhead, 0)},
		table.Row{"total with " + humanize.Comma(b.State.Context), span(b.Total, 1)},
		table.Row{"one " + b.GPU.Name, oneGPU(b.FitsOne, b.Left, 1)},
	)
	if !b.FitsOne {
		count := "none is enough: overhead and one session's state fill a GPU"
		if n := b.Count; n.Baseline > 0 {
			count = fmt.Sprintf("at least %d, baseline %d, production %d to %d", n.Least, n.Baseline, n.ProductionLow, n.ProductionHigh)
		}
		rows = append(rows, table.Row{"GPUs", count})
	}
	s.printTable(table.Row{"upper bound (scaling report)", fmt.Sprintf("%s parameters, %d bits", humanize.Comma(b.Parameters), b.Bits)}, rows)
}

// printNeed prints what this implementation takes.
func printNeed(s *streams, n plan.Need, c tcn.Config) {
	_, _ = fmt.Fprintln(s.out) // as printTable
	exact := func(bytes int64) string { return humanize.Comma(bytes) + " bytes" }
	rows := []table.Row{
		{"model", fmt.Sprintf("%s parameters; d_model %d, d_ff %d, %d layers in %d Fractal Blocks", humanize.Comma(n.Parameters), c.DModel, c.DFF, c.Layers, n.Blocks)},
		{"tiles", fmt.Sprintf("%s, %.4f bits a weight all in", exact(n.TileBytes), n.BitsPerWeight)},
		{"small parameters, ends", exact(n.SmallBytes) + ", " + exact(n.EndsBytes)},
		{"files", fmt.Sprintf("%s (%s)", exact(n.FileBytes), gigabytes(n.FileBytes, 1))},
		{"state of a session", exact(n.StateBytes) + ", however long the text"},
	}
	if n.Souls > 0 {
		rows = append(rows, table.Row{"a Soul of rank " + fmt.Sprint(n.SoulRank), exact(n.SoulBytes) + ", " + string(n.SoulForm)})
	}
	rows = append(rows,
		table.Row{"workspace", exact(n.Workspace)},
		table.Row{fmt.Sprintf("total: %d sessions, %d Souls", n.Sessions, n.Souls), gigabytes(n.Total, 1)},
		table.Row{"one " + n.GPU.Name, oneGPU(n.FitsOne, n.Left, 1)},
	)
	s.printTable(table.Row{"this implementation", ""}, rows)
}

// oneGPU says whether all fits one GPU.
func oneGPU(fits bool, left int64, digits int) string {
	if fits {
		return "holds it, " + gigabytes(left, digits) + " left"
	}
	return "does not hold it, " + gigabytes(-left, digits) + " missing"
}

// printLayout prints a rack: its facts, its GPUs, and what their deaths cost.
func printLayout(s *streams, l plan.Layout) {
	rows := []table.Row{
		{"blocks", fmt.Sprintf("%d, the rarest held %d times", l.Blocks, l.Copies)},
		{"chains", fmt.Sprint(len(l.Chains))},
		{"one session", plan.RateText(l.Single)},
		{fmt.Sprintf("%d sessions", l.Sessions), plan.RateText(l.Batched)},
		{"room", fmt.Sprintf("for %d sessions (%s), or %d Souls of rank %d", l.SessionsRoom, plan.RateText(l.RoomRate), l.SoulsRoom, l.SoulRank)},
		{"a hop", humanize.Comma(l.HopBytes) + " bytes for each byte of text"},
		{"", "rates are predicted from data sheets, not measured"},
	}
	s.printTable(table.Row{"rack", fmt.Sprintf("%d GPUs", len(l.GPUs))}, rows)
	_, _ = fmt.Fprintln(s.out) // as printTable
	rows = nil
	for i, g := range l.GPUs {
		chain, stage := "spare", ""
		if g.Chain >= 0 {
			chain, stage = fmt.Sprint(g.Chain+1), blocksText(g.Stage)
		}
		loss := l.Losses[i]
		dies := fmt.Sprintf("nothing, %s", plan.RateText(loss.Batched))
		if len(loss.Lost) > 0 {
			dies = "blocks " + blocksText(loss.Lost...) + ", no answers" + reload(loss)
		}
		rows = append(rows, table.Row{
			i, g.GPU.Name, chain, stage, blocksText(g.Blocks...), gigabytes(g.Weights, 1), l.Souls, gigabytes(g.Free, 1), dies, blocksText(loss.Alone...),
		})
	}
	s.printTable(table.Row{"", "GPU", "chain", "computes", "holds", "weights", "Souls", "free", "its death loses", "without replicas"}, rows)
}

// reload says how answers come back after a loss.
func reload(loss plan.Loss) string {
	if loss.Reload {
		return " until others loaded " + gigabytes(loss.ReloadBytes, 1)
	}
	return " until a GPU takes its place"
}

// blocksText writes ranges as --blocks takes them.
func blocksText(list ...plan.Blocks) string {
	var parts []string
	for _, r := range list {
		parts = append(parts, fmt.Sprintf("%d-%d", r.Lo, r.Hi))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ",")
}
