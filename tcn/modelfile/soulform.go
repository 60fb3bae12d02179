package modelfile

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// SoulForm is how a Soul's slice file holds its matrices. A file has one form,
// which the names of its tensors tell; the manifest does not name it.
type SoulForm string

const (
	// SoulF32 is float32 numbers.
	SoulF32 SoulForm = "f32"
	// SoulQ8 is 8-bit rows, each with a scale; see package quant. Rows and
	// columns are filled up to 16, so that below rank 16 the size stays.
	SoulQ8 SoulForm = "q8"
)

// Validate reports an ErrConfig for what is no form; "" stands for SoulF32 where a
// form is asked for.
func (f SoulForm) Validate() error {
	if f != "" && f != SoulF32 && f != SoulQ8 {
		return fmt.Errorf("%w: Soul weights %q, want %q or %q", ErrConfig, string(f), SoulF32, SoulQ8)
	}
	return nil
}

// firstCodes is a tensor that every slice of 8-bit rows has, and no other.
var firstCodes = layerName(0, soulParts[0].name+codesSuffix)

// soulParts is the matrices of a layer of a slice, in file order.
var soulParts = []struct {
	name string
	size func(c tcn.Config, rank int) (rows, cols int)
}{
	{"lora_in.A", func(c tcn.Config, rank int) (rows, cols int) { return rank, c.DModel }},
	{"lora_in.B", func(c tcn.Config, rank int) (rows, cols int) { return 2 * c.DFF, rank }},
	{"lora_out.A", func(c tcn.Config, rank int) (rows, cols int) { return rank, c.DFF }},
	{"lora_out.B", func(c tcn.Config, rank int) (rows, cols int) { return c.DModel, rank }},
}

// soulFormOf is the form of an open slice.
func soulFormOf(file *safetensors.File) SoulForm {
	if _, ok := file.Lookup(firstCodes); ok {
		return SoulQ8
	}
	return SoulF32
}

// readSoulForm is the form of a slice file; "" for one that cannot be read.
func readSoulForm(path string) SoulForm {
	file, err := safetensors.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }() // read only
	return soulFormOf(file)
}

// soulSpecs is the tensors of a slice.
func soulSpecs(c tcn.Config, block, rank int, form SoulForm) []safetensors.Spec {
	var specs []safetensors.Spec
	for l := range blockLayers(c, block) {
		for _, part := range soulParts {
			rows, cols := part.size(c, rank)
			if form == SoulQ8 {
				specs = append(specs, q8(l, part.name, rows, cols)...)
			} else {
				specs = append(specs, f32(l, part.name, rows, cols))
			}
		}
	}
	return specs
}

// writeSoulQ8 writes the matrices of a layer of a slice of 8-bit rows.
func writeSoulQ8(w *safetensors.Writer, c tcn.Config, rank int, l tcn.SoulLayerQ8) error {
	for i, m := range []*quant.Q8{l.InA, l.InB, l.OutA, l.OutB} {
		rows, cols := soulParts[i].size(c, rank)
		if m == nil || m.Rows() != rows || m.Cols() != cols {
			return fmt.Errorf("%w: %s is not [%d, %d]", safetensors.ErrTensor, soulParts[i].name, rows, cols)
		}
		if err := w.WriteBytes(m.Codes()); err != nil {
			return err
		}
		if err := w.WriteFloat32(m.Scale()); err != nil {
			return err
		}
	}
	return nil
}

// soulLayersQ8 reads the layers of a slice of 8-bit rows.
func (r *tensorReader) soulLayersQ8(c tcn.Config, block, rank int) ([]tcn.SoulLayerQ8, error) {
	layers := make([]tcn.SoulLayerQ8, blockLayers(c, block))
	for l := range layers {
		to := []**quant.Q8{&layers[l].InA, &layers[l].InB, &layers[l].OutA, &layers[l].OutB}
		for i, part := range soulParts {
			rows, cols := part.size(c, rank)
			*to[i] = r.q8(layerName(l, part.name), rows, cols)
		}
	}
	return layers, r.err
}

// q8 is the 8-bit matrix of a name.
func (r *tensorReader) q8(name string, rows, cols int) *quant.Q8 {
	codes, scale := r.bytes(name+codesSuffix), r.numbers(name+scaleSuffix)
	if r.err != nil {
		return nil
	}
	m, err := quant.NewQ8(rows, cols, codes, scale)
	if err != nil {
		r.err = fmt.Errorf("%s: %w", name, err)
	}
	return m
}
