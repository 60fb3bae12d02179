package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// toy is two Fractal Blocks of two layers.
var toy = tcn.Config{
	Cell: tcn.CellRelease, VocabSize: 256, DModel: 16, DFF: 32, Layers: 4, LayersPerBlock: 2,
	KernelSize: 3, Dilations: []int{1, 2}, RMSEps: 1e-6,
}.WithDefaults()

// A grid of one: a node without a network answers a prompt.
func Example() {
	dir, err := os.MkdirTemp("", "zetagrid-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	model := filepath.Join(dir, "model")
	if _, err := modelfile.Init(context.Background(), model, toy, 1, nil); err != nil {
		log.Fatal(err)
	}
	n, err := node.Start(context.Background(), node.Options{Model: model, Offline: true})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close() //nolint:errcheck // the example is over
	<-n.Ready()
	answer, err := n.Generate(context.Background(), session.Request{Prompt: []byte("Hi"), MaxBytes: 8, LogProbs: -1})
	if err != nil {
		log.Fatal(err)
	}
	count := 0
	for {
		if _, err := answer.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		count++
	}
	fmt.Println(count, "bytes, ended by", answer.Finish())
	// Output: 8 bytes, ended by length
}

// The walk of one byte through the packages, by hand: what ARCHITECTURE.md
// tells, with the parts a node uses and nothing in between. One hop owns all
// blocks, so the chain is gateway, hop, gateway.
func Example_walk() {
	// 1. A request enters at a gateway, which has a plan: who computes what.
	request := session.Request{Prompt: []byte("H"), MaxBytes: 1, LogProbs: -1}
	emb, pos, normF := tcn.SeededEnds(toy, 1)
	ends, err := tcn.NewEnds(toy, emb, pos, normF)
	check(err)
	plan := session.Plan{
		ID: wire.SessionID{1}, Self: "gateway", Model: []byte("model"), Config: toy, Ends: ends,
		Hops: []session.Hop{{Peer: "hop", Blocks: toy.All()}},
	}
	gateway, err := session.NewGateway(plan, request)
	check(err)

	// 2. The gateway opens the session at each hop.
	open := gateway.Step(0, session.Started{})[0].(session.SendOpen).Frame
	frame := carry(open)
	fmt.Printf("open    %d bytes\n", wire.HeaderBytes+len(frame.Body))
	parsed, err := wire.ParseOpen(frame.Body)
	check(err)
	worker, err := session.NewWorker("gateway", frame.Header, parsed, toy)
	check(err)

	// 3. Embedded, the byte is a row of d_model numbers in a frame.
	frame = carry(gateway.Step(0, session.Opened{Hop: 0})[0].(session.Send).Frame)
	fmt.Printf("rows    %d at position %d, %d bytes\n", frame.Rows, frame.Position, wire.HeaderBytes+len(frame.Body))

	// 4. The worker checks it; the stage runs it through the blocks.
	compute := worker.Step(session.Arrived{Peer: "gateway", Frame: &frame})[0].(session.Compute)
	stage, variant := load()
	state, err := stage.NewState(worker.Blocks(), 0)
	check(err)
	work := &tcn.Work{State: state, Variant: variant, Rows: compute.Rows}
	check(errors.Join(stage.Step([]*tcn.Work{work}), work.Err))
	fmt.Printf("stage   blocks %d-%d, next position %d\n", stage.Range().Lo, stage.Range().Hi, state.Position())

	// 5. The last hop sends the row back, with what it took.
	frame = carry(worker.Step(session.Computed{Rows: work.Rows, Timing: wire.Timing{ComputeMicros: 7}})[0].(session.Send).Frame)
	fmt.Printf("return  %d row, %d timing\n", frame.Rows, frame.Timings)

	// 6. Head, sampler: a byte. With more to say it would go round again.
	for _, effect := range gateway.Step(0, session.Returned{Frame: &frame}) {
		switch effect := effect.(type) {
		case session.Emit:
			fmt.Printf("emit    position %d\n", effect.Pieces[0].Position)
		case session.Ended:
			fmt.Printf("ended   %s\n", effect.Finish)
		}
	}
	// Output:
	// open    113 bytes
	// rows    1 at position 0, 128 bytes
	// stage   blocks 0-2, next position 1
	// return  1 row, 1 timing
	// emit    position 1
	// ended   length
}

// carry is the network: a frame's bytes, and the frame again.
func carry(f wire.Frame) wire.Frame {
	var arrived wire.Frame
	check(arrived.Read(bytes.NewReader(f.Append(nil))))
	return arrived
}

// load makes the toy's stage and what a session adds to it.
func load() (tcn.Stage, *tcn.Variant) {
	variant := &tcn.Variant{Range: toy.All()}
	var blocks []*tcn.Block
	for b := range toy.Blocks() {
		block, err := tcn.SeededBlock(toy, 1, b)
		check(err)
		blocks = append(blocks, block)
		variant.Small = append(variant.Small, tcn.SeededSmall(toy, 1, b))
	}
	stage, err := tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best()}).Load(toy, toy.All(), blocks)
	check(err)
	return stage, variant
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
