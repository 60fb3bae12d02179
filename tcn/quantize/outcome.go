package quantize

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// outcome is the model that is made, as a modelfile.SourceQ2 and
// SourceSoulQ8. It holds one block
// at a time.
type outcome struct {
	*job
	block  int // that is open; -1: none
	made   *finishedBlock
	souls  []tcn.SoulLayerF32
	closer io.Closer // of souls; may be nil
}

// write makes the folder and the report.
func (j *job) write(quality *Quality) (report Report, err error) {
	o := &outcome{job: j, block: -1}
	defer func() { err = errors.Join(err, o.close()) }()
	provenance := modelfile.Unmeasured(j.source.model.Provenance)
	in := j.inputs()
	maps.Copy(provenance, map[string]string{
		"quantized.from":        in.Model,
		"quantized.method":      string(in.Method),
		"quantized.calibration": "sha256:" + in.Calibration,
		"quantized.seed":        strconv.FormatUint(in.Seed, 10),
	})
	if j.soulQ8() {
		provenance["quantized.soul_weights"] = in.SoulWeights
	}
	id, err := modelfile.Build(j.ctx, j.Out, modelfile.Recipe{
		Config: quantized(j.config), Rank: j.rank(), SoulForm: j.soulWeights(), Source: o,
		Template: &j.source.model.Template, Provenance: provenance,
	}, nil)
	if err != nil {
		return Report{}, err
	}
	report = Report{
		Model: id.String(), Source: in.Model, Method: j.Method, Seed: j.Seed, Damping: j.Damping,
		Sweeps: j.Sweeps, RepairRank: j.RepairRank, SoulWeights: j.soulWeights(), CalibrationBytes: len(j.Calibration),
		ResumedBlocks: j.resumed, Matrices: j.reports, Quality: quality,
	}
	made, err := modelfile.Inspect(j.Out)
	if err != nil {
		return Report{}, err
	}
	report.BitsPerWeight = made.BitsPerWeight
	for _, b := range made.Blocks {
		report.TileBytes += b.TileBytes
		report.SoulBits += 8 * float64(b.SoulBytes) / float64(made.Parameters.Matrices)
	}
	return report, nil
}

// load opens the block of a layer.
func (o *outcome) load(layer int) (index int, err error) {
	b := layer / o.config.LayersPerBlock
	lo, _ := o.config.BlockLayers(b)
	if b == o.block {
		return layer - lo, nil
	}
	if err := o.close(); err != nil {
		return 0, err
	}
	first := o.source.first(b)
	if o.made, err = o.place.open(o.config, first, o.RepairRank); err != nil {
		return 0, err
	}
	if o.made == nil {
		return 0, fmt.Errorf("%w: finished block %d is gone", modelfile.ErrOutput, first)
	}
	if o.souls, o.closer, err = o.source.openSouls(b); err != nil {
		return 0, err
	}
	o.block = b
	return layer - lo, nil
}

func (o *outcome) close() error {
	var err error
	if o.made != nil {
		err = o.made.close()
	}
	if o.closer != nil {
		err = errors.Join(err, o.closer.Close())
	}
	o.made, o.closer, o.block = nil, nil, -1
	return err
}

// TileQ2 implements modelfile.SourceQ2.
func (o *outcome) TileQ2(layer int) (tcn.LayerQ2, error) {
	i, err := o.load(layer)
	if err != nil {
		return tcn.LayerQ2{}, err
	}
	return o.made.layers[i].weights, nil
}

// Soul implements modelfile.Source.
func (o *outcome) Soul(layer int, put modelfile.Put) error {
	i, err := o.load(layer)
	if err != nil {
		return err
	}
	l := o.joined(o.souls[i], o.made.layers[i].repair)
	return putAll(put, l.InA, l.InB, l.OutA, l.OutB)
}

// SoulQ8 implements modelfile.SourceSoulQ8.
func (o *outcome) SoulQ8(layer int) (tcn.SoulLayerQ8, error) {
	i, err := o.load(layer)
	if err != nil {
		return tcn.SoulLayerQ8{}, err
	}
	made, err := o.eighths(o.joined(o.souls[i], o.made.layers[i].repair))
	if err != nil {
		return tcn.SoulLayerQ8{}, err
	}
	return *made, nil
}

// Tile implements modelfile.Source; nobody asks for float32 weights.
func (o *outcome) Tile(int, modelfile.Put) error {
	return fmt.Errorf("%w: no float32 weights", modelfile.ErrConfig)
}

// Small implements modelfile.Source.
func (o *outcome) Small(layer int, put modelfile.Put) error {
	b := layer / o.config.LayersPerBlock
	lo, _ := o.config.BlockLayers(b)
	l := o.source.small[b].Layers[layer-lo]
	return putAll(put, l.NormGain, []float32{l.Scale})
}

// Routing implements modelfile.Source.
func (o *outcome) Routing(block int) float32 { return o.source.small[block].Routing }

// Ends implements modelfile.Source.
func (o *outcome) Ends(put modelfile.Put) error {
	return putAll(put, o.source.emb, o.source.pos, o.source.normF)
}

func putAll(put modelfile.Put, parts ...[]float32) error {
	for _, part := range parts {
		if len(part) == 0 {
			continue // positions, of a model without
		}
		if err := put(part); err != nil {
			return err
		}
	}
	return nil
}
