// Package npy reads NumPy's .npy files: a magic number, a version, a header that
// is the text of a Python dict, then the numbers.
//
// It has one duty, to give the numbers of an array of any shape and any real
// numeric type, in C order, from anywhere in a file larger than memory.
//
// # Laws
//
//  1. The file holds exactly the numbers its header promises.
//  2. Nothing is evaluated: the header is read by a grammar that has a dict of
//     the three known names and nothing else. Object arrays are refused.
//
// # Limits
//
// Header 64 KiB, dimensions 32: see limits.go.
package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrFormat: the file is not .npy, or lies about its size.
	ErrFormat = errors.New("npy: bad file")
	// ErrType: the array's type is not a real number this package reads, or its
	// order is not C.
	ErrType = errors.New("npy: array of a type that cannot be read")
	// ErrTooLarge: a size is past a limit of this package.
	ErrTooLarge = errors.New("npy: too large")
)

// Limits on what a stranger can grow.
const (
	// HeaderBytes bounds the header, 64 KiB: NumPy writes 118 bytes for most
	// arrays and refuses to read more than 10,000.
	HeaderBytes = 64 << 10
	// Dimensions bounds the shape; NumPy's own limit was 32 for twenty years.
	Dimensions = 32
)

// Array is an open array.
type Array struct {
	Type  element.Type
	Order binary.ByteOrder
	Shape []int64
	Count int64 // numbers in the array: the product of Shape

	data   io.ReaderAt
	offset int64 // of the first number
	buffer []byte
}

const magic = "\x93NUMPY"

// Open reads the header of a file of size bytes. Errors: ErrFormat, ErrType,
// ErrTooLarge.
func Open(r io.ReaderAt, size int64) (*Array, error) {
	text, offset, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(text)
	if err != nil {
		return nil, err
	}
	a := &Array{Shape: h.shape, data: r, offset: offset}
	if a.Type, a.Order, err = parseDescr(h.descr); err != nil {
		return nil, err
	}
	if h.fortran && len(h.shape) > 1 {
		return nil, fmt.Errorf("%w: fortran_order with shape %v; save it with numpy.ascontiguousarray", ErrType, h.shape)
	}
	bytes := uint64(a.Type.Size())
	for _, n := range a.Shape {
		high, low := bits.Mul64(bytes, uint64(n))
		if high != 0 || low > 1<<62 {
			return nil, fmt.Errorf("%w: shape %v", ErrTooLarge, a.Shape)
		}
		bytes = low
	}
	if int64(bytes) != size-offset {
		return nil, fmt.Errorf("%w: %s of shape %v takes %d bytes, file has %d after its header",
			ErrFormat, a.Type, a.Shape, bytes, size-offset)
	}
	a.Count = int64(bytes) / int64(a.Type.Size())
	return a, nil
}

// readHeader gives the header's text and where the numbers begin.
func readHeader(r io.ReaderAt, size int64) (text []byte, offset int64, err error) {
	var head [12]byte
	if n, err := r.ReadAt(head[:], 0); err != nil && n < 10 {
		return nil, 0, fmt.Errorf("%w: file of %d bytes", ErrFormat, size)
	}
	if string(head[:6]) != magic {
		return nil, 0, fmt.Errorf("%w: no magic number", ErrFormat)
	}
	var length int64
	switch major := head[6]; major {
	case 1:
		offset, length = 10, int64(binary.LittleEndian.Uint16(head[8:]))
	case 2, 3:
		offset, length = 12, int64(binary.LittleEndian.Uint32(head[8:]))
	default:
		return nil, 0, fmt.Errorf("%w: version %d, want 1, 2 or 3", ErrFormat, major)
	}
	if length > HeaderBytes {
		return nil, 0, fmt.Errorf("%w: header of %d bytes, limit %d", ErrTooLarge, length, HeaderBytes)
	}
	if offset+length > size {
		return nil, 0, fmt.Errorf("%w: header of %d bytes in a file of %d", ErrFormat, length, size)
	}
	text = make([]byte, length)
	if _, err := r.ReadAt(text, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	return text, offset + length, nil
}

// Read fills dst with the numbers from index from on. It is not safe for
// concurrent use. Errors: ErrFormat for indices outside the array, and those of
// reading.
func (a *Array) Read(dst []float64, from int64) error {
	if from < 0 || from > a.Count || int64(len(dst)) > a.Count-from {
		return fmt.Errorf("%w: numbers [%d, +%d) of %d", ErrFormat, from, len(dst), a.Count)
	}
	const piece = 64 << 10 // numbers converted at a time
	size := int64(a.Type.Size())
	if a.buffer == nil {
		a.buffer = make([]byte, min(piece, max(a.Count, 1))*size)
	}
	for len(dst) > 0 {
		n := min(len(dst), len(a.buffer)/int(size))
		raw := a.buffer[:n*int(size)]
		// ReadAt may report the end of the file along with the last numbers.
		if got, err := a.data.ReadAt(raw, a.offset+from*size); got < len(raw) {
			return fmt.Errorf("%w: numbers [%d, +%d): %w", ErrFormat, from, n, err)
		}
		element.Widen(dst[:n], raw, a.Type, a.Order)
		dst, from = dst[n:], from+int64(n)
	}
	return nil
}
