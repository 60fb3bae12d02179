package bench

import (
	"strings"
	"testing"
)

// BenchmarkFigure takes every figure on every instruction level:
//
//	go test ./tcn/bench -run '^$' -bench Figure -benchtime 41x
func BenchmarkFigure(b *testing.B) {
	lab := NewLab()
	defer func() {
		if err := lab.Close(); err != nil {
			b.Error(err)
		}
	}()
	for _, m := range lab.AllFigures() {
		b.Run(m.String(), func(b *testing.B) {
			f, err := m.Run(b.Context(), b.N)
			if err != nil {
				b.Skip(err)
			}
			b.ReportMetric(0, "ns/op") // it counts the ceilings
			unit := strings.ReplaceAll(f.Unit, " ", "-")
			b.ReportMetric(f.Value, unit)
			if f.Ceiling > 0 {
				b.ReportMetric(f.Ceiling, "ceiling-"+unit)
				b.ReportMetric(f.OfCeiling, "of-ceiling")
			}
		})
	}
}
