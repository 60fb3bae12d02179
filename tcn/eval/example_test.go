package eval_test

import (
	"context"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
)

// Example scores a model of random weights. It is sure of things that are not
// so: guessing among 256 bytes would take 8 bits.
func Example() {
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: 32, DFF: 96, Layers: 4,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8}, RMSEps: 1e-6,
	}.WithDefaults()
	model, err := newSeeded(config, 7)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := []byte("It scores what it is given, and what it is given is short.")
	score, err := eval.Measure(context.Background(), model.Predict, text, eval.Sequence(config), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.3f bits a byte over %d bytes, perplexity %.1f\n", score.BitsPerByte(), score.Bytes(), score.Perplexity())
	// Output: 9.609 bits a byte over 57 bytes, perplexity 780.8
}

func ExampleSplitRule_Split() {
	train, heldOut := eval.SplitRule{ChunkBytes: 4, Every: 3}.Split([]byte("one two ten six "))
	fmt.Printf("%q %q\n", train, heldOut)
	// Output: "one two six " "ten "
}
