package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/session"
)

// BenchmarkThreeStages compares a grid of three processes, each with a stage of
// 164 MB in f32, to one process with all three: the bytes a second of one prompt,
// asked of either in turn, so that what else the machine does strikes both.
//
//	go test ./cmd/zetagrid -run '^$' -bench ThreeStages -benchtime 20x -v
//
// grid/one is the median over the turns; a stage's time and what a lap spends
// outside the stages are medians too. A turn takes some 5 s on two cores.
func BenchmarkThreeStages(b *testing.B) {
	p := installed(b)
	model := p.model(b, "--layers", "24", "--d-model", "1024", "--d-ff", "1664")
	flags := append(alone, "--model", model)
	one := p.up(b, append(flags, "--data", b.TempDir())...).ready(b)
	var grid []*process
	for _, blocks := range []string{"0-1", "1-2", "2-3"} {
		grid = append(grid, p.up(b, append(flags, "--data", b.TempDir(), "--blocks", blocks)...).ready(b))
		flags = append(slices.Clip(flags), "--bootstrap", grid[len(grid)-1].Addrs[0])
	}
	covered(b, append(grid, one)...)
	measure(b, one) // the weights are read for the first time
	measure(b, grid[0])

	var ofOne, ofGrid speeds
	var ratios []float64
	for b.Loop() {
		if len(ratios)%2 == 0 {
			ofOne.add(measure(b, one))
			ofGrid.add(measure(b, grid[0]))
		} else {
			ofGrid.add(measure(b, grid[0]))
			ofOne.add(measure(b, one))
		}
		n := len(ratios)
		ratios = append(ratios, ofGrid.rate[n]/ofOne.rate[n])
		b.Logf("one %s, grid %s, ratio %.3f", ofOne.line(n), ofGrid.line(n), ratios[n])
	}
	b.ReportMetric(0, "ns/op") // a turn's length says nothing
	b.ReportMetric(median(ratios), "grid/one")
	for name, s := range map[string]speeds{"one": ofOne, "grid": ofGrid} {
		b.ReportMetric(median(s.rate), name+"-B/s")
		b.ReportMetric(median(s.compute)/3, name+"-ms/stage")
		b.ReportMetric(median(s.rest), name+"-ms/lap-rest")
	}
	b.ReportMetric(one.residentMiB(b), "one-MiB")
	for i, node := range grid {
		b.ReportMetric(node.residentMiB(b), fmt.Sprintf("grid%d-MiB", i))
	}
}

// speeds are measurements of one kind of node.
type speeds struct {
	rate    []float64 // bytes a second
	compute []float64 // milliseconds of a lap in all stages
	rest    []float64 // milliseconds of a lap outside them
}

func (s *speeds) add(rate, compute, rest float64) {
	s.rate, s.compute, s.rest = append(s.rate, rate), append(s.compute, compute), append(s.rest, rest)
}

// line shows measurement n.
func (s *speeds) line(n int) string {
	return fmt.Sprintf("%.1f B/s (lap: stages %.1f ms, rest %.1f ms)", s.rate[n], s.compute[n], s.rest[n])
}

// measure asks for an answer. The rate is that from the first byte on; the parts
// of a lap, in milliseconds, are means.
func measure(b *testing.B, node *process) (rate, compute, rest float64) {
	b.Helper()
	const count = 65
	client := api.Client{Base: node.API}
	answer, err := client.Complete(b.Context(), session.Request{Prompt: []byte("?"), MaxBytes: count, LogProbs: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Close() //nolint:errcheck // it has ended, or its error is known
	var first time.Time
	for i := range count {
		if _, err := answer.Next(); err != nil {
			b.Fatalf("byte %d of %d: %v", i, count, err)
		}
		if i == 0 {
			first = time.Now()
		}
	}
	rate = (count - 1) / time.Since(first).Seconds()
	if _, err := answer.Next(); err != io.EOF {
		b.Fatalf("after %d bytes: %v", count, err)
	}
	usage := answer.Usage()
	perLap := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(usage.Laps) }
	return rate, perLap(usage.Compute), perLap(usage.Wire + usage.Queue)
}

// median is the middle of numbers, of which there must be one.
func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// residentMiB is the memory of a process, mapped weights included; 0 where the
// system does not tell.
func (q *process) residentMiB(tb testing.TB) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", q.command.Process.Pid))
	if err != nil {
		return 0
	}
	found := regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		return 0
	}
	kib, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kib / 1024
}
