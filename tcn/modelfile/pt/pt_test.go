package pt_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/modelfile/pt"
)

func open(data []byte) (*pt.Checkpoint, error) {
	return pt.Open(bytes.NewReader(data), int64(len(data)))
}

// entry is one entry of an archive.
type entry struct {
	name   string
	data   []byte
	method uint16
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		f, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: e.method})
		if err == nil {
			_, err = f.Write(e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// checkpoint is an archive of one pickle and storage "0" of 24 bytes, 0 to 23.
func checkpoint(t testing.TB, pickle string) []byte {
	t.Helper()
	return archive(t, entry{name: "x/data.pkl", data: []byte(pickle)}, entry{name: "x/data/0", data: count(24)})
}

func count(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i)
	}
	return out
}

// Pieces of pickles, protocol 2.

func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}
func integer(n int32) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func ints(n ...int32) string {
	out := "("
	for _, v := range n {
		out += integer(v)
	}
	return out + "t"
}
func storageOf(kind, key string, n int32) string {
	return "(" + text("storage") + "ctorch\n" + kind + "\n" + text(key) + text("cpu") + integer(n) + "tQ"
}
func tensorOf(storage string, offset int32, shape, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(offset) + shape + stride +
		"\x89ccollections\nOrderedDict\n)RtR"
}
func bytesTensor(offset int32, shape, stride string) string {
	return tensorOf(storageOf("ByteStorage", "0", 24), offset, shape, stride)
}
func state(members ...string) string { return "\x80\x02}(" + strings.Join(members, "") + "u." }

func TestTensors(t *testing.T) {
	for name, c := range map[string]struct{ tensor, shape, want string }{
		"matrix":     {bytesTensor(0, ints(2, 3), ints(3, 1)), "[2 3]", "[0 1 2 3 4 5]"},
		"offset":     {bytesTensor(4, ints(3), ints(1)), "[3]", "[4 5 6]"},
		"transposed": {bytesTensor(0, ints(3, 2), ints(1, 3)), "[3 2]", "[0 3 1 4 2 5]"},
		"column":     {bytesTensor(1, ints(3), ints(8)), "[3]", "[1 9 17]"},
		"expanded":   {bytesTensor(5, ints(2, 2), ints(0, 1)), "[2 2]", "[5 6 5 6]"},
		"scalar":     {bytesTensor(7, ")", ")"), "[]", "[7]"},
		"empty":      {bytesTensor(0, ints(0, 3), ints(3, 1)), "[0 3]", "[]"},
		"last":       {bytesTensor(23, ints(1), ints(1)), "[1]", "[23]"},
		"three":      {bytesTensor(0, ints(2, 2, 2), ints(12, 1, 6)), "[2 2 2]", "[0 6 1 7 12 18 13 19]"},
		"int32":      {tensorOf(storageOf("IntStorage", "0", 6), 1, ints(1), ints(1)), "[1]", fmt.Sprint([]float32{0x07060504})},
		"bool":       {tensorOf(storageOf("BoolStorage", "0", 24), 0, ints(2), ints(1)), "[2]", "[0 1]"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []uint16{zip.Store, zip.Deflate} {
				c1, err := open(archive(t,
					entry{"x/data.pkl", []byte(state(text("w"), c.tensor)), method},
					entry{"x/data/0", count(24), method}))
				if err != nil {
					t.Fatal(err)
				}
				shape, ok := c1.Shape("w")
				if got := fmt.Sprint(shape); !ok || got != c.shape {
					t.Errorf("shape %s, want %s", got, c.shape)
				}
				numbers, err := c1.Float32("w")
				if got := fmt.Sprint(numbers); err != nil || got != c.want {
					t.Errorf("%s, %v, want %s", got, err, c.want)
				}
			}
		})
	}
}

func TestBigEndian(t *testing.T) {
	c, err := open(archive(t,
		entry{name: "x/data.pkl", data: []byte(state(text("w"), tensorOf(storageOf("ShortStorage", "0", 12), 0, ints(2), ints(1))))},
		entry{name: "x/data/0", data: count(24)},
		entry{name: "x/byteorder", data: []byte("big")}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Float32("w"); err != nil || fmt.Sprint(got) != "[1 515]" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestPlainValues reads every value that may stand beside the tensors.
func TestPlainValues(t *testing.T) {
	for name, value := range map[string]string{
		"none": "N", "true": "\x88", "int1": "K\x05", "int2": "M\x05\x00", "negative": integer(-1),
		"long": "\x8a\x02\xff\xff", "long0": "\x8a\x00", "float": "G\x3f\xf0\x00\x00\x00\x00\x00\x00",
		"list": "](K\x01K\x02e", "append": "]K\x01a", "tuple": "K\x01K\x02\x86", "empty tuple": ")",
		"dict": "}" + text("a") + "Ns", "int key": "}K\x01Ns", "memo": "]q\x01h\x01\x86",
		"long memo": "]r\xff\xff\xff\xffj\xff\xff\xff\xff\x86", "memoize": "]\x94h\x00\x86",
		"short text": "\x8c\x03abc", "frame": "\x95\x00\x00\x00\x00\x00\x00\x00\x00N",
		"stack global": text("collections") + text("OrderedDict") + "\x93)R",
		"metadata":     "ccollections\nOrderedDict\n)R}" + text("_metadata") + "}sb",
	} {
		if value[len(value)-1] == 0x86 && name != "tuple" {
			value = "K\x00" + value[:len(value)-1] + "\x87"
		}
		pickle := state(text("model"), "}", text("extra"), value)
		if _, err := open(checkpoint(t, pickle)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFacts(t *testing.T) {
	c, err := open(checkpoint(t, state(text("model"), "}", text("step"), "M\x98\x3a", text("ok"), "\x88", text("skip"), "]")))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Facts); got != "map[ok:true step:15000]" {
		t.Error(got)
	}
}

func TestPickleRefuses(t *testing.T) {
	w := func(tensor string) string { return state(text("w"), tensor) }
	good := storageOf("ByteStorage", "0", 24)
	for name, c := range map[string]struct {
		pickle string
		want   error
	}{
		"os.system":          {"\x80\x02cos\nsystem\n(" + text("true") + "tR.", pt.ErrRefused},
		"posix.system":       {"\x80\x04" + text("posix") + text("system") + "\x93" + text("true") + "\x85R.", pt.ErrRefused},
		"builtins.eval":      {"\x80\x02cbuiltins\neval\n(" + text("1") + "tR.", pt.ErrRefused},
		"getattr trick":      {"\x80\x02ccollections\nOrderedDict.__init__\n)R.", pt.ErrRefused},
		"torch.load":         {"\x80\x02ctorch\nload\n)R.", pt.ErrRefused},
		"parameter":          {"\x80\x02ctorch._utils\n_rebuild_parameter\n)R.", pt.ErrRefused},
		"call of a storage":  {"\x80\x02ctorch\nFloatStorage\n)R.", pt.ErrRefused},
		"call of a dict":     {"\x80\x02})R.", pt.ErrRefused},
		"OBJ":                {"\x80\x02(cos\nsystem\no.", pt.ErrRefused},
		"bare OBJ":           {"\x80\x02(o.", pt.ErrRefused},
		"INST":               {"(ios\nsystem\n.", pt.ErrRefused},
		"NEWOBJ":             {"\x80\x02)\x81.", pt.ErrRefused},
		"EXT1":               {"\x80\x02\x82\x01.", pt.ErrRefused},
		"DUP":                {"\x80\x02N2.", pt.ErrRefused},
		"BYTEARRAY8":         {"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", pt.ErrRefused},
		"BUILD on a list":    {"\x80\x02]}b.", pt.ErrRefused},
		"BUILD __class__":    {"\x80\x02}}" + text("__class__") + "Nsb.", pt.ErrRefused},
		"BUILD two":          {"\x80\x02}}(" + text("_metadata") + "N" + text("x") + "Nub.", pt.ErrRefused},
		"OrderedDict of":     {"\x80\x02ccollections\nOrderedDict\n(]tR.", pt.ErrRefused},
		"protocol 0":         {"(dp0\n.", pt.ErrRefused},
		"protocol 6":         {"\x80\x06}.", pt.ErrRefused},
		"hooks":              {w(strings.Replace(bytesTensor(0, ints(1), ints(1)), "ccollections\nOrderedDict\n)R", "}"+text("a")+"Ns", 1)), pt.ErrRefused},
		"tuple key":          {"\x80\x02})Ns.", pt.ErrRefused},
		"empty":              {"", pt.ErrFormat},
		"no stop":            {"\x80\x02}", pt.ErrFormat},
		"nothing":            {"\x80\x02.", pt.ErrFormat},
		"two values":         {"\x80\x02}}.", pt.ErrFormat},
		"bytes after":        {"\x80\x02}.}", pt.ErrFormat},
		"ends in mark":       {"\x80\x02(.", pt.ErrFormat},
		"no mark":            {"\x80\x02}u.", pt.ErrFormat},
		"odd items":          {"\x80\x02}(Nu.", pt.ErrFormat},
		"append to dict":     {"\x80\x02}Na.", pt.ErrFormat},
		"set in list":        {"\x80\x02]" + text("a") + "Ns.", pt.ErrFormat},
		"memo":               {"\x80\x02h\x07.", pt.ErrFormat},
		"long text":          {"\x80\x02X\xff\xff\xff\xff.", pt.ErrFormat},
		"bad text":           {"\x80\x02X\x01\x00\x00\x00\xff.", pt.ErrFormat},
		"long integer":       {"\x80\x02\x8a\x09123456789.", pt.ErrTooLarge},
		"key twice":          {state(text("w"), "N", text("w"), "N"), pt.ErrFormat},
		"not a dict":         {"\x80\x02].", pt.ErrFormat},
		"model is a list":    {state(text("model"), "]"), pt.ErrFormat},
		"int for a tensor":   {w("K\x01"), pt.ErrFormat},
		"int for a name":     {state("K\x01", bytesTensor(0, ints(1), ints(1))), pt.ErrFormat},
		"unknown storage":    {w(tensorOf(storageOf("ByteStorage", "1", 24), 0, ints(1), ints(1))), pt.ErrFormat},
		"path as storage":    {w(tensorOf(storageOf("ByteStorage", "../../etc/passwd", 24), 0, ints(1), ints(1))), pt.ErrFormat},
		"storage lies":       {w(tensorOf(storageOf("ByteStorage", "0", 25), 0, ints(1), ints(1))), pt.ErrFormat},
		"storage type lies":  {w(tensorOf(storageOf("FloatStorage", "0", 24), 0, ints(1), ints(1))), pt.ErrFormat},
		"negative storage":   {w(tensorOf(storageOf("ByteStorage", "0", -1), 0, ints(1), ints(1))), pt.ErrTooLarge},
		"complex storage":    {w(tensorOf(storageOf("ComplexFloatStorage", "0", 3), 0, ints(1), ints(1))), pt.ErrRefused},
		"past the storage":   {w(bytesTensor(20, ints(5), ints(1))), pt.ErrFormat},
		"stride past":        {w(bytesTensor(0, ints(4), ints(8))), pt.ErrFormat},
		"negative shape":     {w(bytesTensor(0, ints(-1), ints(1))), pt.ErrFormat},
		"negative stride":    {w(bytesTensor(3, ints(2), ints(-1))), pt.ErrFormat},
		"negative offset":    {w(bytesTensor(-1, ints(1), ints(1))), pt.ErrFormat},
		"huge shape":         {w(bytesTensor(0, ints(math.MaxInt32, math.MaxInt32), ints(0, 0))), pt.ErrTooLarge},
		"huge strides":       {w(bytesTensor(0, ints(math.MaxInt32, 1), ints(math.MaxInt32, 1))), pt.ErrTooLarge},
		"shape and strides":  {w(bytesTensor(0, ints(2, 2), ints(1))), pt.ErrFormat},
		"shape is an int":    {w(bytesTensor(0, "K\x02", ints(1))), pt.ErrFormat},
		"shape of text":      {w(bytesTensor(0, "("+text("2")+"t", ints(1))), pt.ErrFormat},
		"tensor of nothing":  {w("ctorch._utils\n_rebuild_tensor_v2\n)R"), pt.ErrFormat},
		"arguments are None": {w("ctorch._utils\n_rebuild_tensor_v2\nNR"), pt.ErrFormat},
		"bad persistent id":  {w("NQ"), pt.ErrFormat},
		"other persistent":   {w("(" + text("module") + "NNNNtQ"), pt.ErrFormat},
		"storage is None":    {w(strings.Replace(bytesTensor(0, ints(1), ints(1)), good, "N", 1)), pt.ErrFormat},
		"name without end":   {"\x80\x02ctorch", pt.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := open(checkpoint(t, c.pickle)); !errors.Is(err, c.want) {
				t.Errorf("%v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestArchiveRefuses(t *testing.T) {
	pickle := []byte(state(text("w"), bytesTensor(0, ints(2), ints(1))))
	p, data := entry{name: "x/data.pkl", data: pickle}, entry{name: "x/data/0", data: count(24)}
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"empty":           {nil, pt.ErrFormat},
		"text":            {[]byte("hello"), pt.ErrFormat},
		"legacy":          {[]byte("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."), pt.ErrLegacy},
		"zip of nothing":  {archive(t), pt.ErrFormat},
		"no pickle":       {archive(t, data), pt.ErrFormat},
		"two pickles":     {archive(t, p, entry{name: "y/data.pkl", data: pickle}, data), pt.ErrFormat},
		"entry twice":     {archive(t, p, data, data), pt.ErrFormat},
		"parent":          {archive(t, p, data, entry{name: "../evil"}), pt.ErrFormat},
		"absolute":        {archive(t, p, data, entry{name: "/etc/passwd"}), pt.ErrFormat},
		"parent inside":   {archive(t, p, data, entry{name: "x/../../evil"}), pt.ErrFormat},
		"backslash":       {archive(t, p, data, entry{name: `..\evil`}), pt.ErrFormat},
		"byteorder":       {archive(t, p, data, entry{name: "x/byteorder", data: []byte("middle")}), pt.ErrFormat},
		"storage missing": {archive(t, p), pt.ErrFormat},
		"other folder":    {archive(t, p, entry{name: "y/data/0", data: count(24)}), pt.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := open(c.file); !errors.Is(err, c.want) {
				t.Errorf("%v, %v, want %v", got, err, c.want)
			}
		})
	}
}

// TestLyingSizes changes the declared size and method of entries in place.
func TestLyingSizes(t *testing.T) {
	pickle := []byte(state(text("w"), bytesTensor(0, ints(2), ints(1))))
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		whole := archive(t, entry{"x/data.pkl", pickle, method}, entry{"x/data/0", count(24), method})
		directory := bytes.LastIndex(whole, []byte("PK\x01\x02")) // of x/data/0
		for name, change := range map[string]func(b []byte){
			"larger":   func(b []byte) { binary.LittleEndian.PutUint32(b[directory+24:], 25) },
			"smaller":  func(b []byte) { binary.LittleEndian.PutUint32(b[directory+24:], 23) },
			"huge":     func(b []byte) { binary.LittleEndian.PutUint32(b[directory+24:], 0xfffffffe) },
			"packed":   func(b []byte) { binary.LittleEndian.PutUint32(b[directory+20:], 0x7fffffff) },
			"checksum": func(b []byte) { b[directory+16] ^= 1 },
			"offset":   func(b []byte) { binary.LittleEndian.PutUint32(b[directory+42:], 0x7fffffff) },
			"method":   func(b []byte) { b[directory+10] = 99 },
		} {
			file := bytes.Clone(whole)
			change(file)
			c, err := open(file)
			if err == nil {
				_, err = c.Float32("w")
			}
			if !errors.Is(err, pt.ErrFormat) && !errors.Is(err, pt.ErrTooLarge) {
				t.Errorf("method %d %s: %v", method, name, err)
			}
		}
	}
}

// readAll opens a checkpoint and reads every tensor of a bearable size.
func readAll(data []byte) error {
	c, err := open(data)
	if err != nil {
		return err
	}
	for _, name := range c.Names() {
		numbers := int64(1)
		shape, _ := c.Shape(name)
		for _, n := range shape {
			if numbers *= n; numbers > 1<<20 {
				return nil
			}
		}
		if _, err := c.Float32(name); err != nil {
			return err
		}
	}
	return nil
}

func named(err error) bool {
	for _, want := range []error{pt.ErrFormat, pt.ErrLegacy, pt.ErrRefused, pt.ErrTooLarge} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func TestTruncatedAndFlipped(t *testing.T) {
	whole := checkpoint(t, state(text("w"), bytesTensor(0, ints(2, 3), ints(3, 1))))
	for n := range whole {
		if err := readAll(whole[:n]); !named(err) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for n := range whole {
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[n] ^= 1 << bit
			if err := readAll(flipped); err != nil && !named(err) {
				t.Fatalf("bit %d of byte %d: unnamed error %v", bit, n, err)
			}
		}
	}
	// A flip in the numbers is found by the archive's checksum.
	at := bytes.Index(whole, count(24))
	for n := range 24 {
		flipped := bytes.Clone(whole)
		flipped[at+n] ^= 0x10
		if err := readAll(flipped); !errors.Is(err, pt.ErrFormat) {
			t.Fatalf("number %d: %v", n, err)
		}
	}
}

func TestLimits(t *testing.T) {
	opcodes := func(n int) string { // } N N … : the values are left on the stack
		return "\x80\x02" + strings.Repeat("N", n-2) + "."
	}
	if _, err := open(checkpoint(t, opcodes(pt.Opcodes))); !errors.Is(err, pt.ErrFormat) {
		t.Errorf("opcodes at the limit: %v", err)
	}
	if _, err := open(checkpoint(t, opcodes(pt.Opcodes+2))); !errors.Is(err, pt.ErrTooLarge) {
		t.Errorf("opcodes past the limit: %v", err)
	}
	long := func(n int) string { return state(text("model"), "}", text("x"), text(strings.Repeat("y", n))) }
	spare := pt.PickleBytes - len(long(0))
	if _, err := open(checkpoint(t, long(spare))); err != nil {
		t.Errorf("pickle at the limit: %v", err)
	}
	if _, err := open(checkpoint(t, long(spare+1))); !errors.Is(err, pt.ErrTooLarge) {
		t.Errorf("pickle past the limit: %v", err)
	}
	many := func(n int) string {
		one := strings.Repeat("K\x01", n)
		return state(text("w"), bytesTensor(0, "("+one+"t", "("+one+"t"))
	}
	if _, err := open(checkpoint(t, many(pt.Dimensions))); err != nil {
		t.Errorf("dimensions at the limit: %v", err)
	}
	if _, err := open(checkpoint(t, many(pt.Dimensions+1))); !errors.Is(err, pt.ErrTooLarge) {
		t.Errorf("dimensions past the limit: %v", err)
	}
}

func TestArchiveLimits(t *testing.T) {
	pickle := entry{name: "x/data.pkl", data: []byte(state(text("model"), "}"))}
	many := func(n int) []byte {
		entries := []entry{pickle}
		for i := range n - 1 {
			entries = append(entries, entry{name: fmt.Sprint(i)})
		}
		return archive(t, entries...)
	}
	if _, err := open(many(pt.Entries)); err != nil {
		t.Errorf("entries at the limit: %v", err)
	}
	if _, err := open(many(pt.Entries + 1)); !errors.Is(err, pt.ErrTooLarge) {
		t.Errorf("entries past the limit: %v", err)
	}
	// A deflated entry that only declares its size: at the limit it is opened
	// and found to lie when read.
	declared := func(n uint32) error {
		file := archive(t, pickle, entry{"x/byteorder", []byte("little"), zip.Deflate})
		binary.LittleEndian.PutUint32(file[bytes.LastIndex(file, []byte("PK\x01\x02"))+24:], n)
		_, err := open(file)
		return err
	}
	if err := declared(pt.DeflatedBytes); !strings.Contains(fmt.Sprint(err), "limit 16") {
		t.Errorf("deflated at the limit: %v", err)
	}
	if err := declared(pt.DeflatedBytes + 1); !strings.Contains(fmt.Sprint(err), "deflated") || !errors.Is(err, pt.ErrTooLarge) {
		t.Errorf("deflated past the limit: %v", err)
	}
	// A storage that the pickle says is that large.
	storage := func(n uint64) error {
		count := "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, n))
		huge := strings.Replace(storageOf("ByteStorage", "0", 24), integer(24), count, 1)
		_, err := open(checkpoint(t, state(text("w"), tensorOf(huge, 0, ints(1), ints(1)))))
		return err
	}
	if err := storage(pt.StorageBytes); !errors.Is(err, pt.ErrFormat) {
		t.Errorf("storage at the limit: %v", err)
	}
	if err := storage(pt.StorageBytes + 1); !errors.Is(err, pt.ErrTooLarge) {
		t.Errorf("storage past the limit: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(state(text("w"), bytesTensor(0, ints(2, 3), ints(3, 1)))))
	f.Add([]byte(state(text("model"), "ccollections\nOrderedDict\n)R}"+text("_metadata")+"}sb", text("step"), "K\x01")))
	f.Fuzz(func(t *testing.T, pickle []byte) {
		if err := readAll(checkpoint(t, string(pickle))); err != nil && !named(err) {
			t.Fatalf("unnamed error %v", err)
		}
	})
}

func FuzzArchive(f *testing.F) {
	f.Add(checkpoint(f, state(text("w"), bytesTensor(0, ints(2, 3), ints(3, 1)))))
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := readAll(file); err != nil && !named(err) {
			t.Fatalf("unnamed error %v", err)
		}
	})
}

func Example() {
	f, err := os.Open(filepath.Join("..", "testdata", "tiny", "soul.pt"))
	if err != nil {
		panic(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	c, err := pt.Open(f, info.Size())
	if err != nil {
		panic(err)
	}
	for _, name := range c.Names()[:6] {
		shape, _ := c.Shape(name)
		fmt.Println(name, shape)
	}
	gain, err := c.Float32("layers.0.scale")
	fmt.Println(gain, err, c.Facts)
	// Output:
	// emb.weight [256 6]
	// pos_emb.weight [96 6]
	// norm_f.w [6]
	// layers.0.norm.w [6]
	// layers.0.scale [1]
	// layers.0.lora_in.A [2 6]
	// [0.5] <nil> map[loss:2.5 step:7]
}
