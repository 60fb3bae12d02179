package importer

import (
	"context"
	"fmt"
	"math"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/npy"
	"github.com/zetagrid/zetagrid/tcn/modelfile/pt"
)

// ReleaseOptions says where a release's own files are.
type ReleaseOptions struct {
	Genome   string             // flat .npy of any real numeric type
	Soul     string             // .pt checkpoint: ends, small parameters and the Soul
	Config   string             // config.json
	Out      string             // model folder to make; absent or empty
	Progress modelfile.Progress // may be nil
	Warn     func(string)       // told what was ignored; may be nil
}

// Release makes a model folder of a release as its authors ship one and
// gives the Model CID. The checkpoint is split into ends, small parameters and
// the default Soul; the Genome is cut into tiles.
//
// The Genome is read as a stream and may be larger than memory. Errors:
// modelfile.ErrConfig, those of npy and pt for the files, modelfile.ErrTensor,
// and those of modelfile.Build.
func Release(ctx context.Context, o ReleaseOptions) (cid.Cid, error) {
	in, err := readConfig(o.Config, o.Warn)
	if err != nil {
		return cid.Undef, err
	}
	if in.Config.Cell != tcn.CellRelease {
		return cid.Undef, fmt.Errorf("%w: cell is %q, a release has %q", modelfile.ErrConfig, in.Config.Cell, tcn.CellRelease)
	}
	genomeFile, size, err := openSized(o.Genome)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { _ = genomeFile.Close() }() // read only
	genome, err := npy.Open(genomeFile, size)
	if err != nil {
		return cid.Undef, fmt.Errorf("%s: %w", o.Genome, err)
	}
	soulFile, size, err := openSized(o.Soul)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { _ = soulFile.Close() }() // read only
	soul, err := pt.Open(soulFile, size)
	if err != nil {
		return cid.Undef, fmt.Errorf("%s: %w", o.Soul, err)
	}
	if err := checkRelease(ptWeights{soul}, in); err != nil {
		return cid.Undef, fmt.Errorf("%s: %w", o.Soul, err)
	}
	cuts, _, err := cutGenome(in.Config, genome.Count)
	if err != nil {
		return cid.Undef, fmt.Errorf("%s: %w", o.Genome, err)
	}
	return modelfile.Build(ctx, o.Out, modelfile.Recipe{
		Config: in.Config,
		Rank:   in.Rank,
		Source: &releaseSource{
			checkpoint: checkpoint{weights: ptWeights{soul}, cell: tcn.CellRelease, learned: in.Config.MaxPositions > 0},
			config:     in.Config, genome: genome, cuts: cuts,
		},
		Provenance: releaseProvenance(soul.Facts),
	}, o.Progress)
}

func checkRelease(file weights, in modelfile.ImportConfig) error {
	if err := checkOptional(file, in); err != nil {
		return err
	}
	all := wantedEnds(in.Config)
	for layer := range in.Config.Layers {
		all = append(all, wantedLayer(in, layer)...)
	}
	return checkWeights(file, all)
}

// releaseProvenance keeps what the checkpoint says of its training.
func releaseProvenance(facts map[string]string) map[string]string {
	p := map[string]string{"source": "release"}
	for _, name := range []string{"step", "loss"} {
		if value, ok := facts[name]; ok && len(value) <= modelfile.ProvenanceValueBytes {
			p[name] = value
		}
	}
	return p
}

// cut is a run of the Genome that becomes one tensor.
type cut struct{ offset, length int64 }

// cutGenome gives the cuts of all layers in order W_in, W_dw, W_out and how
// often a cut started over at 0 because it would have run past the end. Errors:
// modelfile.ErrTensor when the Genome is shorter than one cut.
func cutGenome(c tcn.Config, total int64) (cuts []cut, wraps int, err error) {
	d, f, k := int64(c.DModel), int64(c.DFF), int64(c.KernelSize)
	at := int64(0)
	for layer := range c.Layers {
		for i, length := range [...]int64{2 * f * d, f * k, d * f} {
			if length > total {
				return nil, 0, fmt.Errorf("%w: Genome of %d numbers is shorter than layer %d's %s of %d",
					modelfile.ErrTensor, total, layer, [...]string{"W_in", "W_dw", "W_out"}[i], length)
			}
			if length > total-at {
				at = 0
				wraps++
			}
			cuts = append(cuts, cut{at, length})
			at += length
		}
	}
	return cuts, wraps, nil
}

// releaseSource is a release's own files.
type releaseSource struct {
	checkpoint
	config tcn.Config
	genome *npy.Array
	cuts   []cut
	wide   []float64
	narrow []float32
}

func (s *releaseSource) Tile(layer int, put modelfile.Put) error {
	c := s.config
	in, conv, out := s.cuts[3*layer], s.cuts[3*layer+1], s.cuts[3*layer+2]
	if err := s.stream(in, linearScale(c.DModel), put); err != nil {
		return err
	}
	var taps []float32 // [d_ff, kernel_size]
	err := s.stream(conv, 1/math.Sqrt(float64(c.KernelSize)), func(values []float32) error {
		taps = append(taps, values...)
		return nil
	})
	if err != nil {
		return err
	}
	if err := put(tapMajor(taps, c.KernelSize)); err != nil {
		return err
	}
	return s.stream(out, linearScale(c.DFF), put)
}

// linearScale brings a Genome's numbers to the size a matrix of in columns
// needs, as the release does.
func linearScale(in int) float64 { return 1 / math.Sqrt(0.1*float64(in)) }

// stream puts the scaled numbers of a cut, a piece at a time.
func (s *releaseSource) stream(c cut, scale float64, put modelfile.Put) error {
	const piece = 64 << 10
	if s.wide == nil {
		s.wide, s.narrow = make([]float64, piece), make([]float32, piece)
	}
	for done := int64(0); done < c.length; {
		n := min(piece, c.length-done)
		if err := s.genome.Read(s.wide[:n], c.offset+done); err != nil {
			return err
		}
		for i, v := range s.wide[:n] {
			s.narrow[i] = float32(v * scale)
		}
		if err := put(s.narrow[:n]); err != nil {
			return fmt.Errorf("numbers [%d, +%d) of the Genome: %w", c.offset+done, n, err)
		}
		done += n
	}
	return nil
}
