package modelfile

import (
	"fmt"
	"io"
	"slices"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// OpenTile maps the tile of a block and uses it in place: the Block is valid
// until the Closer is closed. The file must have been verified against its CID.
// Errors: ErrTensor, tcn.ErrConfig, tcn.ErrRange, and those of safetensors.
func OpenTile(path string, c tcn.Config, block int) (*tcn.Block, io.Closer, error) {
	file, err := openChecked(path, c, block, tileSpecs)
	if err != nil {
		return nil, nil, err
	}
	b, err := readTile(file, c, block)
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%w: tile %d: %w", ErrTensor, block, err)
	}
	return b, file, nil
}

func readTile(file *safetensors.File, c tcn.Config, block int) (*tcn.Block, error) {
	r := tensorReader{file: file}
	if c.Weights == tcn.WeightsQ2 {
		return r.tileQ2(c, block)
	}
	layers := make([]tcn.LayerF32, blockLayers(c, block))
	for l := range layers {
		layers[l] = tcn.LayerF32{
			In:   r.numbers(layerName(l, "w_in")),
			Conv: r.numbers(layerName(l, "w_dw")),
			Out:  r.numbers(layerName(l, "w_out")),
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return tcn.NewBlockF32(c, block, layers)
}

// tileQ2 is the tile of a block with 2-bit matrices.
func (r *tensorReader) tileQ2(c tcn.Config, block int) (*tcn.Block, error) {
	layers := make([]tcn.LayerQ2, blockLayers(c, block))
	for l := range layers {
		layers[l] = tcn.LayerQ2{
			In:   r.q2(layerName(l, "w_in"), 2*c.DFF, c.DModel),
			Conv: r.numbers(layerName(l, "w_dw")),
			Out:  r.q2(layerName(l, "w_out"), c.DModel, c.DFF),
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return tcn.NewBlockQ2(c, block, layers)
}

// LoadSmall reads the small parameters of a block. Errors as OpenTile.
func LoadSmall(path string, c tcn.Config, block int) (*tcn.Small, error) {
	file, err := openChecked(path, c, block, smallSpecs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // read only
	r := tensorReader{file: file}
	small := &tcn.Small{Layers: make([]tcn.SmallLayer, blockLayers(c, block)), Routing: r.scalar("routing")}
	for l := range small.Layers {
		small.Layers[l] = tcn.SmallLayer{
			NormGain: slices.Clone(r.numbers(layerName(l, "norm.w"))),
			Scale:    r.scalar(layerName(l, "scale")),
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: small parameters %d: %w", ErrTensor, block, r.err)
	}
	return small, nil
}

// OpenSoulSlice maps a Soul's slice for a block and uses it in place: it is
// valid until the Closer is closed. rank is the Soul manifest's. Errors as
// OpenTile.
func OpenSoulSlice(path string, c tcn.Config, block, rank int) (*tcn.SoulSlice, io.Closer, error) {
	if rank < 1 || rank > tcn.MaxRank {
		return nil, nil, fmt.Errorf("%w: Soul rank %d is not in 1…%d", ErrTensor, rank, tcn.MaxRank)
	}
	specs := func(c tcn.Config, block int) []safetensors.Spec { return soulSpecs(c, block, rank) }
	file, err := openChecked(path, c, block, specs)
	if err != nil {
		return nil, nil, err
	}
	slice, err := readSoulSlice(file, c, block, rank)
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%w: Soul slice %d: %w", ErrTensor, block, err)
	}
	return slice, file, nil
}

func readSoulSlice(file *safetensors.File, c tcn.Config, block, rank int) (*tcn.SoulSlice, error) {
	r := tensorReader{file: file}
	layers := make([]tcn.SoulLayerF32, blockLayers(c, block))
	for l := range layers {
		layers[l] = tcn.SoulLayerF32{
			InA:  r.numbers(layerName(l, "lora_in.A")),
			InB:  r.numbers(layerName(l, "lora_in.B")),
			OutA: r.numbers(layerName(l, "lora_out.A")),
			OutB: r.numbers(layerName(l, "lora_out.B")),
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return tcn.NewSoulSliceF32(c, block, rank, layers)
}

// LoadEnds reads the embedding, the positions if any, and the final norm.
// Errors as OpenTile.
func LoadEnds(path string, c tcn.Config) (*tcn.Ends, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // read only
	if err := file.Check(endsSpecs(c)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTensor, err)
	}
	r := tensorReader{file: file}
	emb := slices.Clone(r.numbers("emb.weight"))
	var pos []float32
	if c.MaxPositions > 0 {
		pos = slices.Clone(r.numbers("pos_emb.weight"))
	}
	normF := slices.Clone(r.numbers("norm_f.w"))
	if r.err != nil {
		return nil, fmt.Errorf("%w: ends: %w", ErrTensor, r.err)
	}
	return tcn.NewEnds(c, emb, pos, normF)
}

// openChecked opens a block's file and checks that it holds what specs say.
func openChecked(path string, c tcn.Config, block int, specs func(tcn.Config, int) []safetensors.Spec) (*safetensors.File, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if block < 0 || block >= c.Blocks() {
		return nil, fmt.Errorf("%w: block %d of %d", tcn.ErrRange, block, c.Blocks())
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	if err := file.Check(specs(c, block)); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%w: block %d: %w", ErrTensor, block, err)
	}
	return file, nil
}

// tensorReader reads tensors until the first error.
type tensorReader struct {
	file *safetensors.File
	err  error
}

func (r *tensorReader) numbers(name string) []float32 {
	if r.err != nil {
		return nil
	}
	values, err := r.file.Float32(name)
	r.err = err
	return values
}

func (r *tensorReader) scalar(name string) float32 {
	values := r.numbers(name)
	if r.err != nil {
		return 0
	}
	return values[0]
}

func (r *tensorReader) bytes(name string) []byte {
	if r.err != nil {
		return nil
	}
	raw, err := r.file.Bytes(name)
	r.err = err
	return raw
}

// q2 is the 2-bit matrix of a name.
func (r *tensorReader) q2(name string, rows, cols int) *quant.Q2 {
	codes, scale, signs := r.bytes(name+codesSuffix), r.numbers(name+scaleSuffix), r.bytes(name+signsSuffix)
	if r.err != nil {
		return nil
	}
	m, err := quant.NewQ2(rows, cols, codes, scale, signs)
	if err != nil {
		r.err = fmt.Errorf("%s: %w", name, err)
	}
	return m
}
