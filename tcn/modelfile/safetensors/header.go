package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
	"github.com/zetagrid/zetagrid/tcn/modelfile/internal/jsonobject"
)

// lengthBytes is the size of the header's length, a little-endian uint64.
const lengthBytes = 8

// DecodeHeader reads the header of a file of size bytes and gives its tensors
// in file order. Errors: ErrFormat, ErrTooLarge.
func DecodeHeader(r io.ReaderAt, size int64) ([]Tensor, error) {
	var head [lengthBytes]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("%w: file of %d bytes has no header length", ErrFormat, size)
	}
	length := binary.LittleEndian.Uint64(head[:])
	if length > HeaderBytes {
		return nil, fmt.Errorf("%w: header of %d bytes, limit %d", ErrTooLarge, length, HeaderBytes)
	}
	start := lengthBytes + int64(length)
	if start > size {
		return nil, fmt.Errorf("%w: header of %d bytes in a file of %d", ErrFormat, length, size)
	}
	text := make([]byte, length)
	if _, err := r.ReadAt(text, lengthBytes); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	tensors, err := parseHeader(text)
	if err != nil {
		return nil, err
	}
	return tensors, place(tensors, start, size)
}

// place turns offsets within the data into offsets within the file, and checks
// that the tensors fill it from start to size without hole or overlap.
func place(tensors []Tensor, start, size int64) error {
	slices.SortStableFunc(tensors, func(a, b Tensor) int {
		if a.Offset != b.Offset {
			if a.Offset < b.Offset {
				return -1
			}
			return 1
		}
		// A tensor of no bytes begins where its neighbour does.
		return int(min(max(a.Bytes-b.Bytes, -1), 1))
	})
	next := int64(0)
	for i := range tensors {
		t := &tensors[i]
		if t.Offset != next {
			return fmt.Errorf("%w: tensor %q begins at %d, want %d: a hole or an overlap", ErrFormat, t.Name, t.Offset, next)
		}
		if t.Bytes > size-start-next {
			return fmt.Errorf("%w: tensor %q of %d bytes at %d runs past the end of the file", ErrFormat, t.Name, t.Bytes, t.Offset)
		}
		next += t.Bytes
		t.Offset += start
	}
	if start+next != size {
		return fmt.Errorf("%w: %d bytes after the last tensor", ErrFormat, size-start-next)
	}
	return nil
}

// parseHeader reads the JSON; offsets are still from the start of the data.
func parseHeader(text []byte) ([]Tensor, error) {
	if len(text) == 0 || text[0] != '{' || !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: header is not a JSON object in UTF-8", ErrFormat)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	var tensors []Tensor
	err := jsonobject.EachMember(decoder, func(name string) error {
		if name == "__metadata__" {
			var metadata map[string]string
			return decoder.Decode(&metadata)
		}
		if len(tensors) == Tensors {
			return fmt.Errorf("%w: more than %d tensors", ErrTooLarge, Tensors)
		}
		if len(name) > NameBytes {
			return fmt.Errorf("%w: tensor name of %d bytes, limit %d", ErrTooLarge, len(name), NameBytes)
		}
		t, err := parseTensor(decoder, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		tensors = append(tensors, t)
		return nil
	})
	if err == nil {
		if rest := bytes.TrimRight(text[decoder.InputOffset():], " "); len(rest) > 0 {
			err = fmt.Errorf("%d bytes after the header's object", len(rest))
		}
	}
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	return tensors, err
}

// parseTensor reads {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
func parseTensor(decoder *json.Decoder, name string) (Tensor, error) {
	t := Tensor{Name: name}
	var (
		dtype   string
		offsets []int64
	)
	err := jsonobject.EachMember(decoder, func(field string) error {
		switch field {
		case "dtype":
			return decoder.Decode(&dtype)
		case "shape":
			return decoder.Decode(&t.Shape)
		case "data_offsets":
			return decoder.Decode(&offsets)
		}
		return fmt.Errorf("unknown field %q", field)
	})
	if err != nil {
		return t, err
	}
	var ok bool
	if t.Type, ok = element.Parse(dtype); !ok {
		return t, fmt.Errorf("dtype %q is none that can be read", dtype)
	}
	if t.Shape == nil {
		return t, errors.New("no shape")
	}
	if len(t.Shape) > Dimensions {
		return t, fmt.Errorf("%w: %d dimensions, limit %d", ErrTooLarge, len(t.Shape), Dimensions)
	}
	if len(offsets) != 2 || offsets[0] < 0 || offsets[1] < offsets[0] {
		return t, fmt.Errorf("data_offsets %v are not [begin, end]", offsets)
	}
	t.Offset, t.Bytes = offsets[0], offsets[1]-offsets[0]
	if size, ok := byteSize(t.Type, t.Shape); !ok || size != t.Bytes {
		return t, fmt.Errorf("%s does not take the %d bytes of data_offsets", t.Describe(), t.Bytes)
	}
	return t, nil
}
