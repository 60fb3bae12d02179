package importer

import (
	"fmt"
	"os"
	"slices"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
	"github.com/zetagrid/zetagrid/tcn/modelfile/pt"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// weights is a file of named tensors that is being imported.
type weights interface {
	names() []string
	shape(name string) (shape []int64, ok bool)
	numbers(name string) ([]float32, error) // in C order
}

// wanted is a tensor that an imported file must have.
type wanted struct {
	name   string
	shape  []int64
	scalar bool // of one number, so that no dimension at all will do
}

func want(name string, shape ...int) wanted {
	w := wanted{name: name}
	for _, n := range shape {
		w.shape = append(w.shape, int64(n))
	}
	return w
}

// checkWeights reports the first wanted tensor that is missing or misshapen,
// then the first one in the file that has no place in the model. Errors:
// modelfile.ErrTensor.
func checkWeights(file weights, all []wanted) error {
	known := make(map[string]bool, len(all))
	for _, w := range all {
		known[w.name] = true
		shape, ok := file.shape(w.name)
		if !ok {
			return fmt.Errorf("%w: %s is missing, want shape %v", modelfile.ErrTensor, w.name, w.shape)
		}
		if !slices.Equal(shape, w.shape) && !(w.scalar && len(shape) == 0) {
			return fmt.Errorf("%w: %s has shape %v, want %v", modelfile.ErrTensor, w.name, shape, w.shape)
		}
	}
	for _, name := range file.names() {
		if !known[name] {
			return fmt.Errorf("%w: %s has no place in the model that config.json describes", modelfile.ErrTensor, name)
		}
	}
	return nil
}

// checkOptional explains the two mismatches between a config and its weights
// that are settings rather than damage. Errors: modelfile.ErrConfig.
func checkOptional(file weights, in modelfile.ImportConfig) error {
	_, positions := file.shape("pos_emb.weight")
	if positions != (in.Config.MaxPositions > 0) {
		return fmt.Errorf("%w: max_positions is %d, but the weights %s pos_emb.weight", modelfile.ErrConfig, in.Config.MaxPositions, has(positions))
	}
	_, soul := file.shape("layers.0.lora_in.A")
	if soul != (in.Rank > 0) {
		return fmt.Errorf("%w: lora_rank is %d, but the weights %s layers.0.lora_in.A", modelfile.ErrConfig, in.Rank, has(soul))
	}
	return nil
}

func has(yes bool) string {
	if yes {
		return "have"
	}
	return "lack"
}

// modelName is a layer's tensor as checkpoints call it, layers counted from the
// start of the model.
func modelName(layer int, name string) string { return fmt.Sprintf("layers.%d.%s", layer, name) }

func wantedEnds(c tcn.Config) []wanted {
	all := []wanted{want("emb.weight", tcn.VocabSize, c.DModel), want("norm_f.w", c.DModel)}
	if c.MaxPositions > 0 {
		all = append(all, want("pos_emb.weight", c.MaxPositions, c.DModel))
	}
	return all
}

// wantedLayer is what a layer has besides its frozen weights.
func wantedLayer(in modelfile.ImportConfig, layer int) []wanted {
	c := in.Config
	all := []wanted{want(modelName(layer, "norm.w"), c.DModel)}
	if c.Cell == tcn.CellRelease {
		all = append(all, wanted{name: modelName(layer, "scale"), shape: []int64{1}, scalar: true})
	}
	if in.Rank > 0 {
		all = append(all,
			want(modelName(layer, "lora_in.A"), in.Rank, c.DModel),
			want(modelName(layer, "lora_in.B"), 2*c.DFF, in.Rank),
			want(modelName(layer, "lora_out.A"), in.Rank, c.DFF),
			want(modelName(layer, "lora_out.B"), c.DModel, in.Rank))
	}
	return all
}

// checkpoint is the parts of a source that come from named tensors.
type checkpoint struct {
	weights weights
	cell    tcn.Cell
	learned bool // positions
}

func (c checkpoint) Routing(int) float32 { return 1 }

func (c checkpoint) Small(layer int, put modelfile.Put) error {
	if err := c.put(put, modelName(layer, "norm.w")); err != nil {
		return err
	}
	if c.cell == tcn.CellPaper {
		return put([]float32{1})
	}
	return c.put(put, modelName(layer, "scale"))
}

func (c checkpoint) Soul(layer int, put modelfile.Put) error {
	return c.put(put, modelName(layer, "lora_in.A"), modelName(layer, "lora_in.B"),
		modelName(layer, "lora_out.A"), modelName(layer, "lora_out.B"))
}

func (c checkpoint) Ends(put modelfile.Put) error {
	if c.learned {
		return c.put(put, "emb.weight", "pos_emb.weight", "norm_f.w")
	}
	return c.put(put, "emb.weight", "norm_f.w")
}

func (c checkpoint) put(put modelfile.Put, names ...string) error {
	for _, name := range names {
		values, err := c.weights.numbers(name)
		if err != nil {
			return err
		}
		if err := put(values); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// tapMajor turns a convolution as release and paper files hold it, [width,
// taps], into [taps, width].
func tapMajor(values []float32, taps int) []float32 {
	width := len(values) / taps
	out := make([]float32, len(values))
	for c := range width {
		for k := range taps {
			out[k*width+c] = values[c*taps+k]
		}
	}
	return out
}

// ptWeights is a checkpoint saved by PyTorch.
type ptWeights struct{ *pt.Checkpoint }

func (w ptWeights) names() []string                        { return w.Names() }
func (w ptWeights) shape(name string) ([]int64, bool)      { return w.Shape(name) }
func (w ptWeights) numbers(name string) ([]float32, error) { return w.Float32(name) }

// safetensorsWeights is a safetensors file.
type safetensorsWeights struct{ *safetensors.File }

func (w safetensorsWeights) names() []string {
	var names []string
	for _, t := range w.Tensors() {
		if !safetensors.IsPad(t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

func (w safetensorsWeights) shape(name string) ([]int64, bool) {
	t, ok := w.Lookup(name)
	shape := make([]int64, len(t.Shape))
	for i, n := range t.Shape {
		shape[i] = int64(n)
	}
	return shape, ok
}

func (w safetensorsWeights) numbers(name string) ([]float32, error) {
	if t, ok := w.Lookup(name); ok && t.Type < element.F16 {
		return nil, fmt.Errorf("%w: %s is %s, want floating point numbers", modelfile.ErrTensor, name, t.Describe())
	}
	return w.Float32(name)
}

// readConfig reads path and tells warn what it did not understand.
func readConfig(path string, warn func(string)) (modelfile.ImportConfig, error) {
	in, err := modelfile.ReadConfig(path)
	for _, name := range in.Unknown {
		if warn != nil {
			warn(fmt.Sprintf("%s: %q means nothing here and is ignored", path, name))
		}
	}
	return in, err
}

// openSized opens a regular file and gives its size.
func openSized(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
