package npy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	reference "github.com/sbinet/npyio/npy"

	"github.com/zetagrid/zetagrid/tcn/modelfile/npy"
)

// file is an .npy with a given header text and data.
func file(major byte, header string, data []byte) []byte {
	out := []byte{0x93, 'N', 'U', 'M', 'P', 'Y', major, 0}
	if major == 1 {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	} else {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	}
	return append(append(out, header...), data...)
}

func header(descr, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape)
}

func open(data []byte) (*npy.Array, error) {
	return npy.Open(bytes.NewReader(data), int64(len(data)))
}

// readAll reads an array in pieces of three.
func readAll(t *testing.T, a *npy.Array) []float64 {
	t.Helper()
	all := make([]float64, a.Count)
	for from := 0; from < len(all); from += 3 {
		if err := a.Read(all[from:min(from+3, len(all))], int64(from)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestTypes(t *testing.T) {
	numbers := []any{
		[]bool{true, false}, []int8{-3, 4}, []int16{-3, 4}, []int32{-3, 4}, []int64{-3, 4},
		[]uint8{3, 4}, []uint16{3, 4}, []uint32{3, 4}, []uint64{3, 4}, []float32{-1.5, 4}, []float64{-1.5, 4},
	}
	descr := []string{"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
	want := []string{"[1 0]", "[-3 4]", "[-3 4]", "[-3 4]", "[-3 4]", "[3 4]", "[3 4]", "[3 4]", "[3 4]", "[-1.5 4]", "[-1.5 4]"}
	for i, values := range numbers {
		for sign, order := range map[string]binary.ByteOrder{"<": binary.LittleEndian, ">": binary.BigEndian} {
			var data bytes.Buffer
			if err := binary.Write(&data, order, values); err != nil {
				t.Fatal(err)
			}
			for major := byte(1); major <= 3; major++ {
				a, err := open(file(major, header(sign+descr[i], "(2,)"), data.Bytes()))
				if err != nil {
					t.Fatalf("%s%s version %d: %v", sign, descr[i], major, err)
				}
				if got := fmt.Sprint(readAll(t, a)); got != want[i] {
					t.Errorf("%s%s version %d: %s, want %s", sign, descr[i], major, got, want[i])
				}
			}
		}
	}
	a, err := open(file(1, header(">f2", "(1, 2)"), []byte{0x3c, 0, 0xc0, 0}))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(readAll(t, a)); got != "[1 -2]" {
		t.Errorf(">f2: %s", got)
	}
}

// TestAgainstReference reads what an independent writer writes.
func TestAgainstReference(t *testing.T) {
	values := make([]float64, 257)
	for i := range values {
		values[i] = math.Sin(float64(i))
	}
	var out bytes.Buffer
	if err := reference.Write(&out, values); err != nil {
		t.Fatal(err)
	}
	a, err := open(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range readAll(t, a) {
		if got != values[i] {
			t.Fatalf("number %d is %v, want %v", i, got, values[i])
		}
	}
}

func TestHeaderSpellings(t *testing.T) {
	data := make([]byte, 24)
	for _, text := range []string{
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n",
		`{"shape":(2,3),"fortran_order":False,"descr":"<f4"}`,
		"{'shape': (6,), 'fortran_order': True, 'descr': '<f4'}",
		"{ 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 1 , 2 , 3 , ) }",
	} {
		if a, err := open(file(1, text, data)); err != nil || a.Count != 6 {
			t.Errorf("%s: %v", text, err)
		}
	}
	if a, err := open(file(1, header("<f4", "()"), data[:4])); err != nil || a.Count != 1 {
		t.Errorf("scalar: %v", err)
	}
	if a, err := open(file(1, header("<f4", "(3, 0)"), nil)); err != nil || a.Count != 0 {
		t.Errorf("empty: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	data := make([]byte, 8)
	good := header("<f4", "(2,)")
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"empty":                {nil, npy.ErrFormat},
		"other magic":          {append([]byte("\x94NUMPY"), file(1, good, data)[6:]...), npy.ErrFormat},
		"zip":                  {[]byte("PK\x03\x04 an npz is not an npy"), npy.ErrFormat},
		"version 0":            {file(0, good, data), npy.ErrFormat},
		"version 4":            {file(4, good, data), npy.ErrFormat},
		"header past the end":  {file(1, good, nil)[:40], npy.ErrFormat},
		"header length huge":   {append(file(2, "", nil)[:8], 0xff, 0xff, 0xff, 0xff), npy.ErrTooLarge},
		"data too short":       {file(1, good, data[:7]), npy.ErrFormat},
		"data too long":        {file(1, good, make([]byte, 9)), npy.ErrFormat},
		"shape lies":           {file(1, header("<f4", "(3,)"), data), npy.ErrFormat},
		"shape overflows":      {file(1, header("<f8", "(2305843009213693952, 8)"), data), npy.ErrTooLarge},
		"shape wraps to 8":     {file(1, header("<u1", "(4294967296, 4294967296, 8)"), data), npy.ErrTooLarge},
		"size past int64":      {file(1, header("<f4", "(9223372036854775808,)"), data), npy.ErrFormat},
		"negative size":        {file(1, header("<f4", "(-2,)"), data), npy.ErrFormat},
		"not a tuple":          {file(1, header("<f4", "(2)"), data), npy.ErrFormat},
		"list":                 {file(1, header("<f4", "[2]"), data), npy.ErrFormat},
		"fortran":              {file(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1)}", data), npy.ErrType},
		"object":               {file(1, header("|O", "(1,)"), data), npy.ErrType},
		"complex":              {file(1, header("<c8", "(1,)"), data), npy.ErrType},
		"text":                 {file(1, header("<U2", "(1,)"), data), npy.ErrType},
		"time":                 {file(1, header("<M8[s]", "(1,)"), data), npy.ErrType},
		"long double":          {file(1, header("<f16", "(1,)"), data), npy.ErrType},
		"no order":             {file(1, header("|f4", "(2,)"), data), npy.ErrType},
		"native order":         {file(1, header("=f4", "(2,)"), data), npy.ErrType},
		"no descr":             {file(1, header("", "(2,)"), data), npy.ErrType},
		"structured":           {file(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", data), npy.ErrType},
		"missing name":         {file(1, "{'descr': '<f4', 'shape': (2,)}", data), npy.ErrFormat},
		"unknown name":         {file(1, strings.Replace(good, "}", "'x': 1}", 1), data), npy.ErrFormat},
		"name twice":           {file(1, strings.Replace(good, "}", "'shape': (2,)}", 1), data), npy.ErrFormat},
		"expression":           {file(1, header("<f4", "(1+1,)"), data), npy.ErrFormat},
		"call":                 {file(1, "{'descr': '<f4', 'fortran_order': exit(), 'shape': (2,)}", data), npy.ErrFormat},
		"escape":               {file(1, header(`\x3cf4`, "(2,)"), data), npy.ErrFormat},
		"string does not end":  {file(1, "{'descr: ", data), npy.ErrFormat},
		"text after":           {file(1, good+"1", data), npy.ErrFormat},
		"missing comma":        {file(1, "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", data), npy.ErrFormat},
		"object array payload": {file(1, header("|O", "(1,)"), []byte("\x80\x04cos\nsystem\n")), npy.ErrType},
	} {
		t.Run(name, func(t *testing.T) {
			if a, err := open(c.file); !errors.Is(err, c.want) {
				t.Errorf("%v, %v, want %v", a, err, c.want)
			}
		})
	}
}

func TestTruncated(t *testing.T) {
	whole := file(1, header("<f4", "(2,)"), make([]byte, 8))
	for n := range whole {
		if _, err := open(whole[:n]); !errors.Is(err, npy.ErrFormat) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	whole := file(1, header("<f4", "(2,)"), make([]byte, 8))
	a, err := open(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		n    int
		from int64
	}{{1, -1}, {1, 2}, {3, 0}, {1, math.MaxInt64}, {0, 3}} {
		if err := a.Read(make([]float64, c.n), c.from); !errors.Is(err, npy.ErrFormat) {
			t.Errorf("%d from %d: %v", c.n, c.from, err)
		}
	}
	// The file got shorter after it was opened.
	short, err := npy.Open(bytes.NewReader(whole[:len(whole)-4]), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	if err := short.Read(make([]float64, 2), 0); !errors.Is(err, npy.ErrFormat) {
		t.Errorf("read past the end of the file: %v", err)
	}
}

func TestLimits(t *testing.T) {
	good := header("<u1", "(1,)")
	pad := func(n int) []byte { return file(2, good+strings.Repeat(" ", n-len(good)), []byte{1}) }
	dims := func(n int) []byte {
		return file(1, header("<u1", "("+strings.Repeat("1,", n)+")"), []byte{1})
	}
	for name, c := range map[string]struct{ at, past []byte }{
		"header":     {pad(npy.HeaderBytes), pad(npy.HeaderBytes + 1)},
		"dimensions": {dims(npy.Dimensions), dims(npy.Dimensions + 1)},
	} {
		if _, err := open(c.at); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if _, err := open(c.past); !errors.Is(err, npy.ErrTooLarge) {
			t.Errorf("%s past the limit: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(file(1, header("<f4", "(2,)"), make([]byte, 8)))
	f.Add(file(3, header(">u2", "(1, 2)"), make([]byte, 4)))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := open(data)
		if err != nil {
			if !errors.Is(err, npy.ErrFormat) && !errors.Is(err, npy.ErrType) && !errors.Is(err, npy.ErrTooLarge) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		if a.Count > int64(len(data)) {
			t.Fatalf("%d numbers in %d bytes", a.Count, len(data))
		}
		if err := a.Read(make([]float64, a.Count), 0); err != nil {
			t.Fatal(err)
		}
	})
}

func Example() {
	path := filepath.Join("..", "testdata", "tiny", "genome.npy")
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	a, err := npy.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		panic(err)
	}
	first := make([]float64, 3)
	if err := a.Read(first, 0); err != nil {
		panic(err)
	}
	fmt.Println(a.Type, a.Order, a.Shape, a.Count)
	fmt.Println(first)
	// Output:
	// F16 BigEndian [19 23] 437
	// [-0.359619140625 1.2041015625 1.396484375]
}
