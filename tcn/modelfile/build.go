package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// Source is where a new model's numbers come from. Layers are counted from the
// start of the model; a block's are asked for in order, first its tile's, then
// its small parameters', then its Soul's. Numbers are passed to put row-major, in
// the order given here, in pieces of any size; put's errors are to be returned.
type Source interface {
	// Tile gives W_in [2·d_ff, d_model], conv [kernel_size, width] tap-major,
	// W_out [d_model, d_ff].
	Tile(layer int, put Put) error
	// Small gives the norm gain [d_model] and the residual scale [1].
	Small(layer int, put Put) error
	// Routing gives a block's routing scalar.
	Routing(block int) float32
	// Soul gives A_in [rank, d_model], B_in [2·d_ff, rank], A_out [rank, d_ff],
	// B_out [d_model, rank]; not called for rank 0.
	Soul(layer int, put Put) error
	// Ends gives emb [256, d_model], with positions pos [max_positions,
	// d_model], norm_f [d_model].
	Ends(put Put) error
}

// SourceQ2 is a Source of 2-bit matrices. Build needs one when the config's
// weights are tcn.WeightsQ2, and then asks for TileQ2 in place of Tile.
type SourceQ2 interface {
	Source
	// TileQ2 gives the frozen weights of a layer. Build is done with them when
	// it asks for the next.
	TileQ2(layer int) (tcn.LayerQ2, error)
}

// SourceSoulQ8 is a Source whose Soul has 8-bit rows. Build needs one when
// Recipe.SoulForm is SoulQ8, and then asks for SoulQ8 in place of Soul.
type SourceSoulQ8 interface {
	Source
	// SoulQ8 gives the matrices of a layer. Build is done with them when it asks
	// for the next.
	SoulQ8(layer int) (tcn.SoulLayerQ8, error)
}

// Put takes the next numbers of a file.
type Put func(values []float32) error

// Recipe is what a model folder is built from.
type Recipe struct {
	Config     tcn.Config // complete and valid
	Rank       int        // of the default Soul, at most tcn.MaxRank; 0: none
	SoulForm   SoulForm   // of its slices; "": SoulF32
	Source     Source
	Template   *Template // of a chat prompt; nil: DefaultTemplate
	Provenance map[string]string
}

// Build writes the model folder dir, which must be absent or empty, and gives
// the Model CID. A failure leaves nothing behind. Errors: ErrTensor for numbers
// that are not finite, too few or too many; ErrConfig for 2-bit weights or
// 8-bit rows of a Source that has none; tcn.ErrConfig, ErrOutput, ErrManifest, ErrTooLarge; the
// source's and the context's.
func Build(ctx context.Context, dir string, r Recipe, report Progress) (c cid.Cid, err error) {
	if err := r.Config.Validate(); err != nil {
		return cid.Undef, err
	}
	if r.Rank < 0 || r.Rank > tcn.MaxRank {
		return cid.Undef, fmt.Errorf("%w: Soul rank %d is not in 0…%d", ErrTooLarge, r.Rank, tcn.MaxRank)
	}
	if _, ok := r.Source.(SourceQ2); !ok && r.Config.Weights == tcn.WeightsQ2 {
		return cid.Undef, fmt.Errorf("%w: weights are to be 2-bit; those at hand are not", ErrConfig)
	}
	if err := r.SoulForm.Validate(); err != nil {
		return cid.Undef, err
	}
	if _, ok := r.Source.(SourceSoulQ8); !ok && r.SoulForm == SoulQ8 {
		return cid.Undef, fmt.Errorf("%w: the Soul is to have 8-bit rows; that at hand has none", ErrConfig)
	}
	out, err := newOutput(ctx, dir, report)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { err = errors.Join(err, out.discard()) }()
	b := builder{Recipe: r, out: out}
	if err := b.plan(); err != nil {
		return cid.Undef, err
	}
	if err := b.writeFiles(); err != nil {
		return cid.Undef, err
	}
	if c, err = b.writeManifests(); err != nil {
		return cid.Undef, err
	}
	return c, out.commit()
}

type builder struct {
	Recipe
	out *output

	tileLayouts, smallLayouts, soulLayouts []*safetensors.Layout // per block
	endsLayout                             *safetensors.Layout

	tiles, small, slices []Link
	ends                 Link
}

// plan lays every file out, so that the total is known and nothing is written
// for a model that cannot be.
func (b *builder) plan() error {
	for block := range b.Config.Blocks() {
		for _, part := range []struct {
			layouts *[]*safetensors.Layout
			specs   []safetensors.Spec
		}{
			{&b.tileLayouts, tileSpecs(b.Config, block)},
			{&b.smallLayouts, smallSpecs(b.Config, block)},
			{&b.soulLayouts, soulSpecs(b.Config, block, b.Rank, b.SoulForm)},
		} {
			if part.layouts == &b.soulLayouts && b.Rank == 0 {
				continue
			}
			layout, err := b.lay(part.specs)
			if err != nil {
				return fmt.Errorf("block %d: %w", block, err)
			}
			*part.layouts = append(*part.layouts, layout)
		}
	}
	var err error
	b.endsLayout, err = b.lay(endsSpecs(b.Config))
	return err
}

func (b *builder) lay(specs []safetensors.Spec) (*safetensors.Layout, error) {
	layout, err := safetensors.Plan(specs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTensor, err)
	}
	b.out.progress.total += layout.Size
	return layout, nil
}

func (b *builder) writeFiles() error {
	var err error
	b.ends, err = b.write(RoleEnds, "ends", b.endsLayout, floats(b.Source.Ends))
	if err != nil {
		return err
	}
	for block := range b.Config.Blocks() {
		if err := b.writeBlock(block); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) writeBlock(block int) error {
	tile, err := b.write(RoleTile, fmt.Sprintf("tile %d", block), b.tileLayouts[block], b.tile(block))
	if err != nil {
		return err
	}
	b.tiles = append(b.tiles, tile)
	small, err := b.write(RoleSmall, fmt.Sprintf("small parameters %d", block), b.smallLayouts[block],
		floats(func(put Put) error {
			if err := put([]float32{b.Source.Routing(block)}); err != nil {
				return err
			}
			return b.layers(block, b.Source.Small)(put)
		}))
	if err != nil {
		return err
	}
	b.small = append(b.small, small)
	if b.Rank == 0 {
		return nil
	}
	slice, err := b.write(RoleSoul, fmt.Sprintf("Soul slice %d", block), b.soulLayouts[block], b.soul(block))
	b.slices = append(b.slices, slice)
	return err
}

// layers gives the numbers of a block's layers in turn.
func (b *builder) layers(block int, layer func(int, Put) error) func(Put) error {
	return func(put Put) error {
		lo, hi := b.Config.BlockLayers(block)
		for l := lo; l < hi; l++ {
			if err := layer(l, put); err != nil {
				return fmt.Errorf("layer %d: %w", l, err)
			}
		}
		return nil
	}
}

// floats fills a file with nothing but numbers.
func floats(fill func(Put) error) func(*safetensors.Writer) error {
	return func(w *safetensors.Writer) error { return fill(w.WriteFloat32) }
}

// tile fills a block's tile.
func (b *builder) tile(block int) func(*safetensors.Writer) error {
	if b.Config.Weights != tcn.WeightsQ2 {
		return floats(b.layers(block, b.Source.Tile))
	}
	return b.each(block, func(w *safetensors.Writer, layer int) error {
		l, err := b.Source.(SourceQ2).TileQ2(layer)
		if err != nil {
			return err
		}
		return writeLayerQ2(w, b.Config, l)
	})
}

// soul fills a block's slice of the Soul.
func (b *builder) soul(block int) func(*safetensors.Writer) error {
	if b.SoulForm != SoulQ8 {
		return floats(b.layers(block, b.Source.Soul))
	}
	return b.each(block, func(w *safetensors.Writer, layer int) error {
		l, err := b.Source.(SourceSoulQ8).SoulQ8(layer)
		if err != nil {
			return err
		}
		return writeSoulQ8(w, b.Config, b.Rank, l)
	})
}

// each fills a file layer by layer.
func (b *builder) each(block int, write func(w *safetensors.Writer, layer int) error) func(*safetensors.Writer) error {
	return func(w *safetensors.Writer) error {
		lo, hi := b.Config.BlockLayers(block)
		for layer := lo; layer < hi; layer++ {
			if err := write(w, layer); err != nil {
				return fmt.Errorf("layer %d: %w", layer, err)
			}
		}
		return nil
	}
}

// writeLayerQ2 writes the frozen weights of a layer with 2-bit matrices.
func writeLayerQ2(w *safetensors.Writer, c tcn.Config, l tcn.LayerQ2) error {
	if err := writeQ2(w, "W_in", l.In, 2*c.DFF, c.DModel); err != nil {
		return err
	}
	if len(l.Conv) != c.KernelSize*c.ConvWidth() {
		return fmt.Errorf("%w: conv of %d numbers, want %d", safetensors.ErrTensor, len(l.Conv), c.KernelSize*c.ConvWidth())
	}
	if err := w.WriteFloat32(l.Conv); err != nil {
		return err
	}
	return writeQ2(w, "W_out", l.Out, c.DModel, c.DFF)
}

// writeQ2 writes the parts of a matrix that must be [rows, cols].
func writeQ2(w *safetensors.Writer, name string, m *quant.Q2, rows, cols int) error {
	if m == nil || m.Rows() != rows || m.Cols() != cols {
		return fmt.Errorf("%w: %s is not [%d, %d]", safetensors.ErrTensor, name, rows, cols)
	}
	if err := w.WriteBytes(m.Codes()); err != nil {
		return err
	}
	if err := w.WriteFloat32(m.Scale()); err != nil {
		return err
	}
	return w.WriteBytes(m.Signs())
}

// write writes one file that fill fills.
func (b *builder) write(role Role, name string, layout *safetensors.Layout, fill func(*safetensors.Writer) error) (Link, error) {
	b.out.progress.doing = name
	c, err := b.out.writeTensors(role, func(w io.Writer) error {
		writer, err := safetensors.NewWriter(w, layout)
		if err != nil {
			return err
		}
		if err := fill(writer); err != nil {
			return err
		}
		return writer.Close()
	})
	switch {
	case errors.Is(err, safetensors.ErrNotFinite), errors.Is(err, safetensors.ErrTensor):
		return Link{}, fmt.Errorf("%w: %s: %w", ErrTensor, name, err)
	case err != nil:
		return Link{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (b *builder) writeManifests() (cid.Cid, error) {
	data, genome, err := NewGenome(b.Config, b.tiles).Encode()
	if err == nil {
		err = b.out.writeFile(GenomeFile, data)
	}
	if err != nil {
		return cid.Undef, err
	}
	template := DefaultTemplate
	if b.Template != nil {
		template = *b.Template
	}
	model := Model{
		Kind: KindModel, Version: Version, Genome: genome, Ends: b.ends, Small: b.small,
		Template: template, Tokenizer: ByteTokenizer, Provenance: b.Provenance,
	}
	if b.Rank > 0 {
		data, soul, err := Soul{Kind: KindSoul, Version: Version, Genome: genome, Rank: b.Rank, Slices: b.slices}.Encode()
		if err == nil {
			err = b.out.writeFile(SoulFile, data)
		}
		if err != nil {
			return cid.Undef, err
		}
		model.Soul = &soul
	}
	data, c, err := model.Encode()
	if err == nil {
		err = b.out.writeFile(ModelFile, data)
	}
	if err == nil {
		err = b.out.writeFile(CIDFile, encodeCIDFile(c))
	}
	return c, err
}
