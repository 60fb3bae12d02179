package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// source is where a new model's numbers come from. Layers are counted from the
// start of the model and asked for in order, each once per method. Numbers are
// passed to put in the order of the file's tensors, in pieces of any size.
type source interface {
	// tile gives W_in [2·d_ff, d_model], conv [kernel_size, width], W_out
	// [d_model, d_ff].
	tile(layer int, put func([]float32) error) error
	// small gives the norm gain [d_model] and the residual scale [1].
	small(layer int, put func([]float32) error) error
	// routing gives a block's routing scalar.
	routing(block int) float32
	// soul gives A_in, B_in, A_out, B_out; not called for rank 0.
	soul(layer int, put func([]float32) error) error
	// ends gives emb [256, d_model], positions if any, norm_f [d_model].
	ends(put func([]float32) error) error
}

// recipe is what a model folder is built from.
type recipe struct {
	config     tcn.Config
	rank       int // 0: no Soul
	source     source
	provenance map[string]string
}

// build writes the model folder dir and gives the Model CID. A failure leaves
// nothing behind.
func build(ctx context.Context, dir string, r recipe, report Progress) (c cid.Cid, err error) {
	out, err := newOutput(ctx, dir, report)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { err = errors.Join(err, out.discard()) }()
	b := builder{recipe: r, out: out}
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
	recipe
	out *output

	tileLayouts, smallLayouts, soulLayouts []*safetensors.Layout // per block
	endsLayout                             *safetensors.Layout

	tiles, small, slices []Link
	ends                 Link
}

// plan lays every file out, so that the total is known and nothing is written
// for a model that cannot be.
func (b *builder) plan() error {
	for block := range b.config.Blocks() {
		for _, part := range []struct {
			layouts *[]*safetensors.Layout
			specs   []safetensors.Spec
		}{
			{&b.tileLayouts, tileSpecs(b.config, block)},
			{&b.smallLayouts, smallSpecs(b.config, block)},
			{&b.soulLayouts, soulSpecs(b.config, block, b.rank)},
		} {
			if part.layouts == &b.soulLayouts && b.rank == 0 {
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
	b.endsLayout, err = b.lay(endsSpecs(b.config))
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
	b.ends, err = b.write(RoleEnds, "ends", b.endsLayout, b.source.ends)
	if err != nil {
		return err
	}
	for block := range b.config.Blocks() {
		if err := b.writeBlock(block); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) writeBlock(block int) error {
	tile, err := b.write(RoleTile, fmt.Sprintf("tile %d", block), b.tileLayouts[block], b.layers(block, b.source.tile))
	if err != nil {
		return err
	}
	b.tiles = append(b.tiles, tile)
	small, err := b.write(RoleSmall, fmt.Sprintf("small parameters %d", block), b.smallLayouts[block],
		func(put func([]float32) error) error {
			if err := put([]float32{b.source.routing(block)}); err != nil {
				return err
			}
			return b.layers(block, b.source.small)(put)
		})
	if err != nil {
		return err
	}
	b.small = append(b.small, small)
	if b.rank == 0 {
		return nil
	}
	slice, err := b.write(RoleSoul, fmt.Sprintf("Soul slice %d", block), b.soulLayouts[block], b.layers(block, b.source.soul))
	b.slices = append(b.slices, slice)
	return err
}

// layers gives the numbers of a block's layers in turn.
func (b *builder) layers(block int, layer func(int, func([]float32) error) error) func(func([]float32) error) error {
	return func(put func([]float32) error) error {
		lo, hi := b.config.BlockLayers(block)
		for l := lo; l < hi; l++ {
			if err := layer(l, put); err != nil {
				return fmt.Errorf("layer %d: %w", l, err)
			}
		}
		return nil
	}
}

// write writes one file of the numbers that fill puts.
func (b *builder) write(role Role, name string, layout *safetensors.Layout, fill func(put func([]float32) error) error) (Link, error) {
	b.out.progress.doing = name
	c, err := b.out.writeTensors(role, func(w io.Writer) error {
		writer, err := safetensors.NewWriter(w, layout)
		if err != nil {
			return err
		}
		if err := fill(writer.WriteFloat32); err != nil {
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
	data, genome, err := NewGenome(b.config, b.tiles).Encode()
	if err == nil {
		err = b.out.writeFile(GenomeFile, data)
	}
	if err != nil {
		return cid.Undef, err
	}
	model := Model{
		Kind: KindModel, Version: Version, Genome: genome, Ends: b.ends, Small: b.small,
		Template: DefaultTemplate, Tokenizer: ByteTokenizer, Provenance: b.provenance,
	}
	if b.rank > 0 {
		data, soul, err := Soul{Kind: KindSoul, Version: Version, Genome: genome, Rank: b.rank, Slices: b.slices}.Encode()
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
