package train_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/train"
	"github.com/zetagrid/zetagrid/tcn/train/vector"
)

// A small model learns one line by heart.
func Example() {
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 32, DFF: 64, Layers: 4,
		KernelSize: 3, Dilations: []int{1, 2, 4, 8}, RMSEps: 1e-6,
	}.WithDefaults()
	model, err := train.NewModel(config, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := bytes.Repeat([]byte("One answer, whoever computes it.\n"), 100)
	corpus, err := train.NewCorpus([]train.Text{{Name: "line.txt", Data: text}}, []train.Text{{Name: "same.txt", Data: text[:330]}}, eval.DefaultSplit)
	if err != nil {
		fmt.Println(err)
		return
	}
	options := train.DefaultOptions()
	options.Steps, options.Batch, options.Sequence, options.Warmup = 40, 4, 64, 5
	trainer, err := train.New(model, nil, corpus, options, train.Compute{Kernels: kernel.Best(), Vectors: vector.Best()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for trainer.Steps() < options.Steps {
		if _, err := trainer.Step(); err != nil {
			fmt.Println(err)
			return
		}
	}
	score, err := trainer.HeldOut(context.Background(), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("below one bit per byte:", score.BitsPerByte() < 1)
	// Output:
	// below one bit per byte: true
}
