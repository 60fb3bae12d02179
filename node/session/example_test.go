package session_test

import (
	"fmt"
	"log"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// echo is a model of two Fractal Blocks whose emb is the identity: when stages
// leave its rows as they are, the likeliest next byte is the last one.
func echo() (tcn.Config, *tcn.Ends) {
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 256, DFF: 1, Layers: 2, LayersPerBlock: 1,
		KernelSize: 2, Dilations: []int{1}, RMSEps: 1e-5, State: tcn.F32, Boundary: tcn.F32,
	}
	emb, normF := make([]float32, 256*256), make([]float32, 256)
	for b := range 256 {
		emb[b*256+b], normF[b] = 1, 1
	}
	ends, err := tcn.NewEnds(config, emb, nil, normF)
	if err != nil {
		log.Fatal(err)
	}
	return config, ends
}

// A gateway and the workers of two hops. The caller carries out what the
// machines want: a node with streams and an executor, this example with calls.
func Example() {
	config, ends := echo()
	gateway, err := session.NewGateway(session.Plan{
		ID: wire.SessionID{1}, Self: "gateway", Model: []byte("model"), Config: config, Ends: ends,
		Hops: []session.Hop{{Peer: "A", Blocks: tcn.Range{Lo: 0, Hi: 1}}, {Peer: "B", Blocks: tcn.Range{Lo: 1, Hi: 2}}},
	}, session.Request{Prompt: []byte("hi!"), MaxBytes: 2, LogProbs: -1})
	if err != nil {
		log.Fatal(err)
	}
	workers := make([]*session.Worker, 2)

	var carryOut func(hop int, effects []session.Effect)
	carryOut = func(hop int, effects []session.Effect) {
		for _, effect := range effects {
			switch e := effect.(type) {
			case session.SendOpen:
				open, err := wire.ParseOpen(e.Frame.Body)
				if err != nil {
					log.Fatal(err)
				}
				if workers[e.Hop], err = session.NewWorker("gateway", e.Frame.Header, open, config); err != nil {
					log.Fatal(err)
				}
				carryOut(-1, gateway.Step(0, session.Opened{Hop: e.Hop}))
			case session.Send:
				fmt.Printf("to hop %d: rows %d-%d\n", e.Frame.Hop, e.Frame.Position, e.Frame.Position+uint64(e.Frame.Rows))
				if next := int(e.Frame.Hop); next < len(workers) {
					carryOut(next, workers[next].Step(session.Arrived{Peer: workers[next].Previous(), Frame: &e.Frame}))
				} else {
					carryOut(-1, gateway.Step(0, session.Returned{Frame: &e.Frame}))
				}
			case session.Compute: // where a stage would step the rows
				carryOut(hop, workers[hop].Step(session.Computed{Rows: e.Rows}))
			case session.Emit:
				for _, piece := range e.Pieces {
					fmt.Printf("%q at %d\n", piece.Byte, piece.Position)
				}
			case session.Ended:
				fmt.Println("finish:", e.Finish)
			}
		}
	}
	carryOut(-1, gateway.Step(0, session.Started{}))
	// Output:
	// to hop 0: rows 0-3
	// to hop 1: rows 0-3
	// to hop 2: rows 0-3
	// '!' at 3
	// to hop 0: rows 3-4
	// to hop 1: rows 3-4
	// to hop 2: rows 3-4
	// '!' at 4
	// finish: length
}

// A ring of three rows forgets the oldest, and what it is told to.
func ExampleRing() {
	ring := session.NewRing[byte](3, 1, 0)
	ring.Append([]byte("abcde"))
	rows, err := ring.From(nil, 2)
	fmt.Printf("%s %v\n", rows, err)

	ring.Trim(4)
	_, err = ring.From(nil, 3)
	fmt.Println(err)
	// Output:
	// cde <nil>
	// position 3 is outside the ring's 4 to 5
}
