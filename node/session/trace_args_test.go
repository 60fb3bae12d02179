package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// What the commands of traces take.

// duration reads "5s".
func duration(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	var text string
	d.ScanArgs(t, key, &text)
	v, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return v
}

// rangesArg reads "(0-2,2-6)".
func rangesArg(t *testing.T, d *datadriven.TestData, key string) []tcn.Range {
	arg, ok := d.Arg(key)
	if !ok {
		return nil
	}
	var ranges []tcn.Range
	for _, text := range arg.Vals {
		var r tcn.Range
		if _, err := fmt.Sscanf(text, "%d-%d", &r.Lo, &r.Hi); err != nil {
			d.Fatalf(t, "%s: %v", text, err)
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// codeArg reads the number of a refusal's code.
func codeArg(t *testing.T, d *datadriven.TestData) wire.Code {
	var code uint32
	d.ScanArgs(t, "code", &code)
	return wire.Code(code)
}

// timingsArg is n timings of queue and compute, or zeroes.
func timingsArg(t *testing.T, d *datadriven.TestData, n int) []wire.Timing {
	timings := make([]wire.Timing, n)
	for i := range timings {
		if d.HasArg("queue") {
			timings[i].QueueMicros = uint32(duration(t, d, "queue") / time.Microsecond)
		}
		if d.HasArg("compute") {
			timings[i].ComputeMicros = uint32(duration(t, d, "compute") / time.Microsecond)
		}
	}
	return timings
}
