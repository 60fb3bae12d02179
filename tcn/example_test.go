package tcn_test

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// Example generates text with a seeded model cut over two stages.
func Example() {
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 32, DFF: 96, Layers: 8,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8}, RMSEps: 1e-6,
	}.WithDefaults()
	const seed = 7
	emb, pos, normF := tcn.SeededEnds(config, seed)
	ends, err := tcn.NewEnds(config, emb, pos, normF)
	if err != nil {
		fmt.Println(err)
		return
	}
	type hop struct {
		stage   tcn.Stage
		state   tcn.State
		variant *tcn.Variant
	}
	var chain []hop
	for b := range config.Blocks() { // one stage a block
		r := tcn.Range{Lo: b, Hi: b + 1}
		block, errBlock := tcn.SeededBlock(config, seed, b)
		stage, errLoad := tcn.NewCPU(nil).Load(config, r, []*tcn.Block{block})
		if err := errors.Join(errBlock, errLoad); err != nil {
			fmt.Println(err)
			return
		}
		state, err := stage.NewState(r, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		variant := &tcn.Variant{Range: r, Small: []*tcn.Small{tcn.SeededSmall(config, seed, b)}}
		chain = append(chain, hop{stage, state, variant})
	}

	text := []byte("hello")
	row := make([]float32, config.DModel)
	var logits [256]float32
	for p := 0; len(text) < 25; p++ {
		if err := ends.Embed(p, text[p], row); err != nil {
			fmt.Println(err)
			return
		}
		for _, h := range chain {
			work := &tcn.Work{State: h.state, Variant: h.variant, Rows: tcn.Rows{Position: p, Count: 1, Data: row}}
			if err := errors.Join(h.stage.Step([]*tcn.Work{work}), work.Err); err != nil {
				fmt.Println(err)
				return
			}
		}
		if p < len(text)-1 {
			continue // still reading the prompt
		}
		if err := ends.Logits(row, &logits); err != nil {
			fmt.Println(err)
			return
		}
		text = append(text, tcn.Sampling{Temperature: 0.8, Seed: 1}.Next(p+1, &logits))
	}
	fmt.Printf("%q\n", text)
	// Output: "helloSZ555n555;5}{4B555;5"
}

func ExampleConfig_HistoryRows() {
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 4096, DFF: 16384, Layers: 32,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8, 16, 32, 64, 128}, MaxPositions: 2048, RMSEps: 1e-6,
	}.WithDefaults()
	fmt.Println(config.HistoryRows(tcn.Range{Lo: 0, Hi: 1}), "rows rebuild one block's state of",
		config.StateBytes(tcn.Range{Lo: 0, Hi: 1}), "bytes")
	// Output: 510 rows rebuild one block's state of 41811968 bytes
}

func ExampleSampling_Next() {
	var logits [256]float32
	logits['a'], logits['b'] = 9, 9
	fmt.Printf("%c\n", tcn.Sampling{}.Next(0, &logits)) // temperature 0, ties to the lower byte
	drawn := tcn.Sampling{Temperature: 1, TopK: 2, Seed: 4}
	fmt.Printf("%c %c\n", drawn.Next(5, &logits), drawn.Next(5, &logits)) // (seed, position) alone decide
	// Output:
	// a
	// b b
}
