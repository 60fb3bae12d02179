package modelfile

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
)

// Init makes a model folder of random weights that c and seed determine, one
// Fractal Block in memory at a time, of 2-bit weights one layer, and gives the
// Model CID. 2-bit weights are random codes, not rounded numbers. The model has no
// Soul. Errors: tcn.ErrConfig, ErrOutput, ErrTooLarge, and the context's.
func Init(ctx context.Context, dir string, c tcn.Config, seed uint64, report Progress) (cid.Cid, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return Build(ctx, dir, Recipe{
		Config: c,
		Source: &seededSource{config: c, seed: seed, block: -1},
		Provenance: map[string]string{
			"source": "seeded",
			"seed":   strconv.FormatUint(seed, 10),
		},
	}, report)
}

// seededSource makes weights of a seed.
type seededSource struct {
	config tcn.Config
	seed   uint64
	block  int // whose layers are held; -1: none
	layers []tcn.LayerF32
}

func (s *seededSource) Tile(layer int, put Put) error {
	if block := layer / s.config.LayersPerBlock; block != s.block {
		s.block, s.layers = block, tcn.SeededLayers(s.config, s.seed, block)
	}
	l := s.layers[layer%s.config.LayersPerBlock]
	return putAll(put, l.In, l.Conv, l.Out)
}

// TileQ2 implements SourceQ2. It holds nothing.
func (s *seededSource) TileQ2(layer int) (tcn.LayerQ2, error) {
	return tcn.SeededLayerQ2(s.config, s.seed, layer)
}

func (s *seededSource) Small(layer int, put Put) error {
	small := tcn.SeededSmall(s.config, s.seed, layer/s.config.LayersPerBlock)
	l := small.Layers[layer%s.config.LayersPerBlock]
	return putAll(put, l.NormGain, []float32{l.Scale})
}

func (s *seededSource) Routing(block int) float32 {
	return tcn.SeededSmall(s.config, s.seed, block).Routing
}

func (s *seededSource) Soul(int, Put) error { return nil }

func (s *seededSource) Ends(put Put) error {
	emb, pos, normF := tcn.SeededEnds(s.config, s.seed)
	return putAll(put, emb, pos, normF)
}

func putAll(put Put, parts ...[]float32) error {
	for _, part := range parts {
		if err := put(part); err != nil {
			return err
		}
	}
	return nil
}
