package kernels

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// structs are what args.h and yardsticks.h declare, under the same names.
var structs = []any{
	Share{}, VariantLayer{}, Term{}, Batch{}, Place{}, Int8Rows{}, Low{}, Spread{},
	NormArgs{}, ConvArgs{}, GateArgs{}, QuantizeArgs{}, ProductArgs{}, ShrinkArgs{}, ResidualArgs{}, BlockArgs{},
	ReadBytesArgs{}, ProductS8Args{},
}

// field is one of a struct in C.
type field struct{ typ, name string }

// declared are the structs of the headers.
func declared(t *testing.T) map[string][]field {
	t.Helper()
	var text []byte
	for _, name := range []string{"args.h", "yardsticks.h"} {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, part...)
	}
	text = regexp.MustCompile(`//[^\n]*`).ReplaceAll(text, nil)
	all := map[string][]field{}
	for _, m := range regexp.MustCompile(`(?s)struct (\w+) \{(.*?)\};`).FindAllSubmatch(text, -1) {
		for line := range bytes.SplitSeq(m[2], []byte(";")) {
			typ, names, found := strings.Cut(strings.TrimSpace(string(line)), " ")
			if !found {
				continue
			}
			for name := range strings.SplitSeq(names, ",") {
				all[string(m[1])] = append(all[string(m[1])], field{typ, strings.TrimSpace(name)})
			}
		}
	}
	return all
}

// TestLayout: the structs here have the fields of those in C, in their order, of their
// sizes, and nothing between them.
func TestLayout(t *testing.T) {
	size := map[string]uintptr{"u64": 8, "i64": 8, "u32": 4, "i32": 4, "float": 4}
	headers := declared(t)
	for _, s := range structs {
		typ := reflect.TypeOf(s)
		fields, offset := headers[typ.Name()], uintptr(0)
		if len(fields) != typ.NumField() {
			t.Errorf("%s has %d fields there, %d here", typ.Name(), len(fields), typ.NumField())
			continue
		}
		for i, c := range fields {
			here := typ.Field(i)
			want := strings.ReplaceAll(c.name, "_", "")
			if name := strings.ToLower(here.Name); name != want && (name != "_" || want != "zero") {
				t.Errorf("%s.%s is %s there", typ.Name(), here.Name, c.name)
			}
			if here.Offset != offset || here.Type.Size() != size[c.typ] {
				t.Errorf("%s.%s: %d bytes at %d, there %d at %d", typ.Name(), here.Name, here.Type.Size(), here.Offset, size[c.typ], offset)
			}
			offset += size[c.typ]
		}
		if typ.Size() != offset || offset%8 != 0 {
			t.Errorf("%s is %d bytes, there %d", typ.Name(), typ.Size(), offset)
		}
		size[typ.Name()] = offset
		delete(headers, typ.Name())
	}
	for name := range headers {
		t.Errorf("no struct %s here", name)
	}
}
