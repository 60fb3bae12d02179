package driver

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestParameterBytes(t *testing.T) {
	for _, c := range []struct {
		name, ptx string
		want      map[string]int
	}{
		{"nothing", "", map[string]int{}},
		{"two kernels", ".visible .entry a(\n\t.param .align 8 .b8 a_param_0[64]\n)\n{ ret; }\n.visible .entry b( .param .b8 b_param_0[8] )\n.maxntid 256, 1, 1\n{ ret; }",
			map[string]int{"a": 64, "b": 8}},
		{"a number", ".visible .entry a(\n\t.param .u64 a_param_0\n)", map[string]int{}},
		{"two parameters", ".visible .entry a(\n\t.param .align 8 .b8 a_param_0[64],\n\t.param .u32 a_param_1\n)", map[string]int{}},
		{"none", ".visible .entry a()", map[string]int{}},
		{"not a kernel", ".visible .func f(\n\t.param .align 8 .b8 f_param_0[64]\n)", map[string]int{}},
		{"too large a number", ".entry a(.param .b8 p[99999999999999999999])", map[string]int{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parameterBytes([]byte(c.ptx)); !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// No text makes it fail, and what it finds are sizes of kernels the text names.
func FuzzParameterBytes(f *testing.F) {
	for _, ptx := range []string{"", ".entry a(.param .align 8 .b8 p[64])", ".entry a(.param .b8 p[-1])", ".entry a(.param .b8 p[99999999999999999999])"} {
		f.Add([]byte(ptx))
	}
	f.Fuzz(func(t *testing.T, ptx []byte) {
		for name, size := range parameterBytes(ptx) {
			if size < 0 || name == "" || !bytes.Contains(ptx, []byte(name)) {
				t.Errorf("%q has %d bytes", name, size)
			}
		}
	})
}

// The driver package can launch every kernel of the repository.
func TestParameterBytesOfTheKernels(t *testing.T) {
	files, err := filepath.Glob("../kernels/ptx/*.ptx")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d PTX files, %v", len(files), err)
	}
	for _, name := range files {
		ptx, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sizes := parameterBytes(ptx)
		if entries := bytes.Count(ptx, []byte(".entry ")); len(sizes) != entries || entries == 0 {
			t.Errorf("%s: %d of %d kernels have one struct as their parameter", name, len(sizes), entries)
		}
		for kernel, size := range sizes {
			if size%8 != 0 {
				t.Errorf("%s: %s: %d bytes", name, kernel, size)
			}
		}
	}
}
