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
// until the Closer is closed. Blocks of this process that have the same file
// share the mapping and the Block. The file must have been verified against its
// CID. Errors: ErrTensor, tcn.ErrConfig, tcn.ErrRange, and those of safetensors.
func OpenTile(path string, c tcn.Config, block int) (*tcn.Block, io.Closer, error) {
	if err := checkBlock(c, block); err != nil {
		return nil, nil, err
	}
	return shareTile(path, c, block)
}

// openTile maps and reads a tile. Errors: as OpenTile.
func openTile(path string, c tcn.Config, block int) (*safetensors.File, *tcn.Block, error) {
	file, err := openChecked(path, c, block, tileSpecs)
	if err != nil {
		return nil, nil, err
	}
	b, err := readTile(file, c, block)
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%w: tile %d: %w", ErrTensor, block, err)
	}
	return file, b, nil
}

func readTile(file *safetensors.File, c tcn.Config, block int) (*tcn.Block, error) {
	r := tensorReader{file: file}
	if c.Weights == tcn.WeightsQ2 {
		layers, err := r.layersQ2(c, block)
		if err != nil {
			return nil, err
		}
		return tcn.NewBlockQ2(c, block, layers)
	}
	layers, err := r.layersF32(c, block)
	if err != nil {
		return nil, err
	}
	return tcn.NewBlockF32(c, block, layers)
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

// OpenSoulSlice maps a Soul's slice for a block, of float32 numbers or of 8-bit
// rows, and uses it in place: it is valid until the Closer is closed. rank is the
// Soul manifest's. Errors as OpenTile; those of quant for 8-bit rows.
func OpenSoulSlice(path string, c tcn.Config, block, rank int) (*tcn.SoulSlice, io.Closer, error) {
	if _, err := rankSpecs(rank, SoulF32); err != nil {
		return nil, nil, err
	}
	file, err := openBlockFile(path, c, block)
	if err != nil {
		return nil, nil, err
	}
	form := soulFormOf(file)
	if err := checkBlockFile(file, block, soulSpecs(c, block, rank, form)); err != nil {
		return nil, nil, err
	}
	slice, err := readSoulSlice(file, c, block, rank, form)
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%w: Soul slice %d: %w", ErrTensor, block, err)
	}
	return slice, file, nil
}

func readSoulSlice(file *safetensors.File, c tcn.Config, block, rank int, form SoulForm) (*tcn.SoulSlice, error) {
	r := tensorReader{file: file}
	if form == SoulQ8 {
		layers, err := r.soulLayersQ8(c, block, rank)
		if err != nil {
			return nil, err
		}
		return tcn.NewSoulSliceQ8(c, block, rank, layers)
	}
	layers, err := r.soulLayers(c, block)
	if err != nil {
		return nil, err
	}
	return tcn.NewSoulSliceF32(c, block, rank, layers)
}

// LoadEnds reads the embedding, the positions if any, and the final norm.
// Errors as OpenTile.
func LoadEnds(path string, c tcn.Config) (*tcn.Ends, error) {
	emb, pos, normF, err := ReadEnds(path, c)
	if err != nil {
		return nil, err
	}
	return tcn.NewEnds(c, emb, pos, normF)
}

// openChecked opens a block's file and checks that it holds what specs say.
func openChecked(path string, c tcn.Config, block int, specs func(tcn.Config, int) []safetensors.Spec) (*safetensors.File, error) {
	file, err := openBlockFile(path, c, block)
	if err != nil {
		return nil, err
	}
	if err := checkBlockFile(file, block, specs(c, block)); err != nil {
		return nil, err
	}
	return file, nil
}

// openBlockFile opens a block's file once there is such a block.
func openBlockFile(path string, c tcn.Config, block int) (*safetensors.File, error) {
	if err := checkBlock(c, block); err != nil {
		return nil, err
	}
	return safetensors.Open(path)
}

// checkBlockFile closes a file that does not hold what specs say.
func checkBlockFile(file *safetensors.File, block int, specs []safetensors.Spec) error {
	if err := file.Check(specs); err != nil {
		_ = file.Close()
		return fmt.Errorf("%w: block %d: %w", ErrTensor, block, err)
	}
	return nil
}

// checkBlock reports an error unless c is valid and block one of its blocks.
func checkBlock(c tcn.Config, block int) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if block < 0 || block >= c.Blocks() {
		return fmt.Errorf("%w: block %d of %d", tcn.ErrRange, block, c.Blocks())
	}
	return nil
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
