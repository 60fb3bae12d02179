package quantize

import (
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// source is the model that is read.
type source struct {
	folder *modelfile.Folder
	model  modelfile.Model
	cid    cid.Cid
	genome modelfile.Genome
	config tcn.Config
	rank   int // of the default Soul; 0: none
	slices []modelfile.Link
	small  []*tcn.Small // of every block
	emb    []float32
	pos    []float32
	normF  []float32
	ends   *tcn.Ends
}

// openSource reads the small parts of a model folder. Errors: ErrSource for a
// model that is quantized already, or a Soul that is more than slices; those of
// modelfile.
func openSource(dir string, compute *tcn.Compute) (*source, error) {
	folder, err := modelfile.OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &source{folder: folder}
	s.model, s.cid = folder.Model()
	s.genome, _ = folder.Genome()
	s.config = s.genome.Config
	if s.config.Weights != "" {
		return nil, fmt.Errorf("%w: its weights are %s already", ErrSource, s.config.Weights)
	}
	if soul, _, ok := folder.Soul(); ok {
		if soul.Sum != nil || soul.Small != nil || soul.Ends != nil {
			return nil, fmt.Errorf("%w: its Soul is more than low-rank slices", ErrSource)
		}
		s.rank, s.slices = soul.Rank, soul.Slices
	}
	for b, link := range s.model.Small {
		path, err := s.path(link)
		if err != nil {
			return nil, err
		}
		small, err := modelfile.LoadSmall(path, s.config, b)
		if err != nil {
			return nil, err
		}
		s.small = append(s.small, small)
	}
	path, err := s.path(s.model.Ends)
	if err != nil {
		return nil, err
	}
	if s.emb, s.pos, s.normF, err = modelfile.ReadEnds(path, s.config); err != nil {
		return nil, err
	}
	ends, err := tcn.NewEnds(s.config, s.emb, s.pos, s.normF)
	if err != nil {
		return nil, err
	}
	s.ends = ends.WithCompute(compute)
	return s, nil
}

// path is where a file of the model is, and that it is that file: hashing it
// costs nothing beside what is done with it.
func (s *source) path(link modelfile.Link) (string, error) {
	path, ok := s.folder.Path(link)
	if !ok { // the manifests of an opened folder fit together
		return "", fmt.Errorf("%w: no file %s", modelfile.ErrFolder, link)
	}
	return path, modelfile.CheckFile(path, link)
}

// first is the first block with the tile of block b: b itself, mostly.
func (s *source) first(b int) int {
	for i, tile := range s.genome.Tiles[:b] {
		if tile == s.genome.Tiles[b] {
			return i
		}
	}
	return b
}

// sourceBlock is the numbers of a block, mapped.
type sourceBlock struct {
	layers  []tcn.LayerF32
	souls   []tcn.SoulLayerF32 // one per layer; empty ones without a Soul
	closers []io.Closer
}

func (b *sourceBlock) Close() error {
	var err error
	for _, c := range b.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// open maps the numbers of block b.
func (s *source) open(b int) (*sourceBlock, error) {
	path, err := s.path(s.genome.Tiles[b])
	if err != nil {
		return nil, err
	}
	block := &sourceBlock{}
	layers, closer, err := modelfile.OpenLayersF32(path, s.config, b)
	if err != nil {
		return nil, err
	}
	block.layers, block.closers = layers, append(block.closers, closer)
	souls, closer, err := s.openSouls(b)
	if err != nil {
		return nil, errors.Join(err, block.Close())
	}
	block.souls = souls
	if closer != nil {
		block.closers = append(block.closers, closer)
	}
	return block, nil
}

// openSouls maps the default Soul's slice for block b; without one its layers are
// empty and closer is nil.
func (s *source) openSouls(b int) (layers []tcn.SoulLayerF32, closer io.Closer, err error) {
	if s.rank == 0 {
		lo, hi := s.config.BlockLayers(b)
		return make([]tcn.SoulLayerF32, hi-lo), nil, nil
	}
	path, err := s.path(s.slices[b])
	if err != nil {
		return nil, nil, err
	}
	return modelfile.OpenSoulLayers(path, s.config, b, s.rank)
}
