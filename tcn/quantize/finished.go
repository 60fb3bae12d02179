package quantize

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Names in the folder of finished blocks.
const (
	inputsFile  = "inputs.json"
	lockFile    = "lock"
	rowsPattern = "rows-*"
	blockFormat = "block-%05d" // .tile, .repair and, when both are whole, .json
)

// inputs is what decides a model; see the laws of the package.
type inputs struct {
	Quantizer   int     `json:"quantizer"` // version of the method
	Model       string  `json:"model"`
	Calibration string  `json:"calibration_sha256"`
	Method      Method  `json:"method"`
	Seed        uint64  `json:"seed"`
	Damping     float64 `json:"damping"`
	Sweeps      int     `json:"sweeps"`
	RepairRank  int     `json:"repair_rank"`
	SoulWeights string  `json:"soul_weights,omitempty"` // absent: float32 numbers, or no Soul
}

// version counts changes after which the same inputs give another model.
const version = 2

func (j *job) inputs() inputs {
	sum := sha256.Sum256(j.Calibration)
	in := inputs{
		Quantizer: version, Model: j.source.cid.String(), Calibration: hex.EncodeToString(sum[:]),
		Method: j.Method, Seed: j.Seed, Damping: j.Damping, Sweeps: j.Sweeps, RepairRank: j.RepairRank,
	}
	if j.soulQ8() {
		in.SoulWeights = string(modelfile.SoulQ8)
	}
	return in
}

// finishedLayer is a layer as it will be.
type finishedLayer struct {
	weights tcn.LayerQ2
	repair  tcn.SoulLayerF32 // empty without a repair rank
	in, out MatrixReport
}

// finishedBlock is the layers of a block, and what they are mapped from.
type finishedBlock struct {
	layers  []finishedLayer
	closers []io.Closer
}

func (f *finishedBlock) close() error {
	var err error
	for _, c := range f.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// record says that a block is finished.
type record struct {
	Tile     string         `json:"tile_sha256"`
	Repair   string         `json:"repair_sha256,omitempty"`
	Matrices []MatrixReport `json:"matrices"` // W_in and W_out of each layer
}

// place is the folder of finished blocks, beside the destination.
type place struct {
	dir  string
	lock *flock.Flock
}

// openPlace takes the folder for out. What is in it of other inputs is removed.
// Errors: ErrInUse, modelfile.ErrOutput.
func openPlace(out string, in inputs) (*place, error) {
	p := &place{dir: folderOf(out)}
	p.lock = flock.New(filepath.Join(p.dir, lockFile))
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", modelfile.ErrOutput, err)
	}
	free, err := p.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", modelfile.ErrOutput, err)
	}
	if !free {
		return nil, fmt.Errorf("%w: %s", ErrInUse, p.dir)
	}
	if err := p.begin(in); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", modelfile.ErrOutput, err), p.lock.Unlock())
	}
	return p, nil
}

// begin keeps what was made of the same inputs and removes everything else.
func (p *place) begin(in inputs) error {
	want, err := json.Marshal(in)
	if err != nil {
		return err
	}
	have, err := os.ReadFile(filepath.Join(p.dir, inputsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	same := string(have) == string(want)
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == lockFile || same && (e.Name() == inputsFile || strings.HasPrefix(e.Name(), "block-")) {
			continue
		}
		if err := os.Remove(filepath.Join(p.dir, e.Name())); err != nil {
			return err
		}
	}
	if same {
		return nil
	}
	return p.replace(inputsFile, func(w io.Writer) error {
		_, err := w.Write(want)
		return err
	})
}

// close gives the folder up; it is removed when all is done.
func (p *place) close(done bool) error {
	if !done {
		return p.lock.Unlock()
	}
	return errors.Join(os.RemoveAll(p.dir), p.lock.Unlock())
}

// replace writes a file whole or not at all.
func (p *place) replace(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(p.dir, "new-*")
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(f)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), filepath.Join(p.dir, name))
}

func (p *place) path(block int, part string) string {
	return filepath.Join(p.dir, fmt.Sprintf(blockFormat, block)+part)
}

// quantized is a config of the model that is made.
func quantized(c tcn.Config) tcn.Config {
	c.Weights = tcn.WeightsQ2
	return c
}

// keep writes a finished block.
func (p *place) keep(c tcn.Config, block, rank int, f finishedBlock) error {
	var weights []tcn.LayerQ2
	var repairs []tcn.SoulLayerF32
	var r record
	for _, l := range f.layers {
		weights, repairs = append(weights, l.weights), append(repairs, l.repair)
		r.Matrices = append(r.Matrices, l.in, l.out)
	}
	put := func(part string, write func(io.Writer) error) (digest string, err error) {
		hash := sha256.New()
		err = p.replace(filepath.Base(p.path(block, part)), func(w io.Writer) error { return write(io.MultiWriter(w, hash)) })
		return hex.EncodeToString(hash.Sum(nil)), err
	}
	var err error
	if r.Tile, err = put(".tile", func(w io.Writer) error { return modelfile.WriteLayersQ2(w, quantized(c), block, weights) }); err != nil {
		return err
	}
	if rank > 0 {
		if r.Repair, err = put(".repair", func(w io.Writer) error { return modelfile.WriteSoulLayers(w, c, block, rank, repairs) }); err != nil {
			return err
		}
	}
	_, err = put(".json", func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
	return err
}

// open maps a finished block; it is nil for one that is not there or not whole.
func (p *place) open(c tcn.Config, block, rank int) (*finishedBlock, error) {
	text, err := os.ReadFile(p.path(block, ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lo, hi := c.BlockLayers(block)
	var r record
	if json.Unmarshal(text, &r) != nil || len(r.Matrices) != 2*(hi-lo) || !p.whole(block, ".tile", r.Tile) || rank > 0 && !p.whole(block, ".repair", r.Repair) {
		return nil, nil
	}
	f := &finishedBlock{layers: make([]finishedLayer, hi-lo)}
	weights, closer, err := modelfile.OpenLayersQ2(p.path(block, ".tile"), quantized(c), block)
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, closer)
	repairs := make([]tcn.SoulLayerF32, hi-lo)
	if rank > 0 {
		if repairs, closer, err = modelfile.OpenSoulLayers(p.path(block, ".repair"), c, block, rank); err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.closers = append(f.closers, closer)
	}
	for i := range f.layers {
		f.layers[i] = finishedLayer{weights: weights[i], repair: repairs[i], in: r.Matrices[2*i], out: r.Matrices[2*i+1]}
	}
	return f, nil
}

// whole reports whether a file has a digest.
func (p *place) whole(block int, part, digest string) bool {
	f, err := os.Open(p.path(block, part))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // read only
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return err == nil && hex.EncodeToString(hash.Sum(nil)) == digest
}
