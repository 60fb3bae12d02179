package main

import (
	"io"
	"path/filepath"
	"testing"
)

// BenchmarkModel is zetagrid bench model: a billion 2-bit weights end to end. It
// does not report memory, as a benchmark's process has done other things before.
//
//	go test ./cmd/zetagrid -run '^$' -bench Model -benchtime 31x
func BenchmarkModel(b *testing.B) {
	c := benchModelCmd{DModel: 2048, DFF: 8192, Layers: 20, Bytes: 8, Rounds: b.N, deviceFlags: deviceFlags{}}
	s := &streams{out: io.Discard, err: io.Discard}
	folder := filepath.Join(b.TempDir(), "model")
	if err := c.make(b.Context(), s, folder); err != nil {
		b.Fatal(err)
	}
	found, err := c.measure(b.Context(), s, folder)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op") // it counts the reads
	b.ReportMetric(found.BytesPerSecond, "bytes/s")
	b.ReportMetric(found.Figure.OfCeiling, "of-read")
}
