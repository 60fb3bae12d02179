package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkThreeStages compares a grid of three processes, each with a stage of
// 82 MB in f32, to one process with all three: the bytes a second of one prompt,
// asked of either in turn, so that what else the machine does strikes both.
//
//	go test ./cmd/zetagrid -run '^$' -bench ThreeStages -benchtime 10x -v
//
// grid/one is the median over the turns. A turn takes some 4 s on two cores.
func BenchmarkThreeStages(b *testing.B) {
	p := build(b)
	model := p.model(b, "--layers", "24", "--d-model", "512", "--d-ff", "1664")
	flags := append(alone, "--model", model)
	one := p.up(b, append(flags, "--data", b.TempDir())...).ready(b)
	var grid []*process
	for _, blocks := range []string{"0-1", "1-2", "2-3"} {
		grid = append(grid, p.up(b, append(flags, "--data", b.TempDir(), "--blocks", blocks)...).ready(b))
		flags = append(slices.Clip(flags), "--bootstrap", grid[len(grid)-1].Addrs[0])
	}
	covered(b, append(grid, one)...)
	bytesPerSecond(b, one) // the weights are read for the first time
	bytesPerSecond(b, grid[0])

	var ofOne, ofGrid, ratios []float64
	for b.Loop() {
		alone, together := 0.0, 0.0
		if len(ratios)%2 == 0 {
			alone, together = bytesPerSecond(b, one), bytesPerSecond(b, grid[0])
		} else {
			together, alone = bytesPerSecond(b, grid[0]), bytesPerSecond(b, one)
		}
		ofOne, ofGrid, ratios = append(ofOne, alone), append(ofGrid, together), append(ratios, together/alone)
		b.Logf("one %.1f B/s, grid %.1f B/s, ratio %.3f", alone, together, together/alone)
	}
	b.ReportMetric(0, "ns/op") // a turn's length says nothing
	b.ReportMetric(median(ratios), "grid/one")
	b.ReportMetric(median(ofOne), "one-B/s")
	b.ReportMetric(median(ofGrid), "grid-B/s")
	b.ReportMetric(1000/median(ofOne)/float64(len(grid)), "ms/stage")
	b.ReportMetric(one.residentMiB(b), "one-MiB")
	for i, node := range grid {
		b.ReportMetric(node.residentMiB(b), fmt.Sprintf("grid%d-MiB", i))
	}
}

// bytesPerSecond asks for an answer and returns its rate from the first byte on.
func bytesPerSecond(b *testing.B, node *process) float64 {
	b.Helper()
	q := question{prompt: "How fast?", stream: true, bytes: 65}
	var first, last time.Time
	all, err := q.ask(b.Context(), node.API, func(part string) {
		if part == "" {
			return // it only says why the answer ended
		}
		if last = time.Now(); first.IsZero() {
			first = last
		}
	})
	if err != nil || len(all) != q.bytes {
		b.Fatalf("%d bytes, want %d: %v", len(all), q.bytes, err)
	}
	return float64(q.bytes-1) / last.Sub(first).Seconds()
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
