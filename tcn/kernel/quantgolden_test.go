package kernel

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestGoldenQuantized holds every Set to the golden vectors of the quantized
// operations in testdata/quantized, as TestGolden does to the others. Numbers are
// hexadecimal float32 bits, bytes hexadecimal too, int8 numbers and sums decimal.
func TestGoldenQuantized(t *testing.T) {
	everyQuantized(t, func(t *testing.T, s *Set) {
		datadriven.Walk(t, "testdata/quantized", func(t *testing.T, path string) {
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				return runQuantized(t, s, d)
			})
		})
	})
}

func runQuantized(t *testing.T, s *Set, d *datadriven.TestData) string {
	var bytes []byte
	lines := slices.Collect(strings.Lines(d.Input))
	d.Input = ""
	for _, line := range lines {
		text, isBytes := strings.CutPrefix(line, "bytes ")
		if !isBytes {
			d.Input += line
			continue
		}
		more, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		bytes = append(bytes, more...)
	}
	in := readRows(t, d)
	n := 1
	d.MaybeScanArgs(t, "n", &n)
	var rows Int8Rows
	rows.Reset(n, len(in["x"])/n)
	for i := range n {
		s.QuantizeRow(&rows, i, in["x"][i*rows.Cols:(i+1)*rows.Cols])
	}
	switch d.Cmd {
	case "hadamard": // x, with its signs as bytes
		out := make([]float32, len(in["x"]))
		s.Hadamard(out, in["x"], bytes)
		return writeBits(out)
	case "quantizerow":
		var b strings.Builder
		fmt.Fprintf(&b, "scale %08x sum %d\nq", math.Float32bits(rows.Scale[0]), rows.Sum[0])
		for c := range rows.Cols {
			fmt.Fprintf(&b, " %d", rows.At(0, c))
		}
		return b.String()
	case "matmulq2", "matmulq8": // x [n, cols], quantized first; codes as bytes, scale [rows]
		out := make([]float32, n*len(in["scale"]))
		run := map[string]func([]float32, *Int8Rows, []byte, []float32, int, int, int){
			"matmulq2": s.MatMulQ2, "matmulq8": s.MatMulQ8,
		}[d.Cmd]
		run(out, &rows, bytes, in["scale"], len(in["scale"]), 0, len(in["scale"]))
		return writeBits(out)
	}
	d.Fatalf(t, "no operation %q", d.Cmd)
	return ""
}
