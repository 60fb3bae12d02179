package importer

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// SafetensorsOptions says where a model's weights are.
type SafetensorsOptions struct {
	Weights  string             // .safetensors of F32, F16, BF16 or F64
	Config   string             // config.json
	Out      string             // model folder to make; absent or empty
	Progress modelfile.Progress // may be nil
	Warn     func(string)       // told what was ignored; may be nil
}

// matrixNames is what files call a layer's frozen weights.
type matrixNames struct{ in, conv, out string }

// A convolution is [width, kernel_size] in the file.
var matrixNamesOf = map[tcn.Cell]matrixNames{
	tcn.CellRelease: {in: "w_in", conv: "w_dw", out: "w_out"},
	tcn.CellPaper:   {in: "w", conv: "w_dw", out: "w_o"},
}

// Safetensors makes a model folder of one file of weights and gives the
// Model CID. Both cells want emb.weight [256, d_model], norm_f.w [d_model], with
// positions pos_emb.weight [max_positions, d_model], and for each layer N
//
//	paper    layers.N.w_dw [d_model, K]   w [2·d_ff, d_model], gate rows first
//	         w_o [d_model, d_ff]          norm.w [d_model]
//	release  layers.N.w_in [2·d_ff, d_model]   w_dw [d_ff, K]
//	         w_out [d_model, d_ff]   norm.w [d_model]   scale [1]
//
// and with a lora_rank, lora_in.A, lora_in.B, lora_out.A, lora_out.B. Weights
// are taken as they are: no scale of the Genome is applied.
// Errors: modelfile.ErrConfig, those of safetensors for the file,
// modelfile.ErrTensor, and those of modelfile.Build.
func Safetensors(ctx context.Context, o SafetensorsOptions) (cid.Cid, error) {
	in, err := readConfig(o.Config, o.Warn)
	if err != nil {
		return cid.Undef, err
	}
	file, err := safetensors.Open(o.Weights)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { _ = file.Close() }() // read only
	source := &weightsSource{
		checkpoint: checkpoint{weights: safetensorsWeights{file}, cell: in.Config.Cell, learned: in.Config.MaxPositions > 0},
		config:     in.Config, names: matrixNamesOf[in.Config.Cell],
	}
	if err := source.check(in); err != nil {
		return cid.Undef, fmt.Errorf("%s: %w", o.Weights, err)
	}
	return modelfile.Build(ctx, o.Out, modelfile.Recipe{
		Config:     in.Config,
		Rank:       in.Rank,
		Source:     source,
		Provenance: map[string]string{"source": "safetensors"},
	}, o.Progress)
}

// weightsSource is one file of all weights.
type weightsSource struct {
	checkpoint
	config tcn.Config
	names  matrixNames
}

func (s *weightsSource) check(in modelfile.ImportConfig) error {
	if err := checkOptional(s.weights, in); err != nil {
		return err
	}
	c := s.config
	all := wantedEnds(c)
	for layer := range c.Layers {
		all = append(all,
			want(modelName(layer, s.names.in), 2*c.DFF, c.DModel),
			want(modelName(layer, s.names.conv), c.ConvWidth(), c.KernelSize),
			want(modelName(layer, s.names.out), c.DModel, c.DFF))
		all = append(all, wantedLayer(in, layer)...)
	}
	return checkWeights(s.weights, all)
}

func (s *weightsSource) Tile(layer int, put modelfile.Put) error {
	if err := s.put(put, modelName(layer, s.names.in)); err != nil {
		return err
	}
	taps, err := s.weights.numbers(modelName(layer, s.names.conv))
	if err != nil {
		return err
	}
	if err := put(tapMajor(taps, s.config.KernelSize)); err != nil {
		return err
	}
	return s.put(put, modelName(layer, s.names.out))
}
