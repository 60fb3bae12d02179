package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestGolden reads bytes that peers of version 1 have sent and prints what they
// mean. The bytes are the input, so -rewrite cannot move them: a change of the
// layout shows up as another meaning, and needs another version.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return golden(t, d)
		})
	})
}

func golden(t *testing.T, d *datadriven.TestData) string {
	encoded := unhex(t, d)
	switch d.Cmd {
	case "frame":
		var frame Frame
		if err := frame.Read(bytes.NewReader(encoded)); err != nil {
			return sentinel(err)
		}
		reencode(t, encoded)
		return describeFrame(&frame)
	case "open":
		o, err := ParseOpen(encoded)
		if err != nil {
			return sentinel(err)
		}
		if again := o.Append(nil); !bytes.Equal(again, encoded) {
			t.Errorf("%s: encodes to %x", d.Pos, again)
		}
		return describeOpen(&o)
	case "rows":
		return goldenRows(t, d, encoded)
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

// unhex reads hex digits; what is behind a # is for people.
func unhex(t *testing.T, d *datadriven.TestData) []byte {
	var digits strings.Builder
	for line := range strings.Lines(d.Input) {
		code, _, _ := strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(code), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return b
}

// sentinel names the kind of an error; its text may change freely.
func sentinel(err error) string {
	for _, known := range []error{ErrFrame, ErrTooLarge, ErrNotFinite} {
		if errors.Is(err, known) {
			return known.Error() + "\n"
		}
	}
	return fmt.Sprintf("%T\n", err)
}

func describeFrame(f *Frame) string {
	var s strings.Builder
	fmt.Fprintf(&s, "kind %d session %s epoch %d hop %d\n", f.Kind, f.Session, f.Epoch, f.Hop)
	if f.Kind == KindRows {
		fmt.Fprintf(&s, "rows %d position %d done %d want %d timings %d\n", f.Rows, f.Position, f.Done, f.Want, f.Timings)
	}
	if f.Code != 0 {
		fmt.Fprintf(&s, "code %d, %s\n", uint32(f.Code), f.Code)
	}
	fmt.Fprintf(&s, "payload %d: %q\n", f.Payload, f.Body)
	return s.String()
}

func describeOpen(o *Open) string {
	return fmt.Sprintf("model %q soul %q\nblocks %d-%d before %d, chain of %d, window %d, start %d\nprevious %q next %q\n",
		o.Model, o.Soul, o.Lo, o.Hi, o.NextHi, o.Hops, o.Window, o.Start, o.Previous, o.Next)
}

func goldenRows(t *testing.T, d *datadriven.TestData, encoded []byte) string {
	var count, hops int
	d.ScanArgs(t, "numbers", &count)
	d.MaybeScanArgs(t, "timings", &hops)
	number := F32
	if d.HasArg("bf16") {
		number = BF16
	}
	rows, timings := make([]float32, count), make([]Timing, hops)
	if err := ParseRows(encoded, rows, number, timings); err != nil {
		return sentinel(err)
	}
	if again := AppendTimings(AppendRows(nil, rows, number), timings); !bytes.Equal(again, encoded) {
		t.Errorf("%s: encodes to %x", d.Pos, again)
	}
	var s strings.Builder
	fmt.Fprintln(&s, rows)
	for i, timing := range timings {
		fmt.Fprintf(&s, "hop %d waited %d µs, computed %d µs\n", i, timing.QueueMicros, timing.ComputeMicros)
	}
	return s.String()
}
