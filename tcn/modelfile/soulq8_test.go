package modelfile_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

const rankQ8 = 18 // two groups of columns, two blocks of rows, neither full

// anyQ8 is a matrix that a seed decides.
func anyQ8(t testing.TB, seed uint64, rows, cols int) *quant.Q8 {
	t.Helper()
	m, err := quant.MakeQ8(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]int8, cols)
	for r := range rows {
		for c := range row {
			row[c] = int8(tcn.Hash64(seed, uint64(r*cols+c))%255) - 127
		}
		if err := m.SetRow(r, row, float32(r)/4096); err != nil { // row 0 is of scale 0
			t.Fatal(err)
		}
	}
	return m
}

// soulQ8Source is a seeded 2-bit model with a Soul of 8-bit rows.
type soulQ8Source struct {
	otherQ2
	t      testing.TB
	config tcn.Config
}

func newSoulQ8Source(t testing.TB, c tcn.Config) soulQ8Source {
	t.Helper()
	layers, err := tcn.SeededLayersQ2(c, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return soulQ8Source{otherQ2{layer: layers[0]}, t, c}
}

func (s soulQ8Source) SoulQ8(layer int) (tcn.SoulLayerQ8, error) {
	c, seed := s.config, uint64(10*layer)
	return tcn.SoulLayerQ8{
		InA: anyQ8(s.t, seed, rankQ8, c.DModel), InB: anyQ8(s.t, seed+1, 2*c.DFF, rankQ8),
		OutA: anyQ8(s.t, seed+2, rankQ8, c.DFF), OutB: anyQ8(s.t, seed+3, c.DModel, rankQ8),
	}, nil
}

func (s soulQ8Source) Small(_ int, put modelfile.Put) error {
	return put(slices.Repeat([]float32{1}, s.config.DModel+1))
}

func (s soulQ8Source) Routing(int) float32 { return 1 }

// buildSoulQ8 makes the model, and gives the paths of its slices.
func buildSoulQ8(t testing.TB, c tcn.Config) (f *modelfile.Folder, slices []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	recipe := modelfile.Recipe{Config: c, Rank: rankQ8, SoulForm: modelfile.SoulQ8, Source: newSoulQ8Source(t, c)}
	if _, err := modelfile.Build(context.Background(), dir, recipe, nil); err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	soul, _, _ := f.Soul()
	for _, link := range soul.Slices {
		path, _ := f.Path(link)
		slices = append(slices, path)
	}
	return f, slices
}

// TestSoulQ8: a slice of 8-bit rows is written, verified, described and read
// again as the matrices it was made of, where they lie.
func TestSoulQ8(t *testing.T) {
	c := q2Config()
	f, paths := buildSoulQ8(t, c)
	if err := modelfile.Verify(context.Background(), f.Dir(), nil); err != nil {
		t.Fatal(err)
	}
	in, err := modelfile.Inspect(f.Dir())
	if err != nil {
		t.Fatal(err)
	}
	layer, compute := 0, &tcn.Compute{Kernels: kernel.Best()}
	for b, path := range paths {
		if got, err := modelfile.SoulBytesQ8(c, b, rankQ8); err != nil || got != in.Blocks[b].SoulBytes || in.Blocks[b].SoulForm != modelfile.SoulQ8 {
			t.Errorf("block %d: %d bytes announced, %d of form %q there (%v)", b, got, in.Blocks[b].SoulBytes, in.Blocks[b].SoulForm, err)
		}
		slice, closer, err := modelfile.OpenSoulSlice(path, c, b, rankQ8)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range slice.Layers {
			want, _ := newSoulQ8Source(t, c).SoulQ8(layer)
			layer++
			for i, m := range []*quant.Q8{want.InA, want.InB, want.OutA, want.OutB} {
				sameProducts(t, compute, []tcn.Matrix{l.InA, l.InB, l.OutA, l.OutB}[i], tcn.NewMatrixQ8(m))
			}
		}
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
		if _, _, err := modelfile.OpenSoulLayers(path, c, b, rankQ8); !errors.Is(err, modelfile.ErrTensor) {
			t.Errorf("as float32 numbers: %v", err)
		}
	}
	file, err := safetensors.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, tensor := range file.Tensors() {
		if !strings.HasSuffix(tensor.Name, ".codes") {
			continue
		}
		raw, err := file.Bytes(tensor.Name)
		if err != nil {
			t.Fatal(err)
		}
		if at := uintptr(unsafe.Pointer(&raw[0])); at%64 != 0 {
			t.Errorf("%s begins at %x", tensor.Name, at)
		}
	}
}

// sameProducts wants two matrices to multiply alike.
func sameProducts(t *testing.T, c *tcn.Compute, got, want tcn.Matrix) {
	t.Helper()
	if got.Rows() != want.Rows() || got.Cols() != want.Cols() || got.Bytes() != want.Bytes() {
		t.Fatalf("matrix [%d, %d] of %d bytes, want [%d, %d] of %d", got.Rows(), got.Cols(), got.Bytes(), want.Rows(), want.Cols(), want.Bytes())
	}
	x, y, z := make([]float32, got.Cols()), make([]float32, got.Rows()), make([]float32, got.Rows())
	for i := range x {
		x[i] = tcn.Uniform(1, i) - 0.5
	}
	got.Multiply(c, y, x, 1)
	want.Multiply(c, z, x, 1)
	if !slices.Equal(y, z) {
		t.Error("other products")
	}
}

// TestSoulQ8Sizes: from rank 16 on 8-bit rows take about a quarter of the bytes.
func TestSoulQ8Sizes(t *testing.T) {
	c := q2Config()
	c.DModel, c.DFF = 512, 1024
	for rank, most := range map[int]float64{1: 8, 4: 1.2, 16: 0.35, 128: 0.27} {
		wide, err := modelfile.SoulBytes(c, 0, rank)
		narrow, err8 := modelfile.SoulBytesQ8(c, 0, rank)
		if ratio := float64(narrow) / float64(wide); err != nil || err8 != nil || ratio > most {
			t.Errorf("rank %d: %d and %d bytes (%v, %v)", rank, wide, narrow, err, err8)
		}
	}
	for rank, want := range map[int]error{0: modelfile.ErrTooLarge, 1: nil, tcn.MaxRank: nil, tcn.MaxRank + 1: modelfile.ErrTooLarge} {
		if _, err := modelfile.SoulBytesQ8(c, 0, rank); !errors.Is(err, want) {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
}

// TestOpenSoulQ8Refuses: what a slice of 8-bit rows may claim and must not.
func TestOpenSoulQ8Refuses(t *testing.T) {
	c := q2Config()
	_, paths := buildSoulQ8(t, c)
	good, err := os.ReadFile(paths[1])
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Open(paths[1])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	at := func(name string) int {
		tensor, ok := file.Lookup(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		return int(tensor.Offset)
	}
	number := func(name string, bits uint32) func([]byte) {
		return func(d []byte) { binary.LittleEndian.PutUint32(d[at(name):], bits) }
	}
	negative := math.Float32bits(-1)
	for name, refused := range map[string]struct {
		rank  int
		spoil func(data []byte)
		want  error
	}{
		"as it is":              {rankQ8, func([]byte) {}, nil},
		"scale not a number":    {rankQ8, number("0.lora_in.A.scale", 0x7fc00000), safetensors.ErrNotFinite},
		"infinite scale":        {rankQ8, number("0.lora_out.B.scale", 0x7f800000), safetensors.ErrNotFinite},
		"negative scale":        {rankQ8, number("0.lora_in.B.scale", negative), quant.ErrScale},
		"scale of -0":           {rankQ8, number("0.lora_out.A.scale", 1<<31), quant.ErrScale},
		"-128":                  {rankQ8, func(d []byte) { d[at("0.lora_in.A.codes")] = 0x80 }, quant.ErrCode},
		"codes past the row":    {rankQ8, func(d []byte) { d[at("0.lora_in.B.codes")+256+2] = 1 }, quant.ErrFilling},
		"codes past the column": {rankQ8, func(d []byte) { d[at("0.lora_in.A.codes")+2*256+2*4] = 1 }, quant.ErrFilling},
		"a smaller rank":        {rankQ8 - 1, func([]byte) {}, safetensors.ErrTensor},
		"a larger rank":         {rankQ8 + 1, func([]byte) {}, safetensors.ErrTensor},
		"rank 0":                {0, func([]byte) {}, modelfile.ErrTensor},
	} {
		t.Run(name, func(t *testing.T) {
			data := slices.Clone(good)
			refused.spoil(data)
			refuseSlice(t, data, c, refused.rank, refused.want)
		})
	}
}

// refuseSlice opens a slice of block 1.
func refuseSlice(t *testing.T, data []byte, c tcn.Config, rank int, want error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slice.safetensors")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, closer, err := modelfile.OpenSoulSlice(path, c, 1, rank)
	if !errors.Is(err, want) || err != nil && !errors.Is(err, modelfile.ErrTensor) {
		t.Errorf("%v, want %v", err, want)
	}
	if err == nil {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenSoulRefusesMixedForms: the matrices of a slice are of one form, and
// whole.
func TestOpenSoulRefusesMixedForms(t *testing.T) {
	c, rank := q2Config(), 2
	sizes := map[string][2]int{
		"lora_in.A": {rank, c.DModel}, "lora_in.B": {2 * c.DFF, rank}, "lora_out.A": {rank, c.DFF}, "lora_out.B": {c.DModel, rank},
	}
	names := []string{"lora_in.A", "lora_in.B", "lora_out.A", "lora_out.B"}
	f32 := func(name string, shape ...int) safetensors.Spec {
		return safetensors.Spec{Name: "0." + name, Type: element.F32, Shape: shape}
	}
	codes := func(name string, of element.Type) safetensors.Spec {
		shape := quant.ShapeQ8(sizes[name][0], sizes[name][1])
		return safetensors.Spec{Name: "0." + name + ".codes", Type: of, Shape: shape[:]}
	}
	wide := func(name string) []safetensors.Spec {
		return []safetensors.Spec{f32(name, sizes[name][0], sizes[name][1])}
	}
	narrow := func(name string) []safetensors.Spec {
		return []safetensors.Spec{codes(name, element.U8), f32(name+".scale", sizes[name][0])}
	}
	for what, c8 := range map[string]struct {
		part func(i int, name string) []safetensors.Spec
		want error
	}{
		"float32 numbers": {func(_ int, name string) []safetensors.Spec { return wide(name) }, nil},
		"8-bit rows":      {func(_ int, name string) []safetensors.Spec { return narrow(name) }, nil},
		"one 8-bit matrix": {func(i int, name string) []safetensors.Spec {
			if i == 0 {
				return narrow(name)
			}
			return wide(name)
		}, safetensors.ErrTensor},
		"one float32 matrix": {func(i int, name string) []safetensors.Spec {
			if i == 0 {
				return wide(name)
			}
			return narrow(name)
		}, safetensors.ErrTensor},
		"both forms": {func(i int, name string) []safetensors.Spec {
			return append(wide(name), narrow(name)...)
		}, safetensors.ErrTensor},
		"no scale": {func(_ int, name string) []safetensors.Spec { return narrow(name)[:1] }, safetensors.ErrTensor},
		"no codes": {func(_ int, name string) []safetensors.Spec { return narrow(name)[1:] }, safetensors.ErrTensor},
		"signed codes": {func(_ int, name string) []safetensors.Spec {
			return []safetensors.Spec{codes(name, element.I8), f32(name+".scale", sizes[name][0])}
		}, safetensors.ErrTensor},
		"signs": {func(_ int, name string) []safetensors.Spec {
			return append(narrow(name), safetensors.Spec{Name: "0." + name + ".signs", Type: element.U8, Shape: []int{1}})
		}, safetensors.ErrTensor},
		"a scale of a row too many": {func(_ int, name string) []safetensors.Spec {
			return []safetensors.Spec{codes(name, element.U8), f32(name+".scale", sizes[name][0]+1)}
		}, safetensors.ErrTensor},
	} {
		t.Run(what, func(t *testing.T) {
			var specs []safetensors.Spec
			for i, name := range names {
				specs = append(specs, c8.part(i, name)...)
			}
			refuseSlice(t, emptyTensors(specs), c, rank, c8.want)
		})
	}
}

// emptyTensors is a file of tensors without content.
func emptyTensors(specs []safetensors.Spec) []byte {
	var header []string
	end := 0
	for _, spec := range specs {
		size := spec.Type.Size()
		for _, n := range spec.Shape {
			size *= n
		}
		shape := strings.Join(strings.Fields(fmt.Sprint(spec.Shape)), ",")
		header = append(header, fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, spec.Name, spec.Type, shape, end, end+size))
		end += size
	}
	text := "{" + strings.Join(header, ",") + "}"
	text += strings.Repeat(" ", -len(text)&63)
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), make([]byte, end)...)
}

// TestBuildRefusesSoulQ8: sources without 8-bit rows, forms that are none, and
// matrices of other sizes.
func TestBuildRefusesSoulQ8(t *testing.T) {
	c, parent := q2Config(), t.TempDir()
	good := newSoulQ8Source(t, c)
	for name, refused := range map[string]struct {
		recipe modelfile.Recipe
		want   error
	}{
		"no such form":  {modelfile.Recipe{Config: c, Rank: rankQ8, SoulForm: "q4", Source: good}, modelfile.ErrConfig},
		"numbers only":  {modelfile.Recipe{Config: c, Rank: rankQ8, SoulForm: modelfile.SoulQ8, Source: good.otherQ2}, modelfile.ErrConfig},
		"another rank":  {modelfile.Recipe{Config: c, Rank: rankQ8 + 1, SoulForm: modelfile.SoulQ8, Source: good}, modelfile.ErrTensor},
		"matrices lack": {modelfile.Recipe{Config: c, Rank: rankQ8, SoulForm: modelfile.SoulQ8, Source: lackingQ8{good}}, modelfile.ErrTensor},
	} {
		if _, err := modelfile.Build(context.Background(), filepath.Join(parent, "x"), refused.recipe, nil); !errors.Is(err, refused.want) {
			t.Errorf("%s: %v, want %v", name, err, refused.want)
		}
	}
	nothingIn(t, parent)
}

// lackingQ8 is a source whose Soul has no matrices.
type lackingQ8 struct{ soulQ8Source }

func (lackingQ8) SoulQ8(int) (tcn.SoulLayerQ8, error) { return tcn.SoulLayerQ8{}, nil }
