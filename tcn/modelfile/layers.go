package modelfile

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// The numbers of a block's files, for whoever makes a model of another: what
// computes takes a Block, which does not show them.

// OpenLayersF32 maps the tile of a block of float32 weights: its layers are
// valid until the Closer is closed. The file must have been verified against its
// CID. Errors: ErrConfig for a config of 2-bit weights; otherwise as OpenTile.
func OpenLayersF32(path string, c tcn.Config, block int) ([]tcn.LayerF32, io.Closer, error) {
	if c.Weights == tcn.WeightsQ2 {
		return nil, nil, fmt.Errorf("%w: weights are %q", ErrConfig, c.Weights)
	}
	return openLayers(path, c, block, "tile", tileSpecs, (*tensorReader).layersF32)
}

// OpenLayersQ2 is OpenLayersF32 for 2-bit weights. Errors: ErrConfig for a
// config of float32 weights; otherwise as OpenTile.
func OpenLayersQ2(path string, c tcn.Config, block int) ([]tcn.LayerQ2, io.Closer, error) {
	if c.Weights != tcn.WeightsQ2 {
		return nil, nil, fmt.Errorf("%w: weights are not %q", ErrConfig, tcn.WeightsQ2)
	}
	return openLayers(path, c, block, "tile", tileSpecs, (*tensorReader).layersQ2)
}

// OpenSoulLayers maps a Soul's slice for a block: its layers are valid until the
// Closer is closed. rank is the Soul manifest's. Errors as OpenTile; ErrTensor too
// for 8-bit rows, which are not numbers at hand.
func OpenSoulLayers(path string, c tcn.Config, block, rank int) ([]tcn.SoulLayerF32, io.Closer, error) {
	specs, err := rankSpecs(rank, SoulF32)
	if err != nil {
		return nil, nil, err
	}
	return openLayers(path, c, block, "Soul slice", specs, (*tensorReader).soulLayers)
}

// openLayers maps a block's file and reads its layers.
func openLayers[L any](path string, c tcn.Config, block int, what string, specs func(tcn.Config, int) []safetensors.Spec, read func(*tensorReader, tcn.Config, int) ([]L, error)) ([]L, io.Closer, error) {
	file, err := openChecked(path, c, block, specs)
	if err != nil {
		return nil, nil, err
	}
	layers, err := read(&tensorReader{file: file}, c, block)
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%w: %s %d: %w", ErrTensor, what, block, err)
	}
	return layers, file, nil
}

// ReadEnds reads the numbers of the ends.
//
//	emb [256, d_model]   pos [max_positions, d_model], nil for 0   normF [d_model]
//
// Errors as OpenTile.
func ReadEnds(path string, c tcn.Config) (emb, pos, normF []float32, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, nil, err
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = file.Close() }() // read only
	if err := file.Check(endsSpecs(c)); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrTensor, err)
	}
	r := tensorReader{file: file}
	emb = slices.Clone(r.numbers("emb.weight"))
	if c.MaxPositions > 0 {
		pos = slices.Clone(r.numbers("pos_emb.weight"))
	}
	normF = slices.Clone(r.numbers("norm_f.w"))
	if r.err != nil {
		return nil, nil, nil, fmt.Errorf("%w: ends: %w", ErrTensor, r.err)
	}
	return emb, pos, normF, nil
}

// WriteLayersQ2 writes the tile of a block. Errors: ErrTensor for layers or
// numbers that the config does not have, tcn.ErrConfig, tcn.ErrRange, those of w.
func WriteLayersQ2(w io.Writer, c tcn.Config, block int, layers []tcn.LayerQ2) error {
	if c.Weights != tcn.WeightsQ2 {
		return fmt.Errorf("%w: weights are not %q", ErrConfig, tcn.WeightsQ2)
	}
	return writeLayers(w, c, block, tileSpecs, layers, func(w *safetensors.Writer, l tcn.LayerQ2) error {
		return writeLayerQ2(w, c, l)
	})
}

// WriteSoulLayers writes a Soul's slice for a block. Errors as WriteLayersQ2.
func WriteSoulLayers(w io.Writer, c tcn.Config, block, rank int, layers []tcn.SoulLayerF32) error {
	specs, err := rankSpecs(rank, SoulF32)
	if err != nil {
		return err
	}
	return writeLayers(w, c, block, specs, layers, func(w *safetensors.Writer, l tcn.SoulLayerF32) error {
		return putAll(w.WriteFloat32, l.InA, l.InB, l.OutA, l.OutB)
	})
}

// writeLayers writes a block's file.
func writeLayers[L any](w io.Writer, c tcn.Config, block int, specs func(tcn.Config, int) []safetensors.Spec, layers []L, write func(*safetensors.Writer, L) error) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if block < 0 || block >= c.Blocks() {
		return fmt.Errorf("%w: block %d of %d", tcn.ErrRange, block, c.Blocks())
	}
	if len(layers) != blockLayers(c, block) {
		return fmt.Errorf("%w: %d layers for block %d, want %d", ErrTensor, len(layers), block, blockLayers(c, block))
	}
	layout, err := safetensors.Plan(specs(c, block))
	if err != nil {
		return fmt.Errorf("%w: block %d: %w", ErrTensor, block, err)
	}
	writer, err := safetensors.NewWriter(w, layout)
	if err != nil {
		return err
	}
	for i, l := range layers {
		err := write(writer, l)
		if errors.Is(err, safetensors.ErrNotFinite) || errors.Is(err, safetensors.ErrTensor) {
			err = fmt.Errorf("%w: %w", ErrTensor, err)
		}
		if err != nil {
			return fmt.Errorf("block %d layer %d: %w", block, i, err)
		}
	}
	return writer.Close()
}

// rankSpecs is soulSpecs of a rank that may be one.
func rankSpecs(rank int, form SoulForm) (func(tcn.Config, int) []safetensors.Spec, error) {
	if rank < 1 || rank > tcn.MaxRank {
		return nil, fmt.Errorf("%w: Soul rank %d is not in 1…%d", ErrTensor, rank, tcn.MaxRank)
	}
	return func(c tcn.Config, block int) []safetensors.Spec { return soulSpecs(c, block, rank, form) }, nil
}

func (r *tensorReader) layersF32(c tcn.Config, block int) ([]tcn.LayerF32, error) {
	layers := make([]tcn.LayerF32, blockLayers(c, block))
	for l := range layers {
		layers[l] = tcn.LayerF32{
			In:   r.numbers(layerName(l, "w_in")),
			Conv: r.numbers(layerName(l, "w_dw")),
			Out:  r.numbers(layerName(l, "w_out")),
		}
	}
	return layers, r.err
}

func (r *tensorReader) layersQ2(c tcn.Config, block int) ([]tcn.LayerQ2, error) {
	layers := make([]tcn.LayerQ2, blockLayers(c, block))
	for l := range layers {
		layers[l] = tcn.LayerQ2{
			In:   r.q2(layerName(l, "w_in"), 2*c.DFF, c.DModel),
			Conv: r.numbers(layerName(l, "w_dw")),
			Out:  r.q2(layerName(l, "w_out"), c.DModel, c.DFF),
		}
	}
	return layers, r.err
}

func (r *tensorReader) soulLayers(c tcn.Config, block int) ([]tcn.SoulLayerF32, error) {
	layers := make([]tcn.SoulLayerF32, blockLayers(c, block))
	for l := range layers {
		layers[l] = tcn.SoulLayerF32{
			InA:  r.numbers(layerName(l, "lora_in.A")),
			InB:  r.numbers(layerName(l, "lora_in.B")),
			OutA: r.numbers(layerName(l, "lora_out.A")),
			OutB: r.numbers(layerName(l, "lora_out.B")),
		}
	}
	return layers, r.err
}
