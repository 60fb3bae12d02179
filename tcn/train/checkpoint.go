package train

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// Checkpoint is what a training goes on from: one safetensors file with the
// numbers, the optimizer's two means of each, and this description as the bytes of
// a tensor called "state".
type Checkpoint struct {
	Version int        `json:"version"` // checkpointVersion
	Config  tcn.Config `json:"config"`
	Options Options    `json:"options"`
	Origins []Origin   `json:"origins"`
	Taken   int        `json:"taken"` // optimizer steps

	// Run is for whoever runs the training, kept as it is.
	Run json.RawMessage `json:"run,omitempty"`

	file *safetensors.File
}

// checkpointVersion is raised when the same file would mean another training.
const checkpointVersion = 1

// stateTensor is the tensor that holds the description.
const stateTensor = "state"

// The three numbers kept of each trained one.
var kept = []string{"value", "first", "second"}

// Save writes a checkpoint as name: beside it first, and it replaces what was
// there only when it is whole and on the disk. Errors: [ErrCheckpoint] for a run
// past [StateBytes], those of the file system.
func (t *Trainer) Save(name string, run json.RawMessage) (err error) {
	state, err := json.Marshal(Checkpoint{
		Version: checkpointVersion, Config: t.model.Config, Options: t.options,
		Origins: t.corpus.origins, Taken: t.step, Run: run,
	})
	if err != nil {
		return err
	}
	if len(state) > StateBytes {
		return fmt.Errorf("%w: a description of %d bytes, limit %d", ErrCheckpoint, len(state), StateBytes)
	}
	specs := []safetensors.Spec{{Name: stateTensor, Type: element.U8, Shape: []int{len(state)}}}
	layout, err := safetensors.Plan(append(specs, checkpointSpecs(t.model, t.options.Part)...))
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".partial-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := errors.Join(t.writeCheckpoint(file, layout, state), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

func (t *Trainer) writeCheckpoint(file *os.File, layout *safetensors.Layout, state []byte) error {
	buffered := bufio.NewWriterSize(file, 1<<20)
	w, err := safetensors.NewWriter(buffered, layout)
	if err != nil {
		return err
	}
	if err := w.WriteBytes(state); err != nil {
		return err
	}
	for i, trained := range t.optimizer.trained {
		for _, values := range [][]float32{trained.values, t.optimizer.first[i], t.optimizer.second[i]} {
			if err := w.WriteFloat32(values); err != nil {
				return err
			}
		}
	}
	return errors.Join(w.Close(), buffered.Flush())
}

// checkpointSpecs are the tensors of a checkpoint but for the description.
func checkpointSpecs(m *Model, part Part) []safetensors.Spec {
	var specs []safetensors.Spec
	for _, t := range m.tensors(part) {
		for _, what := range kept {
			specs = append(specs, safetensors.Spec{Name: t.name + "." + what, Type: element.F32, Shape: []int{len(t.values)}})
		}
	}
	return specs
}

// OpenCheckpoint reads the description in a checkpoint; Close it. Errors:
// [ErrCheckpoint], those of safetensors and the file system.
func OpenCheckpoint(name string) (*Checkpoint, error) {
	file, err := safetensors.Open(name)
	if err != nil {
		return nil, err
	}
	state, ok := file.Lookup(stateTensor)
	if !ok || state.Type != element.U8 || state.Bytes > StateBytes {
		return nil, errors.Join(fmt.Errorf("%w: %s holds no description", ErrCheckpoint, name), file.Close())
	}
	text, err := file.Bytes(stateTensor)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c, err := decodeCheckpoint(text)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	c.file = file
	return c, nil
}

// decodeCheckpoint reads the description. Errors: [ErrCheckpoint].
func decodeCheckpoint(text []byte) (*Checkpoint, error) {
	c := new(Checkpoint)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if c.Version != checkpointVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrCheckpoint, c.Version, checkpointVersion)
	}
	if err := errors.Join(c.Config.Validate(), c.Options.Validate()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if c.Taken < 0 || c.Taken > c.Options.Steps {
		return nil, fmt.Errorf("%w: %d of %d steps taken", ErrCheckpoint, c.Taken, c.Options.Steps)
	}
	return c, nil
}

// Close closes the file.
func (c *Checkpoint) Close() error { return c.file.Close() }

// Restore puts t, made with the checkpoint's options and a corpus and a model of
// the same shape, where the checkpoint was taken. Errors: [ErrCheckpoint],
// [ErrCorpus].
func (c *Checkpoint) Restore(t *Trainer) error {
	if !slices.EqualFunc(c.Origins, t.corpus.origins, func(a, b Origin) bool {
		return a.Bytes == b.Bytes && a.SHA256 == b.SHA256 && a.Use == b.Use
	}) {
		return fmt.Errorf("%w: the texts are not those of the checkpoint", ErrCorpus)
	}
	if c.Options != t.options {
		return fmt.Errorf("%w: the options are not those of the trainer", ErrCheckpoint)
	}
	specs := []safetensors.Spec{{Name: stateTensor, Type: element.U8, Shape: c.stateShape()}}
	if err := c.file.Check(append(specs, checkpointSpecs(t.model, t.options.Part)...)); err != nil {
		return fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	for i, trained := range t.optimizer.trained {
		for k, values := range [][]float32{trained.values, t.optimizer.first[i], t.optimizer.second[i]} {
			read, err := c.file.Float32(trained.name + "." + kept[k])
			if err != nil {
				return fmt.Errorf("%w: %w", ErrCheckpoint, err)
			}
			copy(values, read)
		}
	}
	t.step = c.Taken
	t.engine.refresh(All)
	t.fresh = true
	return nil
}

func (c *Checkpoint) stateShape() []int {
	state, _ := c.file.Lookup(stateTensor)
	return state.Shape
}
