package kernel

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestGolden holds every Set to the golden vectors in testdata/golden, the
// figures of EXACT that every backend must meet. A case names an operation,
// gives its inputs as hexadecimal float32 bits and expects its output; the flag
// -rewrite writes what the normative Set gives (it runs last), after a change of
// the arithmetic's version and no other time.
func TestGolden(t *testing.T) {
	for _, s := range Available() {
		t.Run(s.Name, func(t *testing.T) {
			datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					return writeBits(runGolden(t, s, d))
				})
			})
		})
	}
}

// runGolden computes one case.
func runGolden(t *testing.T, s *Set, d *datadriven.TestData) []float32 {
	in := readRows(t, d)
	out := make([]float32, len(in["x"]))
	switch d.Cmd {
	case "matmul": // x [n, cols], w [rows, cols]
		var n, rows int
		d.ScanArgs(t, "n", &n)
		d.ScanArgs(t, "rows", &rows)
		out = make([]float32, n*rows)
		s.MatMul(out, in["x"], in["w"], n, rows, len(in["x"])/n, 0, rows)
	case "rmsnorm":
		s.RMSNorm(out, in["x"], in["gain"], in["eps"][0])
	case "conv": // x [taps, width], w [taps, width]
		var count int
		d.ScanArgs(t, "taps", &count)
		out = out[:len(in["x"])/count]
		taps := make([][]float32, count)
		for k := range taps {
			taps[k] = in["x"][k*len(out) : (k+1)*len(out)]
		}
		s.Conv(out, taps, in["w"])
	case "gate": // y = SiLU(x) · σ(g)
		s.Gate(out, in["x"], in["g"])
	case "addscaled":
		copy(out, in["x"])
		s.AddScaled(out, in["t"], in["scale"][0])
	case "roundbf16":
		copy(out, in["x"])
		s.RoundBF16(out)
	case "exp", "log", "sigmoid": // the same in every Set
		function := map[string]func(float32) float32{"exp": Exp, "log": Log, "sigmoid": Sigmoid}[d.Cmd]
		for i, v := range in["x"] {
			out[i] = function(v)
		}
	case "sum": // x by the rule for sums
		out = []float32{Sum(in["x"])}
	default:
		d.Fatalf(t, "no operation %q", d.Cmd)
	}
	return out
}

// readRows reads lines of a name and hexadecimal numbers; lines of one name
// continue one another.
func readRows(t *testing.T, d *datadriven.TestData) map[string][]float32 {
	rows := map[string][]float32{}
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		for _, word := range words[1:] {
			bits, err := strconv.ParseUint(word, 16, 32)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			rows[words[0]] = append(rows[words[0]], math.Float32frombits(uint32(bits)))
		}
	}
	return rows
}

// writeBits prints eight numbers a line; what is not finite has no bits to hold
// anyone to.
func writeBits(out []float32) string {
	var b strings.Builder
	for i, v := range out {
		switch {
		case i == 0:
		case i%8 == 0:
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
		if finite(v) {
			fmt.Fprintf(&b, "%08x", math.Float32bits(v))
		} else {
			b.WriteString("not-finite")
		}
	}
	return b.String()
}
