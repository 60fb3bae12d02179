package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
)

// KindShape is a [Shape]'s kind.
const KindShape = "zetagrid/shape"

// ShapeFile is the one file of a folder that has a shape and no weights.
const ShapeFile = "shape.json"

// Shape is the manifest of a model's sizes without weights: enough to plan for
// it, nothing to run. It is a kind of its own, so that no manifest that names
// weights ever names some that nobody has.
type Shape struct {
	Kind       string     `json:"kind"`       // KindShape
	Version    int        `json:"version"`    // Version
	Arithmetic int        `json:"arithmetic"` // Arithmetic
	Config     tcn.Config `json:"config"`     // complete: defaults filled in
}

// NewShape makes the manifest of the sizes c.
func NewShape(c tcn.Config) Shape {
	return Shape{Kind: KindShape, Version: Version, Arithmetic: Arithmetic, Config: c}
}

// Encode gives the manifest's bytes and CID. Errors: ErrManifest, ErrTooLarge.
func (s Shape) Encode() (data []byte, c cid.Cid, err error) { return encodeManifest(s) }

// DecodeShape reads what Encode writes and nothing else. Errors: ErrManifest,
// ErrTooLarge, tcn.ErrConfig.
func DecodeShape(data []byte) (Shape, error) { return decodeManifest[Shape](data) }

func (s Shape) validate() error {
	if err := checkHead(s.Kind, KindShape, s.Version); err != nil {
		return err
	}
	if s.Arithmetic != Arithmetic {
		return fmt.Errorf("arithmetic is version %d, want %d", s.Arithmetic, Arithmetic)
	}
	return s.Config.Validate()
}

// InitShape makes a folder with the sizes c and no weights, and gives the CID of
// its Shape. dir must be absent or empty. Errors: ErrConfig, tcn.ErrConfig,
// ErrOutput, and the context's.
func InitShape(ctx context.Context, dir string, c tcn.Config) (id cid.Cid, err error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	data, id, err := NewShape(c).Encode()
	if err != nil {
		return cid.Undef, err
	}
	out, err := newOutput(ctx, dir, nil)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { err = errors.Join(err, out.discard()) }()
	if err := out.writeFile(ShapeFile, data); err != nil {
		return cid.Undef, err
	}
	return id, out.commit()
}

// OpenShape reads the Shape that folder dir holds in place of a model, and its
// CID. Errors come as FileError: ErrFolder for a file that is missing or cannot
// be read, ErrManifest, ErrTooLarge.
func OpenShape(dir string) (Shape, cid.Cid, error) {
	data, err := readFileAtMost(filepath.Join(dir, ShapeFile), ManifestBytes)
	if err != nil {
		return Shape{}, cid.Undef, &FileError{Path: ShapeFile, Err: fmt.Errorf("%w: %w", ErrFolder, err)}
	}
	s, err := DecodeShape(data)
	if err != nil {
		return Shape{}, cid.Undef, &FileError{Path: ShapeFile, Err: err}
	}
	id, err := ManifestCID(data)
	return s, id, err
}

// shapeOnly is err, unless dir lacks a model's manifests because it holds a
// shape: then it says so.
func shapeOnly(dir string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, e := os.Stat(filepath.Join(dir, ShapeFile)); e != nil {
		return err
	}
	return &FileError{Path: ShapeFile, Err: ErrShapeOnly}
}

// inspectShape is Inspect of a folder that holds a shape: the sizes are those
// that the files would have.
func inspectShape(dir string) (Inspection, error) {
	s, id, err := OpenShape(dir)
	if err != nil {
		return Inspection{}, err
	}
	c := s.Config
	in := Inspection{Model: id.String(), ShapeOnly: true, Template: DefaultTemplate}
	in.describe(c)
	if in.EndsBytes, err = EndsBytes(c); err != nil {
		return Inspection{}, err
	}
	in.FileBytes = in.EndsBytes
	tiles := int64(0)
	for block := range c.Blocks() {
		tile, err := TileBytes(c, block)
		if err != nil {
			return Inspection{}, err
		}
		small, err := SmallBytes(c, block)
		if err != nil {
			return Inspection{}, err
		}
		in.Blocks = append(in.Blocks, inspectBlock(c, block, tile, small))
		in.FileBytes += tile + small
		tiles += tile
	}
	in.BitsPerWeight = 8 * float64(tiles) / float64(in.Parameters.Matrices)
	return in, nil
}
