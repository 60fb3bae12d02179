package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"unsafe"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

// File is an open file whose tensors are read in place where the machine allows
// it: mapped into memory, little-endian, and aligned. The file must not be
// shortened while it is open.
type File struct {
	path    string
	data    []byte
	unmap   func() error
	tensors []Tensor
	index   map[string]int
}

// Open maps a file and checks its header. Errors: ErrFormat, ErrTooLarge, and
// those of opening.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only; the mapping outlives it
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrFormat, path)
	}
	tensors, err := DecodeHeader(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	data, unmap, err := mapFile(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	file := &File{path: path, data: data, unmap: unmap, tensors: tensors, index: make(map[string]int)}
	for i, t := range tensors {
		file.index[t.Name] = i
	}
	return file, nil
}

// Tensors lists the tensors in file order, padding included.
func (f *File) Tensors() []Tensor { return slices.Clone(f.tensors) }

// Lookup is the tensor called name.
func (f *File) Lookup(name string) (t Tensor, ok bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Check reports the first of wanted that the file lacks or holds in another
// shape, then the first tensor, padding aside, that is not wanted. The element
// type is that of the Spec, or, if that is a floating point one, any of them.
// Errors: ErrTensor.
func (f *File) Check(wanted []Spec) error {
	known := make(map[string]bool, len(wanted))
	for _, spec := range wanted {
		known[spec.Name] = true
		t, ok := f.Lookup(spec.Name)
		if !ok {
			return fmt.Errorf("%w: %s lacks %q %v", ErrTensor, f.path, spec.Name, spec.Shape)
		}
		if !slices.Equal(t.Shape, spec.Shape) {
			return fmt.Errorf("%w: %s: %q is %v, want %v", ErrTensor, f.path, spec.Name, t.Shape, spec.Shape)
		}
		if spec.Type < element.F16 && t.Type != spec.Type {
			return fmt.Errorf("%w: %s: %q holds %s, want %s", ErrTensor, f.path, spec.Name, t.Type, spec.Type)
		}
		if spec.Type >= element.F16 && t.Type < element.F16 {
			return fmt.Errorf("%w: %s: %q holds %s, want floating point numbers", ErrTensor, f.path, spec.Name, t.Type)
		}
	}
	for _, t := range f.tensors {
		if !known[t.Name] && !IsPad(t.Name) {
			return fmt.Errorf("%w: %s holds %q, which the model has no place for", ErrTensor, f.path, t.Name)
		}
	}
	return nil
}

// Float32 is the numbers of a tensor, valid until Close: in place when they are
// F32, aligned and the machine little-endian, else a converted copy. Errors:
// ErrTensor for an absent tensor, ErrNotFinite.
func (f *File) Float32(name string) ([]float32, error) {
	t, ok := f.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s lacks %q", ErrTensor, f.path, name)
	}
	raw := f.data[t.Offset : t.Offset+t.Bytes]
	values, ok := inPlace(raw, t.Type)
	if !ok {
		values = convert(raw, t.Type)
	}
	if i := firstNotFinite(values); i >= 0 {
		return nil, fmt.Errorf("%w: %s: %q number %d", ErrNotFinite, f.path, name, i)
	}
	return values, nil
}

// Bytes is the bytes of a U8 tensor where they lie, valid until Close. They must
// not be changed. Errors: ErrTensor for an absent tensor or another type.
func (f *File) Bytes(name string) ([]byte, error) {
	t, ok := f.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s lacks %q", ErrTensor, f.path, name)
	}
	if t.Type != element.U8 {
		return nil, fmt.Errorf("%w: %s: %q holds %s, want %s", ErrTensor, f.path, name, t.Type, element.U8)
	}
	return f.data[t.Offset : t.Offset+t.Bytes : t.Offset+t.Bytes], nil
}

// Close gives the mapping back; numbers got in place must no longer be used.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	unmap := f.unmap
	f.unmap, f.data = nil, nil
	return unmap()
}

var _ io.Closer = (*File)(nil)

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// inPlace views raw, an extent checked against the file, as float32.
func inPlace(raw []byte, t element.Type) ([]float32, bool) {
	if t != element.F32 || !littleEndian || len(raw) < 4 || uintptr(unsafe.Pointer(&raw[0]))%4 != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&raw[0])), len(raw)/4), true
}

// convert copies raw as float32; a value too large for it becomes infinite.
func convert(raw []byte, t element.Type) []float32 {
	const piece = 4096
	size := t.Size()
	out := make([]float32, 0, len(raw)/size)
	var wide [piece]float64
	for len(raw) > 0 {
		n := min(piece, len(raw)/size)
		element.Widen(wide[:n], raw[:n*size], t, binary.LittleEndian)
		for _, v := range wide[:n] {
			out = append(out, float32(v))
		}
		raw = raw[n*size:]
	}
	return out
}
