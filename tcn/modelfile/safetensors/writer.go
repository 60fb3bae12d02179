package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

// Layout is where each of specs, and the padding between them, goes in a file.
type Layout struct {
	Header []byte // length, JSON and spaces; a multiple of Alignment
	Size   int64  // of the whole file
	parts  []Tensor
}

// Plan lays specs out in the given order. Errors: ErrTooLarge; ErrTensor for a
// name or shape that cannot be written.
func Plan(specs []Spec) (*Layout, error) {
	layout := &Layout{}
	seen := make(map[string]bool)
	at := int64(0)
	for i, spec := range specs {
		size, ok := byteSize(spec.Type, spec.Shape)
		if !ok || size == 0 || size > math.MaxInt64/2-at {
			return nil, fmt.Errorf("%w: %q: cannot store %s", ErrTensor, spec.Name, describe(spec.Type, spec.Shape))
		}
		if spec.Name == "" || len(spec.Name) > NameBytes || !utf8.ValidString(spec.Name) ||
			spec.Name == "__metadata__" || IsPad(spec.Name) || seen[spec.Name] {
			return nil, fmt.Errorf("%w: name %q cannot be written, or not twice", ErrTensor, spec.Name)
		}
		seen[spec.Name] = true
		layout.parts = append(layout.parts, Tensor{Name: spec.Name, Type: spec.Type, Shape: spec.Shape, Offset: at, Bytes: size})
		at += size
		if pad := padding(at); pad > 0 && i < len(specs)-1 {
			layout.parts = append(layout.parts, Tensor{
				Name: PadPrefix + strconv.Itoa(i), Type: element.U8, Shape: []int{int(pad)}, Offset: at, Bytes: pad,
			})
			at += pad
		}
	}
	if len(layout.parts) > Tensors {
		return nil, fmt.Errorf("%w: %d tensors, limit %d", ErrTooLarge, len(layout.parts), Tensors)
	}
	layout.Header = encodeHeader(layout.parts)
	if len(layout.Header)-lengthBytes > HeaderBytes {
		return nil, fmt.Errorf("%w: header of %d bytes, limit %d", ErrTooLarge, len(layout.Header), HeaderBytes)
	}
	layout.Size = int64(len(layout.Header)) + at
	return layout, nil
}

func encodeHeader(parts []Tensor) []byte {
	var text strings.Builder
	text.WriteString("{")
	for i, t := range parts {
		if i > 0 {
			text.WriteString(",")
		}
		shape := make([]string, len(t.Shape))
		for j, n := range t.Shape {
			shape[j] = strconv.Itoa(n)
		}
		fmt.Fprintf(&text, `%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}`,
			strconv.Quote(t.Name), t.Type, strings.Join(shape, ","), t.Offset, t.Offset+t.Bytes)
	}
	text.WriteString("}")
	fill := padding(int64(lengthBytes + text.Len()))
	text.WriteString(strings.Repeat(" ", int(fill)))
	header := binary.LittleEndian.AppendUint64(nil, uint64(text.Len()))
	return append(header, text.String()...)
}

// Writer writes the F32 and U8 tensors of a Layout in order, in pieces of any
// size.
type Writer struct {
	w      io.Writer
	layout *Layout
	part   int   // being written
	left   int64 // bytes of it
	buffer []byte
}

// NewWriter writes the header of layout to w. Buffer w if pieces are small.
func NewWriter(w io.Writer, layout *Layout) (*Writer, error) {
	if _, err := w.Write(layout.Header); err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	writer := &Writer{w: w, layout: layout, part: -1}
	return writer, writer.advance()
}

// advance goes to the next tensor that wants numbers, filling gaps on the way.
func (w *Writer) advance() error {
	for w.left == 0 {
		w.part++
		if w.part == len(w.layout.parts) {
			return nil
		}
		t := w.layout.parts[w.part]
		if !IsPad(t.Name) {
			w.left = t.Bytes
			return nil
		}
		if _, err := w.w.Write(make([]byte, t.Bytes)); err != nil {
			return fmt.Errorf("safetensors: %s: %w", t.Name, err)
		}
	}
	return nil
}

// WriteFloat32 writes the next numbers, which may run over several tensors.
// Errors: ErrNotFinite; ErrTensor when there are more numbers than the Layout
// has room for, or the next tensor is not F32.
func (w *Writer) WriteFloat32(values []float32) error {
	for len(values) > 0 {
		if w.part == len(w.layout.parts) {
			return fmt.Errorf("%w: %d numbers too many", ErrTensor, len(values))
		}
		t := w.layout.parts[w.part]
		if t.Type != element.F32 {
			return fmt.Errorf("%w: %q is %s, not F32", ErrTensor, t.Name, t.Describe())
		}
		n := int(min(int64(len(values)), w.left/4))
		if i := firstNotFinite(values[:n]); i >= 0 {
			return fmt.Errorf("%w: %q number %d", ErrNotFinite, t.Name, (t.Bytes-w.left)/4+int64(i))
		}
		if err := w.put(values[:n]); err != nil {
			return fmt.Errorf("safetensors: %q: %w", t.Name, err)
		}
		values = values[n:]
		if err := w.advance(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) put(values []float32) error {
	w.buffer = w.buffer[:0]
	for _, v := range values {
		w.buffer = binary.LittleEndian.AppendUint32(w.buffer, math.Float32bits(v))
	}
	w.left -= int64(len(w.buffer))
	_, err := w.w.Write(w.buffer)
	return err
}

// WriteBytes writes the next bytes, which may run over several tensors. Errors:
// ErrTensor when there are more than the Layout has room for, or the next tensor
// is not U8.
func (w *Writer) WriteBytes(raw []byte) error {
	for len(raw) > 0 {
		if w.part == len(w.layout.parts) {
			return fmt.Errorf("%w: %d bytes too many", ErrTensor, len(raw))
		}
		t := w.layout.parts[w.part]
		if t.Type != element.U8 {
			return fmt.Errorf("%w: %q is %s, not U8", ErrTensor, t.Name, t.Describe())
		}
		n := int(min(int64(len(raw)), w.left))
		w.left -= int64(n)
		if _, err := w.w.Write(raw[:n]); err != nil {
			return fmt.Errorf("safetensors: %q: %w", t.Name, err)
		}
		raw = raw[n:]
		if err := w.advance(); err != nil {
			return err
		}
	}
	return nil
}

// Close checks that every tensor was written. It does not close the underlying
// writer. Errors: ErrTensor.
func (w *Writer) Close() error {
	if w.part < len(w.layout.parts) {
		return fmt.Errorf("%w: %q lacks %d bytes", ErrTensor, w.layout.parts[w.part].Name, w.left)
	}
	return nil
}

// firstNotFinite is the index of the first infinity or not-a-number, or -1.
func firstNotFinite(values []float32) int {
	const exponent = 0x7f800000
	for i, v := range values {
		if math.Float32bits(v)&exponent == exponent {
			return i
		}
	}
	return -1
}
