package importer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/importer"
	"github.com/zetagrid/zetagrid/tcn/modelfile/npy"
	"github.com/zetagrid/zetagrid/tcn/modelfile/pt"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// tiny is the committed release and paper model.
var tiny = filepath.Join("..", "testdata", "tiny")

// copyTiny copies the committed inputs to a folder that a test may damage.
func copyTiny(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// rewrite replaces a file by what change makes of it.
func rewrite(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// setConfig changes one name of a config.json; nil removes it.
func setConfig(name string, value any) func([]byte) []byte {
	return func(data []byte) []byte {
		var config map[string]any
		if err := json.Unmarshal(data, &config); err != nil {
			panic(err)
		}
		if config[name] = value; value == nil {
			delete(config, name)
		}
		out, err := json.Marshal(config)
		if err != nil {
			panic(err)
		}
		return out
	}
}

func importFrom(ctx context.Context, dir, out string, warn func(string)) error {
	_, err := importer.Release(ctx, importer.ReleaseOptions{
		Genome: filepath.Join(dir, "genome.npy"), Soul: filepath.Join(dir, "soul.pt"), Config: filepath.Join(dir, "config.json"),
		Out: out, Warn: warn,
	})
	return err
}

func importPaper(dir, out string) error {
	_, err := importer.Safetensors(context.Background(), importer.SafetensorsOptions{
		Weights: filepath.Join(dir, "paper_weights.safetensors"), Config: filepath.Join(dir, "paper_config.json"), Out: out,
	})
	return err
}

// nothingIn reports anything, hidden or not, that an import left in a folder.
func nothingIn(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left %s", e.Name())
	}
}

func TestImportReleaseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file   string
		change func([]byte) []byte
		want   error
		says   string
	}{
		"no config":       {"config.json", func([]byte) []byte { return nil }, modelfile.ErrConfig, "JSON"},
		"paper config":    {"config.json", setConfig("cell", "paper"), modelfile.ErrConfig, `cell is "paper"`},
		"wide config":     {"config.json", setConfig("d_model", 8), modelfile.ErrTensor, "emb.weight has shape [256 6], want [256 8]"},
		"more layers":     {"config.json", setConfig("n_layers", 6), modelfile.ErrTensor, "layers.5.norm.w is missing, want shape [6]"},
		"fewer layers":    {"config.json", setConfig("n_layers", 4), modelfile.ErrTensor, "layers.4.norm.w has no place"},
		"no positions":    {"config.json", setConfig("max_positions", 0), modelfile.ErrConfig, "max_positions is 0, but the weights have pos_emb.weight"},
		"fewer positions": {"config.json", setConfig("max_positions", 95), modelfile.ErrTensor, "pos_emb.weight has shape [96 6], want [95 6]"},
		"no rank":         {"config.json", setConfig("lora_rank", nil), modelfile.ErrConfig, "lora_rank is 0, but the weights have layers.0.lora_in.A"},
		"other rank":      {"config.json", setConfig("lora_rank", 3), modelfile.ErrTensor, "layers.0.lora_in.A has shape [2 6], want [3 6]"},
		"genome short":    {"genome.npy", func(b []byte) []byte { return npyOf(b, "(119,)", 119) }, modelfile.ErrTensor, "Genome of 119 numbers is shorter than layer 0's W_in of 120"},
		"genome empty":    {"genome.npy", func(b []byte) []byte { return npyOf(b, "(0,)", 0) }, modelfile.ErrTensor, "Genome of 0 numbers"},
		"genome cut":      {"genome.npy", func(b []byte) []byte { return b[:len(b)-1] }, npy.ErrFormat, "genome.npy"},
		"genome is zip":   {"genome.npy", func([]byte) []byte { return []byte("PK\x03\x04..........") }, npy.ErrFormat, "magic"},
		"genome NaN": {"genome.npy", func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[len(b)-2*437+2*100:], 0x7e00)
			return b
		}, modelfile.ErrTensor, `tile 0`},
		"soul cut":    {"soul.pt", func(b []byte) []byte { return b[:len(b)-1] }, pt.ErrFormat, "soul.pt"},
		"soul legacy": {"soul.pt", func([]byte) []byte { return []byte("\x80\x02.") }, pt.ErrLegacy, "torch.save"},
		"soul evil": {"soul.pt", func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("collections\nOrderedDict"), []byte("posixxxxxxx\nsystemxxxxx"))
		}, pt.ErrFormat, ""}, // the checksum is wrong already
	} {
		t.Run(name, func(t *testing.T) {
			dir, parent := copyTiny(t), t.TempDir()
			rewrite(t, filepath.Join(dir, c.file), c.change)
			err := importFrom(context.Background(), dir, filepath.Join(parent, "model"), nil)
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v, want %v with %q", err, c.want, c.says)
			}
			nothingIn(t, parent)
		})
	}
}

// npyOf is a float16 .npy of n of the numbers in old.
func npyOf(old []byte, shape string, n int) []byte {
	header := fmt.Sprintf("{'descr': '>f2', 'fortran_order': False, 'shape': %s, }\n", shape)
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0)
	return append(append(out, header...), old[128:128+2*n]...)
}

func TestImportSafetensorsRefuses(t *testing.T) {
	rename := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
	for name, c := range map[string]struct {
		file   string
		change func([]byte) []byte
		want   error
		says   string
	}{
		"wide config":   {"paper_config.json", setConfig("d_ff", 11), modelfile.ErrTensor, "layers.0.w has shape [20 6], want [22 6]"},
		"release cell":  {"paper_config.json", setConfig("cell", "release"), modelfile.ErrTensor, "layers.0.w_in is missing"},
		"positions":     {"paper_config.json", setConfig("max_positions", 5), modelfile.ErrConfig, "max_positions is 5, but the weights lack"},
		"rank":          {"paper_config.json", setConfig("lora_rank", 2), modelfile.ErrConfig, "lora_rank is 2, but the weights lack"},
		"kernel":        {"paper_config.json", setConfig("kernel_size", 2), modelfile.ErrTensor, "layers.0.w_dw has shape [6 3], want [6 2]"},
		"missing":       {"paper_weights.safetensors", rename(`"norm_f.w"`, `"norm_g.w"`), modelfile.ErrTensor, "norm_f.w is missing"},
		"duplicate":     {"paper_weights.safetensors", rename("layers.1.w_dw", "layers.0.w_dw"), safetensors.ErrFormat, "comes twice"},
		"integers":      {"paper_weights.safetensors", rename(`"F64"`, `"I64"`), modelfile.ErrTensor, "want floating point"},
		"cut":           {"paper_weights.safetensors", func(b []byte) []byte { return b[:len(b)-1] }, safetensors.ErrFormat, "past the end"},
		"more":          {"paper_weights.safetensors", func(b []byte) []byte { return append(b, 0) }, safetensors.ErrFormat, "after the last"},
		"header length": {"paper_weights.safetensors", func(b []byte) []byte { b[7] = 0xff; return b }, safetensors.ErrTooLarge, "header"},
		"not finite": {"paper_weights.safetensors", func(b []byte) []byte {
			binary.LittleEndian.PutUint16(b[len(b)-2:], 0x7c00) // the last tensor is F16
			return b
		}, safetensors.ErrNotFinite, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, parent := copyTiny(t), t.TempDir()
			rewrite(t, filepath.Join(dir, c.file), c.change)
			err := importPaper(dir, filepath.Join(parent, "model"))
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v, want %v with %q", err, c.want, c.says)
			}
			nothingIn(t, parent)
		})
	}
}

// TestDamagedInputs cuts and flips every input file in many places. Each import
// either fails with a named error and leaves nothing, or makes a sound folder
// (a flip in a Genome's numbers makes another Genome).
func TestDamagedInputs(t *testing.T) {
	ctx := context.Background()
	named := []error{
		modelfile.ErrConfig, modelfile.ErrTensor, modelfile.ErrTooLarge, safetensors.ErrFormat, safetensors.ErrTooLarge,
		npy.ErrFormat, npy.ErrType, npy.ErrTooLarge, pt.ErrFormat, pt.ErrLegacy, pt.ErrRefused, pt.ErrTooLarge,
	}
	imports := map[string]func(dir, out string) error{
		"config.json":               func(dir, out string) error { return importFrom(ctx, dir, out, nil) },
		"genome.npy":                func(dir, out string) error { return importFrom(ctx, dir, out, nil) },
		"soul.pt":                   func(dir, out string) error { return importFrom(ctx, dir, out, nil) },
		"paper_config.json":         importPaper,
		"paper_weights.safetensors": importPaper,
	}
	for name, run := range imports {
		t.Run(name, func(t *testing.T) {
			dir, parent := copyTiny(t), t.TempDir()
			path, out := filepath.Join(dir, name), filepath.Join(parent, "model")
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			try := func(what string, data []byte) {
				rewrite(t, path, func([]byte) []byte { return data })
				err := run(dir, out)
				if err == nil {
					err = errors.Join(modelfile.Verify(ctx, out, nil), os.RemoveAll(out))
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
				} else if !slices.ContainsFunc(named, func(want error) bool { return errors.Is(err, want) }) {
					t.Fatalf("%s: unnamed error %v", what, err)
				}
				nothingIn(t, parent)
			}
			const places = 40
			for i := range places {
				at := i * (len(whole) - 1) / (places - 1)
				try(fmt.Sprintf("cut at %d", at), whole[:at])
				flipped := bytes.Clone(whole)
				flipped[at] ^= 1 << (i % 8)
				try(fmt.Sprintf("flip at %d", at), flipped)
			}
		})
	}
}

func TestImportTellsWhatItIgnores(t *testing.T) {
	dir := copyTiny(t)
	rewrite(t, filepath.Join(dir, "config.json"), setConfig("dropout", 0.1))
	var told []string
	err := importFrom(context.Background(), dir, filepath.Join(t.TempDir(), "model"), func(s string) { told = append(told, s) })
	if err != nil || len(told) != 1 || !strings.Contains(told[0], `"dropout" means nothing here`) {
		t.Errorf("%v, %v", told, err)
	}
}

// TestEqualTilesAreOneFile makes a Genome that repeats after one block.
func TestEqualTilesAreOneFile(t *testing.T) {
	dir := copyTiny(t)
	// A block of 3 layers takes 630 numbers; the last one has 2 layers.
	numbers := make([]byte, 2*630)
	for i := range numbers {
		numbers[i] = byte(i % 61) // finite in float16
	}
	header := "{'descr': '>f2', 'fortran_order': False, 'shape': (630,), }\n"
	genome := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0)
	rewrite(t, filepath.Join(dir, "genome.npy"), func([]byte) []byte { return append(append(genome, header...), numbers...) })
	rewrite(t, filepath.Join(dir, "config.json"), setConfig("layers_per_block", 1))
	rewrite(t, filepath.Join(dir, "config.json"), setConfig("dilations", []int{1}))
	out := filepath.Join(t.TempDir(), "model")
	if err := importFrom(context.Background(), dir, out, nil); err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.OpenFolder(out)
	if err != nil {
		t.Fatal(err)
	}
	g, _ := f.Genome()
	if len(g.Tiles) != 5 || g.Tiles[0] != g.Tiles[3] || g.Tiles[1] != g.Tiles[4] || g.Tiles[0] == g.Tiles[1] {
		t.Errorf("tiles %v", g.Tiles)
	}
	tiles, err := fs.Glob(os.DirFS(out), "tiles/*")
	if err != nil || len(tiles) != 3 {
		t.Errorf("%v, %v, want 3 files", tiles, err)
	}
}

// TestImportedReleaseCell imports a folder's own numbers as one file of weights
// of the release cell, and expects the same tiles.
func TestImportedReleaseCell(t *testing.T) {
	from := filepath.Join(t.TempDir(), "model")
	if err := importFrom(context.Background(), tiny, from, nil); err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.OpenFolder(from)
	if err != nil {
		t.Fatal(err)
	}
	g, _ := f.Genome()
	dir := copyTiny(t)
	writeReleaseWeights(t, f, filepath.Join(dir, "weights.safetensors"))
	out := filepath.Join(t.TempDir(), "model")
	_, err = importer.Safetensors(context.Background(), importer.SafetensorsOptions{
		Weights: filepath.Join(dir, "weights.safetensors"), Config: filepath.Join(dir, "config.json"), Out: out,
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := modelfile.OpenFolder(out)
	if err != nil {
		t.Fatal(err)
	}
	_, want := f.Genome()
	if g2, got := again.Genome(); got != want {
		t.Errorf("Genome %s of tiles %v, want %s of %v", got, g2.Tiles, want, g.Tiles)
	}
	_, wantSoul, _ := f.Soul()
	if _, got, ok := again.Soul(); !ok || got != wantSoul {
		t.Errorf("Soul %s, want %s", got, wantSoul)
	}
}

// writeReleaseWeights writes all tensors of a folder to one file under the
// names of a checkpoint, convolutions as [width, kernel_size].
func writeReleaseWeights(t testing.TB, f *modelfile.Folder, path string) {
	t.Helper()
	g, _ := f.Genome()
	m, _ := f.Model()
	s, _, _ := f.Soul()
	var specs []safetensors.Spec
	var values []float32
	add := func(link modelfile.Link, rename func(string) string) {
		where, _ := f.Path(link)
		file, err := safetensors.Open(where)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		for _, info := range file.Tensors() {
			if safetensors.IsPad(info.Name) || info.Name == "routing" {
				continue
			}
			numbers, err := file.Float32(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			shape := info.Shape
			if strings.HasSuffix(info.Name, "w_dw") {
				turned := make([]float32, 0, len(numbers))
				for c := range shape[1] {
					for k := range shape[0] {
						turned = append(turned, numbers[k*shape[1]+c])
					}
				}
				numbers, shape = turned, []int{shape[1], shape[0]}
			}
			specs = append(specs, safetensors.Spec{Name: rename(info.Name), Type: info.Type, Shape: shape})
			values = append(values, numbers...)
		}
	}
	add(m.Ends, func(name string) string { return name })
	for block := range g.Tiles {
		lo, _ := g.Config.BlockLayers(block)
		name := func(name string) string {
			var layer int
			var rest string
			if _, err := fmt.Sscanf(name, "%d.%s", &layer, &rest); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("layers.%d.%s", lo+layer, rest)
		}
		add(g.Tiles[block], name)
		add(m.Small[block], name)
		add(s.Slices[block], name)
	}
	layout, err := safetensors.Plan(specs)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := safetensors.NewWriter(&out, layout)
	if err == nil {
		err = errors.Join(w.WriteFloat32(values), w.Close(), os.WriteFile(path, out.Bytes(), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func ExampleRelease() {
	parent, err := os.MkdirTemp("", "zetagrid")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(parent) }()
	out := filepath.Join(parent, "model")
	c, err := importer.Release(context.Background(), importer.ReleaseOptions{
		Genome: filepath.Join(tiny, "genome.npy"),
		Soul:   filepath.Join(tiny, "soul.pt"),
		Config: filepath.Join(tiny, "config.json"),
		Out:    out,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(c)
	fmt.Println(modelfile.Verify(context.Background(), out, nil))
	// Output:
	// baguqeeractbgsg5vu77hue425obo7ebmmiya7kya2mqnhnu7yarfie2pvgvq
	// <nil>
}
