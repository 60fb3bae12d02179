package kernels

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unsafe"
)

// readAll is every committed text by its file's name.
func readAll(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := texts.ReadDir("ptx")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		if all[f.Name()], err = texts.ReadFile("ptx/" + f.Name()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// sizes are the bytes of what each kernel is handed.
var sizes = map[string]uintptr{
	"rms_norm":            unsafe.Sizeof(NormArgs{}),
	"conv_gate":           unsafe.Sizeof(ConvArgs{}),
	"conv":                unsafe.Sizeof(ConvArgs{}),
	"conv_terms":          unsafe.Sizeof(ConvArgs{}),
	"conv_ring":           unsafe.Sizeof(ConvArgs{}),
	"gate":                unsafe.Sizeof(GateArgs{}),
	"quantize":            unsafe.Sizeof(QuantizeArgs{}),
	"residual":            unsafe.Sizeof(ResidualArgs{}),
	"begin_block":         unsafe.Sizeof(BlockArgs{}),
	"end_block":           unsafe.Sizeof(BlockArgs{}),
	"shrink_wide":         unsafe.Sizeof(ShrinkArgs{}),
	"shrink_narrow":       unsafe.Sizeof(ShrinkArgs{}),
	"product_f32_rows1":   unsafe.Sizeof(ProductArgs{}),
	"product_f32_rows4":   unsafe.Sizeof(ProductArgs{}),
	"product_f32_rows8":   unsafe.Sizeof(ProductArgs{}),
	"product_q2_rows1":    unsafe.Sizeof(ProductArgs{}),
	"product_q2_rows2":    unsafe.Sizeof(ProductArgs{}),
	"product_q2_tiles8":   unsafe.Sizeof(ProductArgs{}),
	"product_q2_tiles16":  unsafe.Sizeof(ProductArgs{}),
	"product_q2_tiles32":  unsafe.Sizeof(ProductArgs{}),
	"product_q2_tiles64":  unsafe.Sizeof(ProductArgs{}),
	"product_q2_tiles128": unsafe.Sizeof(ProductArgs{}),
	"product_q2_narrow8":  unsafe.Sizeof(ProductArgs{}),
	"product_q2_narrow16": unsafe.Sizeof(ProductArgs{}),
	"product_q2_narrow32": unsafe.Sizeof(ProductArgs{}),
	"product_s8_tiles":    unsafe.Sizeof(ProductS8Args{}),
	"read_bytes":          unsafe.Sizeof(ReadBytesArgs{}),
}

// TestParameters: a kernel's only parameter is as large as its struct is here.
func TestParameters(t *testing.T) {
	param := regexp.MustCompile(`\.entry (\w+)\(\s*\.param \.align \d+ \.b8 \w+\[(\d+)\]\s*\)`)
	seen := map[string]bool{}
	for file, text := range readAll(t) {
		found := param.FindAllSubmatch(text, -1)
		if len(found) != len(entries(text)) {
			t.Errorf("%s: %d kernels, of which %d have one struct as their parameter", file, len(entries(text)), len(found))
		}
		for _, m := range found {
			name := string(m[1])
			seen[name] = true
			if size, ok := sizes[name]; !ok || fmt.Sprint(size) != string(m[2]) {
				t.Errorf("%s: kernel %s is handed %s bytes there, %d here", file, name, m[2], size)
			}
		}
	}
	for name := range sizes {
		if !seen[name] {
			t.Errorf("no kernel %s", name)
		}
	}
}

// TestExactInstructions: no instruction may be fused by a driver's compiler, flush
// denormals or round in a way of its own.
func TestExactInstructions(t *testing.T) {
	float := regexp.MustCompile(`^\s*(?:@!?%p\d+\s+)?(\w+)((?:\.\w+)*\.f(?:32|64))\b`)
	bad := regexp.MustCompile(`\.(ftz|approx|full)\b|^(fma|mad)\.|\.f64\b`)
	for file, text := range readAll(t) {
		lines := bufio.NewScanner(bytes.NewReader(text))
		for number := 1; lines.Scan(); number++ {
			m := float.FindStringSubmatch(lines.Text())
			if m == nil {
				continue
			}
			name := m[1] + m[2]
			if bad.MatchString(name) {
				t.Errorf("%s, line %d: %s", file, number, name)
			}
			switch m[1] {
			case "add", "sub", "mul", "div", "sqrt":
				if !strings.Contains(name, ".rn.") {
					t.Errorf("%s, line %d: %s says no rounding: it may be fused", file, number, name)
				}
			}
		}
	}
}
