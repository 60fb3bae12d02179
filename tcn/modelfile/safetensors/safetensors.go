// Package safetensors reads and writes the safetensors format: eight bytes of
// header length, a JSON header, then the tensors' bytes back to back.
//
// Written files are laid out so that a mapped file can be used in place: every
// tensor begins at a multiple of [Alignment] from the start of the file. The
// format allows no holes, so the header is filled up with spaces, and where a
// tensor's size is not a multiple of Alignment a small U8 tensor named
// "pad.N" follows it. Any reader of the format accepts these files.
//
// # Laws
//
//  1. Writing is deterministic: the same specs and numbers give the same bytes.
//  2. Reading checks every extent against the file's size before anything is
//     allocated: offsets in order, no hole, no overlap, nothing past the end.
//  3. A tensor's bytes equal its shape times its element size.
//
// # Limits
//
// Header 16 MiB, tensors 65,536, dimensions 8: see limits.go.
package safetensors

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrFormat: the file is not safetensors, or lies about its sizes.
	ErrFormat = errors.New("safetensors: bad file")
	// ErrTooLarge: a count is past a limit of this package.
	ErrTooLarge = errors.New("safetensors: too large")
	// ErrTensor: a tensor is absent or not of the asked shape or type.
	ErrTensor = errors.New("safetensors: bad tensor")
	// ErrNotFinite: a tensor holds an infinity or not-a-number.
	ErrNotFinite = errors.New("safetensors: number is not finite")
)

// Alignment is what the offset of every written tensor is a multiple of: a
// cache line, and the widest vector register.
const Alignment = 64

// PadPrefix begins the names of the tensors that fill gaps.
const PadPrefix = "pad."

// IsPad reports whether name is that of a gap filler.
func IsPad(name string) bool { return strings.HasPrefix(name, PadPrefix) }

// Spec is one tensor to be written.
type Spec struct {
	Name  string
	Type  element.Type
	Shape []int // each at least 1; none for a scalar
}

// Tensor is one tensor of a file.
type Tensor struct {
	Name   string
	Type   element.Type
	Shape  []int
	Offset int64 // of its first byte, from the start of the file
	Bytes  int64
}

// byteSize is the bytes of a tensor; ok is false when that does not fit.
func byteSize(t element.Type, shape []int) (size int64, ok bool) {
	total := uint64(t.Size())
	for _, n := range shape {
		if n < 0 {
			return 0, false
		}
		high, low := bits.Mul64(total, uint64(n))
		if high != 0 || low > 1<<62 {
			return 0, false
		}
		total = low
	}
	return int64(total), true
}

// padding is how many bytes bring n to a multiple of Alignment.
func padding(n int64) int64 { return -n & (Alignment - 1) }

// Describe is a shape as people write it: "F32 [512, 64]".
func (t Tensor) Describe() string { return describe(t.Type, t.Shape) }

func describe(t element.Type, shape []int) string {
	parts := make([]string, len(shape))
	for i, n := range shape {
		parts[i] = fmt.Sprint(n)
	}
	return fmt.Sprintf("%s [%s]", t, strings.Join(parts, ", "))
}
