// Package pt reads PyTorch checkpoints (.pt, .pth) as torch.save writes them: a
// zip archive of one pickle, which describes the tensors, and one entry of raw
// numbers per storage.
//
// It has one duty, to give the named tensors of a state dict, which is either
// the pickle's value or its "model" member. A node never imports it; only the
// import commands do.
//
// # Laws
//
//  1. Nothing is executed. The pickle may build dict, OrderedDict, list, tuple,
//     int, float, str, bool, None and tensors; any other name or opcode is an
//     error that says which.
//  2. Memory grows with the bytes read, never with a number read from them.
//  3. A storage is exactly as long as the pickle says and has the checksum the
//     archive says; a tensor lies within its storage.
//
// # Limits
//
// Pickle 16 MiB of 4 Mi opcodes, entries 262,144, storage 8 GiB, integers 64
// bits: see limits.go.
package pt

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrFormat: the file is not a checkpoint, or lies about its sizes.
	ErrFormat = errors.New("pt: bad checkpoint")
	// ErrLegacy: the checkpoint is of the format before PyTorch 1.6.
	ErrLegacy = errors.New("pt: checkpoint is not a zip archive: load it with PyTorch and save it again with torch.save(…, _use_new_zipfile_serialization=True)")
	// ErrRefused: the pickle asks for something other than plain values and
	// tensors.
	ErrRefused = errors.New("pt: refused")
	// ErrTooLarge: a size is past a limit of this package.
	ErrTooLarge = errors.New("pt: too large")
)

// Checkpoint is an open state dict. It is not safe for concurrent use.
type Checkpoint struct {
	// Facts is the numbers and texts beside a "model" member, such as the
	// training step, as Python prints them.
	Facts map[string]string

	names    []string
	tensors  map[string]*tensor
	file     io.ReaderAt
	storages map[string]*zip.File
	whole    map[*zip.File]bool // checksum was found right
	order    binary.ByteOrder
}

// Open reads the description of the tensors of a file of size bytes; r must
// stay open while they are read. Errors: ErrFormat, ErrLegacy, ErrRefused,
// ErrTooLarge.
func Open(r io.ReaderAt, size int64) (*Checkpoint, error) {
	var head [2]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("%w: file of %d bytes", ErrFormat, size)
	}
	if head[0] == opProto || string(head[:]) == "(l" {
		return nil, ErrLegacy
	}
	if string(head[:]) != "PK" {
		return nil, fmt.Errorf("%w: neither a zip archive nor a pickle", ErrFormat)
	}
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	c := &Checkpoint{
		file:     r,
		storages: make(map[string]*zip.File),
		whole:    make(map[*zip.File]bool),
		order:    binary.LittleEndian,
	}
	text, err := c.readEntries(archive)
	if err != nil {
		return nil, err
	}
	value, err := unpickle(text)
	if err != nil {
		return nil, err
	}
	return c, c.collect(value)
}

// collect finds the state dict in the pickle's value.
func (c *Checkpoint) collect(value any) error {
	top, ok := value.(*dict)
	if !ok {
		return fmt.Errorf("%w: the checkpoint is a %s, want a dict", ErrFormat, typeName(value))
	}
	state := top
	if model, ok := top.get("model"); ok {
		if state, ok = model.(*dict); !ok {
			return fmt.Errorf("%w: member \"model\" is a %s, want a dict", ErrFormat, typeName(model))
		}
		c.Facts = facts(top)
	}
	c.tensors = make(map[string]*tensor)
	for i, key := range state.keys {
		name, ok := key.(string)
		if !ok {
			return fmt.Errorf("%w: state dict has a %s for a name", ErrFormat, typeName(key))
		}
		t, ok := state.values[i].(*tensor)
		if !ok {
			return fmt.Errorf("%w: %q is a %s, want a tensor", ErrFormat, name, typeName(state.values[i]))
		}
		if err := c.check(t); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		c.names = append(c.names, name)
		c.tensors[name] = t
	}
	return nil
}

// facts is the plain members of a dict.
func facts(d *dict) map[string]string {
	plain := make(map[string]string)
	for i, key := range d.keys {
		name, ok := key.(string)
		if !ok {
			continue
		}
		switch v := d.values[i].(type) {
		case int64, float64, string, bool:
			plain[name] = fmt.Sprint(v)
		}
	}
	return plain
}

// check reports what is wrong with a tensor's storage, shape and strides.
func (c *Checkpoint) check(t *tensor) error {
	if len(t.shape) != len(t.stride) {
		return fmt.Errorf("%w: %d dimensions, %d strides", ErrFormat, len(t.shape), len(t.stride))
	}
	if t.storage.count < 0 || t.storage.count > StorageBytes/int64(t.storage.kind.Size()) {
		return fmt.Errorf("%w: storage of %d numbers", ErrTooLarge, t.storage.count)
	}
	f := c.storages[t.storage.key]
	if f == nil {
		return fmt.Errorf("%w: the archive has no storage %q", ErrFormat, t.storage.key)
	}
	if want := uint64(t.storage.count) * uint64(t.storage.kind.Size()); f.UncompressedSize64 != want {
		return fmt.Errorf("%w: storage %q has %d bytes, want %d", ErrFormat, t.storage.key, f.UncompressedSize64, want)
	}
	if err := t.measure(); err != nil {
		return err
	}
	if t.numbers > 0 && t.last >= t.storage.count {
		return fmt.Errorf("%w: shape %v, strides %v, offset %d reach past a storage of %d",
			ErrFormat, t.shape, t.stride, t.offset, t.storage.count)
	}
	return nil
}

// measure finds how many numbers the tensor has and the index of the last one
// in its storage.
func (t *tensor) measure() error {
	if t.offset < 0 || t.offset > StorageBytes {
		return fmt.Errorf("%w: offset %d", ErrFormat, t.offset)
	}
	t.numbers, t.last = 1, t.offset
	for i, n := range t.shape {
		if n < 0 || t.stride[i] < 0 {
			return fmt.Errorf("%w: shape %v, strides %v", ErrFormat, t.shape, t.stride)
		}
		high, low := bits.Mul64(uint64(t.numbers), uint64(n))
		if high != 0 || low > StorageBytes {
			return fmt.Errorf("%w: shape %v", ErrTooLarge, t.shape)
		}
		t.numbers = int64(low)
		if n == 0 {
			continue
		}
		high, low = bits.Mul64(uint64(n-1), uint64(t.stride[i]))
		if high != 0 || low > StorageBytes {
			return fmt.Errorf("%w: shape %v, strides %v", ErrTooLarge, t.shape, t.stride)
		}
		t.last += int64(low)
	}
	return nil
}

// Names lists the tensors in the checkpoint's order.
func (c *Checkpoint) Names() []string { return slices.Clone(c.names) }

// Shape is the shape of a tensor; none for a scalar.
func (c *Checkpoint) Shape(name string) (shape []int64, ok bool) {
	t, ok := c.tensors[name]
	if !ok {
		return nil, false
	}
	return slices.Clone(t.shape), true
}

// Float32 reads a tensor's numbers in C order, rounded to float32. Its memory
// is the product of its shape, which the caller has to find acceptable first,
// and the part of its storage it lies in. Errors: ErrFormat, ErrTooLarge, and
// those of reading.
func (c *Checkpoint) Float32(name string) ([]float32, error) {
	t, ok := c.tensors[name]
	if !ok {
		return nil, fmt.Errorf("%w: no tensor %q", ErrFormat, name)
	}
	if t.numbers == 0 {
		return nil, nil
	}
	raw, err := c.readSpan(t.storage, t.offset, t.last)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	out := make([]float32, t.numbers)
	size := t.storage.kind.Size()
	index := make([]int64, len(t.shape))
	var wide [1]float64
	at := int64(0) // from t.offset
	for i := range out {
		element.Widen(wide[:], raw[int(at)*size:int(at+1)*size], t.storage.kind, c.order)
		out[i] = float32(wide[0])
		// Count the index up like an odometer, last dimension fastest.
		for d := len(index) - 1; d >= 0; d-- {
			index[d]++
			at += t.stride[d]
			if index[d] < t.shape[d] {
				break
			}
			at -= index[d] * t.stride[d]
			index[d] = 0
		}
	}
	return out, nil
}
