package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// Load reads the model in a folder, to train a part of it. What is not trained is
// used where the files lie, those of equal tiles once, until the Closer is
// closed. Errors: [ErrConfig], also for a model with a default Soul, which is not
// trained along; those of modelfile.
func Load(folder *modelfile.Folder, part Part) (*Model, io.Closer, error) {
	model, _ := folder.Model()
	genome, _ := folder.Genome()
	if err := genome.Config.Validate(); err != nil {
		return nil, nil, err
	}
	if model.Soul != nil {
		return nil, nil, fmt.Errorf("%w: it has a default Soul, which would not be trained along", ErrConfig)
	}
	l := loader{folder: folder, config: genome.Config, copies: part == All, tiles: map[string][]Layer{}}
	m, err := l.load(model, genome)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return m, &l, nil
}

// loader reads a folder's files.
type loader struct {
	folder *modelfile.Folder
	config tcn.Config
	copies bool
	tiles  map[string][]Layer // by path: the frozen weights of a tile
	open   []io.Closer
}

// Close closes the mapped files.
func (l *loader) Close() error {
	var err error
	for _, file := range l.open {
		err = errors.Join(err, file.Close())
	}
	l.open = nil
	return err
}

func (l *loader) load(model modelfile.Model, genome modelfile.Genome) (*Model, error) {
	m := &Model{Config: l.config}
	path, _ := l.folder.Path(model.Ends)
	var err error
	if m.Emb, m.Pos, m.NormF, err = modelfile.ReadEnds(path, l.config); err != nil {
		return nil, err
	}
	for b := range l.config.Blocks() {
		path, _ := l.folder.Path(genome.Tiles[b])
		layers, err := l.tile(path, b)
		if err != nil {
			return nil, err
		}
		path, _ = l.folder.Path(model.Small[b])
		small, err := modelfile.LoadSmall(path, l.config, b)
		if err != nil {
			return nil, err
		}
		for i, layer := range layers {
			if l.copies {
				layer.In, layer.Conv, layer.Out = slices.Clone(layer.In), slices.Clone(layer.Conv), slices.Clone(layer.Out)
			}
			layer.Gain, layer.Scale = small.Layers[i].NormGain, []float32{small.Layers[i].Scale}
			m.Layers = append(m.Layers, layer)
		}
		m.Routing = append(m.Routing, small.Routing)
	}
	return m, nil
}

// tile is the frozen weights of a block; equal tiles are one file, read once.
func (l *loader) tile(path string, b int) ([]Layer, error) {
	if layers, ok := l.tiles[path]; ok {
		return layers, nil
	}
	var layers []Layer
	if l.config.Weights == tcn.WeightsQ2 {
		stored, file, err := modelfile.OpenLayersQ2(path, l.config, b)
		if err != nil {
			return nil, err
		}
		l.open = append(l.open, file)
		for i := range stored {
			layers = append(layers, Layer{Conv: stored[i].Conv, Frozen: &stored[i]})
		}
	} else {
		stored, file, err := modelfile.OpenLayersF32(path, l.config, b)
		if err != nil {
			return nil, err
		}
		l.open = append(l.open, file)
		for _, s := range stored {
			layers = append(layers, Layer{In: s.In, Conv: s.Conv, Out: s.Out})
		}
	}
	l.tiles[path] = layers
	return layers, nil
}

// Write makes a model folder of m, with the codes that training used if its
// weights are 2-bit. template is that of a chat, nil for the default. Errors:
// those of modelfile.Build.
func Write(ctx context.Context, dir string, m *Model, template *modelfile.Template, provenance map[string]string, report modelfile.Progress) (cid.Cid, error) {
	return modelfile.Build(ctx, dir, modelfile.Recipe{
		Config: m.Config, Source: folderSource{m}, Template: template, Provenance: provenance,
	}, report)
}

// folderSource gives a model's numbers to modelfile.
type folderSource struct{ m *Model }

func (s folderSource) Tile(layer int, put modelfile.Put) error {
	l := &s.m.Layers[layer]
	return putAll(put, l.In, l.Conv, l.Out)
}

func (s folderSource) TileQ2(layer int) (tcn.LayerQ2, error) {
	l, c := &s.m.Layers[layer], s.m.Config
	if l.Frozen != nil {
		return *l.Frozen, nil
	}
	in, err := quantized(l.In, 2*c.DFF, c.DModel, quant.Signs(quant.DefaultSeed, layer, quant.MatrixIn, c.DModel))
	if err != nil {
		return tcn.LayerQ2{}, err
	}
	out, err := quantized(l.Out, c.DModel, c.DFF, quant.Signs(quant.DefaultSeed, layer, quant.MatrixOut, c.DFF))
	return tcn.LayerQ2{In: in, Conv: l.Conv, Out: out}, err
}

func (s folderSource) Small(layer int, put modelfile.Put) error {
	return putAll(put, s.m.Layers[layer].Gain, s.m.Layers[layer].Scale)
}

func (s folderSource) Routing(block int) float32 { return s.m.Routing[block] }

func (s folderSource) Soul(int, modelfile.Put) error { return nil } // there is none

func (s folderSource) Ends(put modelfile.Put) error {
	return putAll(put, s.m.Emb, s.m.Pos, s.m.NormF)
}

func putAll(put modelfile.Put, parts ...[]float32) error {
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		if err := put(part); err != nil {
			return err
		}
	}
	return nil
}
