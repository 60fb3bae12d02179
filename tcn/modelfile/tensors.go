package modelfile

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// The tensors of each kind of file, in file order. c must be valid and block in
// 0…c.Blocks()-1.

func blockLayers(c tcn.Config, block int) int {
	lo, hi := c.BlockLayers(block)
	return hi - lo
}

func tileSpecs(c tcn.Config, block int) []safetensors.Spec {
	var specs []safetensors.Spec
	for l := range blockLayers(c, block) {
		if c.Weights == tcn.WeightsQ2 {
			specs = append(specs, q2(l, "w_in", 2*c.DFF, c.DModel)...)
			specs = append(specs, f32(l, "w_dw", c.KernelSize, c.ConvWidth()))
			specs = append(specs, q2(l, "w_out", c.DModel, c.DFF)...)
			continue
		}
		specs = append(specs,
			f32(l, "w_in", 2*c.DFF, c.DModel),
			f32(l, "w_dw", c.KernelSize, c.ConvWidth()),
			f32(l, "w_out", c.DModel, c.DFF))
	}
	return specs
}

// TileBytes is the size of the tile of a block as this package writes it, header
// and padding included; the other blocks' are no larger than that of block 0.
// Errors: tcn.ErrConfig, tcn.ErrRange, ErrTensor for more than a file can hold.
func TileBytes(c tcn.Config, block int) (int64, error) {
	return blockFileBytes(c, block, func() []safetensors.Spec { return tileSpecs(c, block) })
}

// SmallBytes is the size of a block's file of small parameters. Errors as
// TileBytes.
func SmallBytes(c tcn.Config, block int) (int64, error) {
	return blockFileBytes(c, block, func() []safetensors.Spec { return smallSpecs(c, block) })
}

// SoulBytes is the size of a block's slice of a Soul of a rank and of float32
// numbers. Errors as TileBytes, and ErrTooLarge for a rank outside 1…tcn.MaxRank.
func SoulBytes(c tcn.Config, block, rank int) (int64, error) {
	return soulBytes(c, block, rank, SoulF32)
}

// SoulBytesQ8 is SoulBytes for 8-bit rows.
func SoulBytesQ8(c tcn.Config, block, rank int) (int64, error) {
	return soulBytes(c, block, rank, SoulQ8)
}

func soulBytes(c tcn.Config, block, rank int, form SoulForm) (int64, error) {
	if rank < 1 || rank > tcn.MaxRank {
		return 0, fmt.Errorf("%w: Soul rank %d is not in 1…%d", ErrTooLarge, rank, tcn.MaxRank)
	}
	return blockFileBytes(c, block, func() []safetensors.Spec { return soulSpecs(c, block, rank, form) })
}

// EndsBytes is the size of the file of the ends. Errors: tcn.ErrConfig,
// ErrTensor for more than a file can hold.
func EndsBytes(c tcn.Config) (int64, error) {
	if err := c.Validate(); err != nil {
		return 0, err
	}
	return fileBytes("ends", endsSpecs(c))
}

// blockFileBytes is the size of a file of a block, once there is such a block.
func blockFileBytes(c tcn.Config, block int, specs func() []safetensors.Spec) (int64, error) {
	if err := c.Validate(); err != nil {
		return 0, err
	}
	if block < 0 || block >= c.Blocks() {
		return 0, fmt.Errorf("%w: block %d of %d", tcn.ErrRange, block, c.Blocks())
	}
	return fileBytes(fmt.Sprintf("block %d", block), specs())
}

func fileBytes(name string, specs []safetensors.Spec) (int64, error) {
	layout, err := safetensors.Plan(specs)
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrTensor, name, err)
	}
	return layout.Size, nil
}

// The parts of a quantized matrix; each follows the matrix's name.
const (
	codesSuffix = ".codes" // U8 [⌈rows/16⌉, ⌈cols/16⌉, 64], of 8-bit rows 256
	scaleSuffix = ".scale" // [rows]
	signsSuffix = ".signs" // U8 [⌈cols/8⌉]; 8-bit rows are not rotated
)

// q2 is the parts of a 2-bit matrix [rows, cols].
func q2(layer int, name string, rows, cols int) []safetensors.Spec {
	codes := quant.ShapeQ2(rows, cols)
	return []safetensors.Spec{
		{Name: layerName(layer, name+codesSuffix), Type: element.U8, Shape: codes[:]},
		f32(layer, name+scaleSuffix, rows),
		{Name: layerName(layer, name+signsSuffix), Type: element.U8, Shape: []int{(cols + 7) / 8}},
	}
}

// q8 is the parts of a matrix [rows, cols] of 8-bit rows.
func q8(layer int, name string, rows, cols int) []safetensors.Spec {
	codes := quant.ShapeQ8(rows, cols)
	return []safetensors.Spec{
		{Name: layerName(layer, name+codesSuffix), Type: element.U8, Shape: codes[:]},
		f32(layer, name+scaleSuffix, rows),
	}
}

func smallSpecs(c tcn.Config, block int) []safetensors.Spec {
	specs := []safetensors.Spec{{Name: "routing", Type: element.F32, Shape: []int{1}}}
	for l := range blockLayers(c, block) {
		specs = append(specs, f32(l, "norm.w", c.DModel), f32(l, "scale", 1))
	}
	return specs
}

func endsSpecs(c tcn.Config) []safetensors.Spec {
	specs := []safetensors.Spec{{Name: "emb.weight", Type: element.F32, Shape: []int{tcn.VocabSize, c.DModel}}}
	if c.MaxPositions > 0 {
		specs = append(specs, safetensors.Spec{Name: "pos_emb.weight", Type: element.F32, Shape: []int{c.MaxPositions, c.DModel}})
	}
	return append(specs, safetensors.Spec{Name: "norm_f.w", Type: element.F32, Shape: []int{c.DModel}})
}

func f32(layer int, name string, shape ...int) safetensors.Spec {
	return safetensors.Spec{Name: layerName(layer, name), Type: element.F32, Shape: shape}
}

// layerName is a tensor's name by layer within the block.
func layerName(layer int, name string) string { return fmt.Sprintf("%d.%s", layer, name) }
