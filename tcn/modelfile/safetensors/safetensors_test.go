package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	reference "github.com/nlpodyssey/safetensors"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
	"github.com/zetagrid/zetagrid/tcn/modelfile/safetensors"
)

// raw is a file with a given header and n bytes of data.
func raw(header string, n int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, n)...)
}

func decode(file []byte) ([]safetensors.Tensor, error) {
	return safetensors.DecodeHeader(bytes.NewReader(file), int64(len(file)))
}

func write(t testing.TB, specs []safetensors.Spec, values []float32) []byte {
	t.Helper()
	layout, err := safetensors.Plan(specs)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := safetensors.NewWriter(&out, layout)
	if err != nil {
		t.Fatal(err)
	}
	// In pieces that do not fit the tensors.
	for len(values) > 0 {
		n := min(7, len(values))
		if err := w.WriteFloat32(values[:n]); err != nil {
			t.Fatal(err)
		}
		values = values[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != layout.Size {
		t.Fatalf("file of %d bytes, planned %d", out.Len(), layout.Size)
	}
	return out.Bytes()
}

func save(t testing.TB, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func f32(name string, shape ...int) safetensors.Spec {
	return safetensors.Spec{Name: name, Type: element.F32, Shape: shape}
}

// TestRoundTrip writes random shapes, reads them back in place, and has an
// independent reader agree.
func TestRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var specs []safetensors.Spec
		var values []float32
		for i := range 1 + random.IntN(6) {
			shape := []int{1 + random.IntN(9), 1 + random.IntN(40)}
			specs = append(specs, f32(fmt.Sprintf("%d.w", i), shape...))
			for range shape[0] * shape[1] {
				values = append(values, random.Float32())
			}
		}
		data := write(t, specs, values)
		file, err := safetensors.Open(save(t, data))
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Check(specs); err != nil {
			t.Fatal(err)
		}
		theirs, err := reference.Deserialize(data)
		if err != nil {
			t.Fatalf("the reference reader refuses: %v", err)
		}
		rest := values
		for _, spec := range specs {
			n := spec.Shape[0] * spec.Shape[1]
			got, err := file.Float32(spec.Name)
			if err != nil || !slices.Equal(got, rest[:n]) {
				t.Fatalf("%s: other numbers than written, %v", spec.Name, err)
			}
			info, _ := file.Lookup(spec.Name)
			if info.Offset%safetensors.Alignment != 0 {
				t.Fatalf("%s begins at %d", spec.Name, info.Offset)
			}
			view, ok := theirs.Tensor(spec.Name)
			if !ok || !bytes.Equal(view.Data(), data[info.Offset:info.Offset+info.Bytes]) {
				t.Fatalf("%s: the reference reader has other bytes", spec.Name)
			}
			rest = rest[n:]
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadsEveryFloat(t *testing.T) {
	for dtype, data := range map[string][]byte{
		"F32": {0, 0, 0x80, 0x3f}, "F16": {0, 0x3c}, "BF16": {0x80, 0x3f}, "F64": {0, 0, 0, 0, 0, 0, 0xf0, 0x3f},
	} {
		header := fmt.Sprintf(`{"x":{"dtype":"%s","shape":[1],"data_offsets":[0,%d]}}`, dtype, len(data))
		file, err := safetensors.Open(save(t, append(raw(header, 0), data...)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := file.Float32("x"); err != nil || got[0] != 1 {
			t.Errorf("%s: %v, %v, want 1", dtype, got, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDecodeHeaderRefuses(t *testing.T) {
	const x = `"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	huge := strings.Repeat("9", 19)
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"empty":             {nil, safetensors.ErrFormat},
		"seven bytes":       {make([]byte, 7), safetensors.ErrFormat},
		"no header":         {make([]byte, 8), safetensors.ErrFormat},
		"header past end":   {binary.LittleEndian.AppendUint64(nil, 100), safetensors.ErrFormat},
		"header length max": {binary.LittleEndian.AppendUint64(nil, math.MaxUint64), safetensors.ErrTooLarge},
		"not JSON":          {raw("hello", 0), safetensors.ErrFormat},
		"array":             {raw("[]", 0), safetensors.ErrFormat},
		"leading space":     {raw(" {}", 0), safetensors.ErrFormat},
		"not UTF-8":         {raw("{\"\xff\":{}}", 0), safetensors.ErrFormat},
		"rest":              {raw("{}{}", 0), safetensors.ErrFormat},
		"unfinished":        {raw("{"+x, 8), safetensors.ErrFormat},
		"duplicate tensor":  {raw("{"+x+","+x+"}", 8), safetensors.ErrFormat},
		"duplicate field":   {raw(`{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), safetensors.ErrFormat},
		"unknown field":     {raw(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"y":1}}`, 8), safetensors.ErrFormat},
		"unknown dtype":     {raw(`{"x":{"dtype":"F9","shape":[2],"data_offsets":[0,8]}}`, 8), safetensors.ErrFormat},
		"no dtype":          {raw(`{"x":{"shape":[2],"data_offsets":[0,8]}}`, 8), safetensors.ErrFormat},
		"no shape":          {raw(`{"x":{"dtype":"F32","data_offsets":[0,4]}}`, 4), safetensors.ErrFormat},
		"no offsets":        {raw(`{"x":{"dtype":"F32","shape":[0]}}`, 0), safetensors.ErrFormat},
		"one offset":        {raw(`{"x":{"dtype":"F32","shape":[0],"data_offsets":[0]}}`, 0), safetensors.ErrFormat},
		"reversed offsets":  {raw(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4), safetensors.ErrFormat},
		"negative shape":    {raw(`{"x":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, 4), safetensors.ErrFormat},
		"fractional shape":  {raw(`{"x":{"dtype":"F32","shape":[1.5],"data_offsets":[0,6]}}`, 6), safetensors.ErrFormat},
		"shape overflows":   {raw(`{"x":{"dtype":"F32","shape":[`+huge[:18]+`,4611686018427387904,4],"data_offsets":[0,0]}}`, 0), safetensors.ErrFormat},
		"shape too big":     {raw(`{"x":{"dtype":"F32","shape":[`+huge+`9],"data_offsets":[0,8]}}`, 8), safetensors.ErrFormat},
		"shape lies":        {raw(`{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), safetensors.ErrFormat},
		"past the end":      {raw("{"+x+"}", 4), safetensors.ErrFormat},
		"bytes left":        {raw("{"+x+"}", 12), safetensors.ErrFormat},
		"hole":              {raw(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3), safetensors.ErrFormat},
		"overlap":           {raw(`{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), safetensors.ErrFormat},
		"same bytes":        {raw(`{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2), safetensors.ErrFormat},
		"bad metadata":      {raw(`{"__metadata__":{"a":1},`+x+`}`, 8), safetensors.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			if tensors, err := decode(c.file); !errors.Is(err, c.want) {
				t.Errorf("%v, %v, want %v", tensors, err, c.want)
			}
		})
	}
}

// TestTruncated cuts a file at every length.
func TestTruncated(t *testing.T) {
	file := write(t, []safetensors.Spec{f32("a", 3), f32("b", 2, 2)}, make([]float32, 7))
	for n := range file {
		if _, err := decode(file[:n]); !errors.Is(err, safetensors.ErrFormat) && !errors.Is(err, safetensors.ErrTooLarge) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestLimits(t *testing.T) {
	pad := func(n int) []byte { return raw("{}"+strings.Repeat(" ", n-2), 0) }
	many := func(n int) []byte {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `,"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
		}
		return raw("{"+text.String()[1:]+"}", 0)
	}
	one := func(name, shape string) []byte {
		return raw(fmt.Sprintf(`{"%s":{"dtype":"U8","shape":[%s],"data_offsets":[0,1]}}`, name, shape), 1)
	}
	ones := func(n int) string { return strings.TrimSuffix(strings.Repeat("1,", n), ",") }
	for name, c := range map[string]struct{ at, past []byte }{
		"header":     {pad(safetensors.HeaderBytes), pad(safetensors.HeaderBytes + 1)},
		"tensors":    {many(safetensors.Tensors), many(safetensors.Tensors + 1)},
		"dimensions": {one("x", ones(safetensors.Dimensions)), one("x", ones(safetensors.Dimensions+1))},
		"name":       {one(strings.Repeat("n", safetensors.NameBytes), "1"), one(strings.Repeat("n", safetensors.NameBytes+1), "1")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decode(c.at); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			if _, err := decode(c.past); !errors.Is(err, safetensors.ErrTooLarge) {
				t.Errorf("past the limit: %v", err)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	for name, specs := range map[string][]safetensors.Spec{
		"no name":   {f32("", 1)},
		"twice":     {f32("a", 1), f32("a", 1)},
		"padding":   {f32("pad.0", 1)},
		"metadata":  {f32("__metadata__", 1)},
		"empty":     {f32("a", 0)},
		"negative":  {f32("a", -1)},
		"overflow":  {f32("a", math.MaxInt, math.MaxInt)},
		"sum":       {f32("a", math.MaxInt/8), f32("b", math.MaxInt/8)},
		"no type":   {{Name: "a", Shape: []int{1}}},
		"long name": {f32(strings.Repeat("n", safetensors.NameBytes+1), 1)},
	} {
		if _, err := safetensors.Plan(specs); !errors.Is(err, safetensors.ErrTensor) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	layout, err := safetensors.Plan([]safetensors.Spec{f32("a", 2), {Name: "b", Type: element.F16, Shape: []int{1}}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := safetensors.NewWriter(&bytes.Buffer{}, layout)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if err := w.WriteFloat32([]float32{float32(v)}); !errors.Is(err, safetensors.ErrNotFinite) {
			t.Errorf("%v: %v", v, err)
		}
	}
	if err := w.WriteFloat32([]float32{1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, safetensors.ErrTensor) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("half a tensor: %v", err)
	}
	if err := w.WriteFloat32([]float32{1, 1}); !errors.Is(err, safetensors.ErrTensor) {
		t.Errorf("F32 into F16: %v", err)
	}
}

// TestWriteBytes: bytes go into U8 tensors only, over the gaps, and come back.
func TestWriteBytes(t *testing.T) {
	u8 := func(name string, n int) safetensors.Spec {
		return safetensors.Spec{Name: name, Type: element.U8, Shape: []int{n}}
	}
	specs := []safetensors.Spec{u8("a", 3), u8("b", 70), f32("c", 1)}
	layout, err := safetensors.Plan(specs)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := safetensors.NewWriter(&out, layout)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 73)
	for i := range raw {
		raw[i] = byte(i + 1)
	}
	if err := errors.Join(w.WriteBytes(raw[:5]), w.WriteBytes(raw[5:])); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteBytes(raw[:1]); !errors.Is(err, safetensors.ErrTensor) {
		t.Errorf("U8 into F32: %v", err)
	}
	if err := errors.Join(w.WriteFloat32([]float32{1}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteBytes(raw[:1]); !errors.Is(err, safetensors.ErrTensor) {
		t.Errorf("past the end: %v", err)
	}
	file, err := safetensors.Open(save(t, out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	a, errA := file.Bytes("a")
	b, errB := file.Bytes("b")
	if err := errors.Join(errA, errB, file.Check(specs)); err != nil || !bytes.Equal(append(bytes.Clone(a), b...), raw) {
		t.Errorf("read %v %v, %v", a, b, err)
	}
	if err := file.Check([]safetensors.Spec{f32("a", 3), u8("b", 70), f32("c", 1)}); !errors.Is(err, safetensors.ErrTensor) {
		t.Errorf("U8 where numbers are wanted: %v", err)
	}
	if err := file.Check([]safetensors.Spec{u8("a", 3), u8("b", 70), u8("c", 1)}); !errors.Is(err, safetensors.ErrTensor) {
		t.Errorf("F32 where bytes are wanted: %v", err)
	}
}

func TestCheck(t *testing.T) {
	file, err := safetensors.Open(save(t, write(t, []safetensors.Spec{f32("a", 2, 3), f32("b", 1)}, make([]float32, 7))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for want, specs := range map[string][]safetensors.Spec{
		`"a" is [2 3], want [3 2]`: {f32("a", 3, 2), f32("b", 1)},
		`lacks "c" [1]`:            {f32("a", 2, 3), f32("b", 1), f32("c", 1)},
		`holds "b"`:                {f32("a", 2, 3)},
	} {
		if err := file.Check(specs); !errors.Is(err, safetensors.ErrTensor) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := file.Float32("c"); !errors.Is(err, safetensors.ErrTensor) {
		t.Error(err)
	}
}

func TestNotFinite(t *testing.T) {
	file := write(t, []safetensors.Spec{f32("a", 3)}, make([]float32, 3))
	binary.LittleEndian.PutUint32(file[len(file)-4:], 0x7fc00000)
	opened, err := safetensors.Open(save(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	if _, err := opened.Float32("a"); !errors.Is(err, safetensors.ErrNotFinite) || !strings.Contains(err.Error(), "number 2") {
		t.Error(err)
	}
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(write(f, []safetensors.Spec{f32("a", 3), f32("b", 2, 2)}, make([]float32, 7)))
	f.Add(raw(`{"__metadata__":{"a":"b"},"x":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}  `, 2))
	f.Fuzz(func(t *testing.T, file []byte) {
		tensors, err := decode(file)
		if err != nil {
			if !errors.Is(err, safetensors.ErrFormat) && !errors.Is(err, safetensors.ErrTooLarge) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		// The tensors tile the file from its header to its end.
		next := int64(8 + binary.LittleEndian.Uint64(file))
		for _, tensor := range tensors {
			if tensor.Offset != next || tensor.Bytes < 0 {
				t.Fatalf("%+v begins at %d, want %d", tensor, tensor.Offset, next)
			}
			next += tensor.Bytes
		}
		if next != int64(len(file)) {
			t.Fatalf("tensors end at %d of %d", next, len(file))
		}
	})
}

func Example() {
	layout, err := safetensors.Plan([]safetensors.Spec{
		{Name: "0.w_in", Type: element.F32, Shape: []int{2, 3}},
		{Name: "0.scale", Type: element.F32, Shape: []int{1}},
	})
	if err != nil {
		panic(err)
	}
	var file bytes.Buffer
	w, err := safetensors.NewWriter(&file, layout)
	if err != nil {
		panic(err)
	}
	if err := errors.Join(w.WriteFloat32([]float32{1, 2, 3, 4, 5, 6, 0.5}), w.Close()); err != nil {
		panic(err)
	}
	tensors, err := safetensors.DecodeHeader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		panic(err)
	}
	for _, t := range tensors {
		fmt.Println(t.Name, t.Describe(), "at", t.Offset)
	}
	// Output:
	// 0.w_in F32 [2, 3] at 192
	// pad.0 U8 [40] at 216
	// 0.scale F32 [1] at 256
}
