package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// ErrExpand: a model that cannot be grown as asked.
var ErrExpand = errors.New("modelfile: cannot expand")

// ExpandMode says which of the seed's blocks a new block copies.
type ExpandMode string

// Blocks are copied in groups: the fewest that hold whole cycles of dilations,
// one block unless blocks are shorter than a cycle. A copy so stands at the
// phase of the cycle that its tile was made for.
const (
	// ExpandReplicate lays the seed's groups out again and again in their order.
	ExpandReplicate ExpandMode = "replicate"
	// ExpandMirror turns the order of the groups round at every repetition:
	// abc cba abc. The blocks of a group keep theirs.
	ExpandMirror ExpandMode = "mirror"
)

// Expansion says how a model grows.
type Expansion struct {
	Blocks int // of the expanded model; more than the seed has
	Mode   ExpandMode
}

// Sources is, for every block of a model grown from a seed of config c, the
// block of the seed whose tile it has. Errors: ErrExpand.
func (e Expansion) Sources(c tcn.Config) ([]int, error) {
	if e.Mode != ExpandReplicate && e.Mode != ExpandMirror {
		return nil, fmt.Errorf("%w: mode %q, want %q or %q", ErrExpand, e.Mode, ExpandReplicate, ExpandMirror)
	}
	blocks := c.Blocks()
	if e.Blocks <= blocks || e.Blocks > tcn.MaxLayers/c.LayersPerBlock {
		return nil, fmt.Errorf("%w: %d blocks to %d, want more, and at most %d", ErrExpand, blocks, e.Blocks, tcn.MaxLayers/c.LayersPerBlock)
	}
	if c.Layers%c.LayersPerBlock != 0 {
		return nil, fmt.Errorf("%w: the last block has %d of %d layers", ErrExpand, c.Layers%c.LayersPerBlock, c.LayersPerBlock)
	}
	group := 1
	for group*c.LayersPerBlock%len(c.Dilations) != 0 {
		group++
	}
	if blocks%group != 0 {
		return nil, fmt.Errorf("%w: %d blocks are not whole cycles of dilations, which take %d", ErrExpand, blocks, group)
	}
	sources := make([]int, e.Blocks)
	for i := range sources {
		lap, at := i/blocks, i%blocks
		if e.Mode == ExpandMirror && lap%2 == 1 {
			at = (blocks/group-1-at/group)*group + at%group
		}
		sources[i] = at
	}
	return sources, nil
}

// Expand writes the model folder dir, which must be absent or empty: the model
// of the folder seed with more Fractal Blocks behind it. New blocks have the
// tiles, and the slices of the default Soul, of blocks of the seed; their small
// parameters start afresh, with gains 1, scales 1 and the routing scalar 0,
// which skips them: the new model computes the seed's bytes until they are
// trained. Nothing is stored twice: files of the seed are linked, or copied
// where the file system cannot. It gives the Model CID. A failure leaves
// nothing behind. Errors: ErrExpand, ErrOutput, those of OpenFolder and the
// context's.
func Expand(ctx context.Context, seed, dir string, e Expansion, report Progress) (c cid.Cid, err error) {
	folder, err := OpenFolder(seed)
	if err != nil {
		return cid.Undef, err
	}
	config := folder.genome.Config
	sources, err := e.Sources(config)
	if err != nil {
		return cid.Undef, err
	}
	if soul := folder.soul; soul != nil && len(soul.Sum) > 0 {
		return cid.Undef, fmt.Errorf("%w: the default Soul is a sum of Souls of the seed's Genome", ErrExpand)
	}
	config.Layers = e.Blocks * config.LayersPerBlock
	if err := config.Validate(); err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", ErrExpand, err)
	}
	out, err := newOutput(ctx, dir, report)
	if err != nil {
		return cid.Undef, err
	}
	defer func() { err = errors.Join(err, out.discard()) }()
	x := expander{seed: folder, config: config, sources: sources, out: out}
	if c, err = x.write(e); err != nil {
		return cid.Undef, err
	}
	return c, out.commit()
}

type expander struct {
	seed    *Folder
	config  tcn.Config // expanded
	sources []int      // block of the seed, by block
	out     *output
}

// write writes every file of the expanded model.
func (x *expander) write(e Expansion) (cid.Cid, error) {
	if err := x.out.linkFolder(x.seed); err != nil {
		return cid.Undef, err
	}
	fresh, err := x.freshSmall()
	if err != nil {
		return cid.Undef, err
	}
	blocks := x.seed.genome.Config.Blocks()
	small := func(old []Link) []Link {
		if old == nil {
			return nil
		}
		return append(slices.Clone(old), slices.Repeat([]Link{fresh}, len(x.sources)-blocks)...)
	}
	data, genome, err := NewGenome(x.config, x.pick(x.seed.genome.Tiles)).Encode()
	if err == nil {
		err = x.out.writeFile(GenomeFile, data)
	}
	if err != nil {
		return cid.Undef, err
	}
	model := x.seed.model
	model.Genome, model.Small, model.Provenance = genome, small(model.Small), x.provenance(e)
	if soul := x.seed.soul; soul != nil {
		s := *soul
		s.Genome, s.Slices, s.Small = genome, x.pick(s.Slices), small(s.Small)
		data, c, err := s.Encode()
		if err == nil {
			err = x.out.writeFile(SoulFile, data)
		}
		if err != nil {
			return cid.Undef, err
		}
		model.Soul = &c
	}
	data, c, err := model.Encode()
	if err == nil {
		err = x.out.writeFile(ModelFile, data)
	}
	if err == nil {
		err = x.out.writeFile(CIDFile, encodeCIDFile(c))
	}
	return c, err
}

// pick is the seed's links by the blocks of the expanded model.
func (x *expander) pick(links []Link) []Link {
	picked := make([]Link, len(x.sources))
	for i, from := range x.sources {
		picked[i] = links[from]
	}
	return picked
}

// provenance is the seed's, and how the model was made of it. What was measured
// of the seed holds for the expanded model, which computes the same.
func (x *expander) provenance(e Expansion) map[string]string {
	p := maps.Clone(x.seed.model.Provenance)
	if p == nil {
		p = map[string]string{}
	}
	p[FactSource] = "expanded"
	if _, ok := p[FactParameters]; ok {
		p[FactParameters] = strconv.FormatInt(x.config.Parameters().Total, 10)
	}
	p["expanded from"] = x.seed.cid.String()
	p["expansion"] = string(e.Mode) + " " + strconv.Itoa(x.seed.genome.Config.Blocks()) + " to " + strconv.Itoa(e.Blocks) + " blocks"
	return p
}

// freshSmall writes the small parameters of a new block: one file for all, for
// all have as many layers.
func (x *expander) freshSmall() (Link, error) {
	layout, err := safetensors.Plan(smallSpecs(x.config, 0))
	if err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrTensor, err)
	}
	x.out.progress.doing = "small parameters"
	ones := slices.Repeat([]float32{1}, x.config.DModel+1) // gains, then the scale
	return x.out.writeTensors(RoleSmall, func(w io.Writer) error {
		writer, err := safetensors.NewWriter(w, layout)
		if err != nil {
			return err
		}
		if err := writer.WriteFloat32([]float32{0}); err != nil {
			return err
		}
		for range x.config.LayersPerBlock {
			if err := writer.WriteFloat32(ones); err != nil {
				return err
			}
		}
		return writer.Close()
	})
}

// linkFolder gives the new folder every tensor file of another.
func (o *output) linkFolder(from *Folder) error {
	for _, ref := range from.files {
		info, err := os.Stat(from.paths[ref.CID])
		if err != nil {
			return &FileError{Path: ref.Path, Err: fmt.Errorf("%w: %w", ErrFolder, err)}
		}
		o.progress.total += info.Size()
	}
	for _, ref := range from.files {
		o.progress.doing = ref.Path
		if err := o.link(ref, from.paths[ref.CID]); err != nil {
			return err
		}
	}
	return nil
}

// link gives the new folder a file that is there already: by another name for
// it, so that the disk holds it once, or by a copy.
func (o *output) link(ref FileRef, from string) error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	to := filepath.Join(o.temp, ref.Path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	if real, err := filepath.EvalSymlinks(from); err == nil && os.Link(real, to) == nil {
		if info, err := os.Stat(to); err == nil {
			o.progress.add(int(info.Size()))
		}
		return nil
	}
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	defer func() { _ = source.Close() }() // read only
	copied, err := o.writeTensors(ref.Role, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
	if err != nil {
		return err
	}
	if copied != ref.CID {
		return &FileError{Path: ref.Path, Err: fmt.Errorf("%w: it is %s", ErrCorrupt, copied)}
	}
	return nil
}
