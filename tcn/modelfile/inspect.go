package modelfile

import (
	"errors"
	"os"

	"github.com/zetagrid/zetagrid/tcn"
)

// Inspection is what a model folder says of itself, for people and scripts.
type Inspection struct {
	Model          string            `json:"model"`          // Model CID; Shape CID of a shape
	Genome         string            `json:"genome"`         // Genome CID; "" of a shape
	Soul           string            `json:"soul,omitempty"` // default Soul's CID
	Config         tcn.Config        `json:"config"`
	Parameters     Counts            `json:"parameters"`
	Blocks         []BlockInspection `json:"blocks"`
	EndsBytes      int64             `json:"ends_bytes"`      // of the ends file
	FileBytes      int64             `json:"file_bytes"`      // of all tensor files, shared ones once
	BitsPerWeight  float64           `json:"bits_per_weight"` // of all tiles; see BlockInspection
	StateBytes     int64             `json:"state_bytes"`     // memory of one sequence over all blocks
	ReceptiveField int               `json:"receptive_field"` // bytes a prediction can depend on
	Missing        []string          `json:"missing,omitempty"`
	ShapeOnly      bool              `json:"shape_only,omitempty"` // no weights: file sizes are what they would be
	Template       Template          `json:"template"`
	Provenance     map[string]string `json:"provenance,omitempty"`
}

// Counts is how many numbers a model is made of: what the config makes,
// whatever the model is called.
type Counts struct {
	Matrices int64 `json:"matrices"` // W_in and W_out
	Conv     int64 `json:"conv"`     // taps
	Small    int64 `json:"small"`    // norm gains, residual scales, routing scalars
	Ends     int64 `json:"ends"`     // emb, which is also the head, positions, final norm
	Total    int64 `json:"total"`    // all of the above
	Soul     int64 `json:"soul"`     // of the default Soul, beside the total
}

// BlockInspection is one Fractal Block. Bytes are of files as they are on disk,
// 0 for a missing one.
type BlockInspection struct {
	Block      int    `json:"block"`
	Layers     int    `json:"layers"`
	Tile       string `json:"tile"` // CID
	TileBytes  int64  `json:"tile_bytes"`
	SmallBytes int64  `json:"small_bytes"`
	SoulBytes  int64  `json:"soul_bytes"`
	StateBytes int64  `json:"state_bytes"` // memory of one sequence
	// SoulForm is how the default Soul's slice holds its matrices, by its header;
	// "" without one, or for one that is missing or cannot be read.
	SoulForm SoulForm `json:"soul_weights,omitempty"`

	// Parameters is the numbers in the tile: matrices and taps.
	Parameters int64 `json:"parameters"`
	// BitsPerWeight is the bits of the whole tile (scales, signs, taps, header
	// and padding too) over the weights of its matrices; 0 for a missing one.
	BitsPerWeight float64 `json:"bits_per_weight"`
}

// Inspect describes the model folder dir without reading its tensors (of
// a Soul's slices it reads the header), or the
// shape that it holds. Errors as OpenFolder, save ErrShapeOnly.
func Inspect(dir string) (Inspection, error) {
	f, err := OpenFolder(dir)
	if errors.Is(err, ErrShapeOnly) {
		return inspectShape(dir)
	}
	if err != nil {
		return Inspection{}, err
	}
	c := f.genome.Config
	in := Inspection{
		Model: f.cid.String(), Genome: f.model.Genome.String(),
		EndsBytes: f.fileSize(f.model.Ends), Template: f.model.Template, Provenance: f.model.Provenance,
	}
	in.describe(c)
	if f.soul != nil {
		in.Soul = f.model.Soul.String()
		// A_in, B_in, A_out, B_out of every layer.
		in.Parameters.Soul = int64(c.Layers) * int64(f.soul.Rank) * (2*int64(c.DModel) + 3*int64(c.DFF))
	}
	tileBits := int64(0)
	for block, tile := range f.genome.Tiles {
		info := inspectBlock(c, block, f.fileSize(tile), f.fileSize(f.model.Small[block]))
		info.Tile = tile.String()
		tileBits += 8 * info.TileBytes
		if f.soul != nil && f.soul.Slices != nil {
			info.SoulBytes = f.fileSize(f.soul.Slices[block])
			info.SoulForm = readSoulForm(f.paths[f.soul.Slices[block]])
		}
		in.Blocks = append(in.Blocks, info)
	}
	in.BitsPerWeight = float64(tileBits) / float64(in.Parameters.Matrices)
	for _, ref := range f.files {
		size := f.fileSize(ref.CID)
		if size == 0 {
			in.Missing = append(in.Missing, ref.Path)
		}
		in.FileBytes += size
	}
	return in, nil
}

// describe fills in what the config alone says.
func (in *Inspection) describe(c tcn.Config) {
	p := c.Parameters()
	in.Config = c
	in.Parameters = Counts{Matrices: p.Matrices, Conv: p.Conv, Small: p.Small, Ends: p.Ends, Total: p.Total}
	in.StateBytes = c.StateBytes(c.All())
	in.ReceptiveField = c.ReceptiveField()
}

// inspectBlock is a block whose files have these sizes.
func inspectBlock(c tcn.Config, block int, tile, small int64) BlockInspection {
	p := c.Parameters()
	layers, matrices := int64(blockLayers(c, block)), p.Matrices/int64(c.Layers) // of one layer
	return BlockInspection{
		Block: block, Layers: int(layers), TileBytes: tile, SmallBytes: small,
		StateBytes:    c.StateBytes(tcn.Range{Lo: block, Hi: block + 1}),
		Parameters:    layers * (matrices + p.Conv/int64(c.Layers)),
		BitsPerWeight: 8 * float64(tile) / float64(layers*matrices),
	}
}

// fileSize is the size of tensor file c, 0 when it is not there.
func (f *Folder) fileSize(c Link) int64 {
	info, err := os.Stat(f.paths[c])
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}
