package wire_test

import (
	"bytes"
	"fmt"

	"github.com/zetagrid/zetagrid/node/wire"
)

// Hop 0 sends one row of two numbers to hop 1 and says how long it took.
func ExampleFrame() {
	body := wire.AppendRows(nil, []float32{0.5, -1}, wire.F32)
	body = wire.AppendTimings(body, []wire.Timing{{QueueMicros: 3, ComputeMicros: 250}})
	sent := wire.Frame{
		Header: wire.Header{
			Kind: wire.KindRows, Session: wire.SessionID{1}, Epoch: 1, Hop: 1,
			Timings: 1, Rows: 1, Position: 41, Done: 41, Want: 11,
		},
		Body: body,
	}
	stream := bytes.NewReader(sent.Append(nil))

	var got wire.Frame
	if err := got.Read(stream); err != nil {
		fmt.Println(err)
		return
	}
	row, timings := make([]float32, 2), make([]wire.Timing, got.Timings)
	if err := wire.ParseRows(got.Body, row, wire.F32, timings); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("position", got.Position, "row", row, "timings", timings)
	// Output:
	// position 41 row [0.5 -1] timings [{3 250}]
}

// What a stranger sends is checked before anything is done with it.
func ExampleParseOpen() {
	open := wire.Open{
		Model: []byte("model CID"), Lo: 2, Hi: 4, NextHi: 4, Hops: 2, Window: wire.RowsInFlight + 1,
		Previous: []byte("peer A"), Next: []byte("peer B"),
	}
	_, err := wire.ParseOpen(open.Append(nil))
	fmt.Println(err)
	// Output:
	// wire: frame too large: window of 257 rows, limit 256
}
