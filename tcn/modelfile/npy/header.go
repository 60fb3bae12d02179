package npy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/zetagrid/zetagrid/tcn/modelfile/element"
)

// header is what the dict says.
type header struct {
	descr   string
	fortran bool
	shape   []int64
}

// parseHeader reads
//
//	{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
//
// with the names in any order, each once, and blanks anywhere between tokens.
func parseHeader(text []byte) (header, error) {
	p := parser{text: string(text)}
	var h header
	p.want("{")
	seen := make(map[string]bool)
	for p.err == nil && !p.take("}") {
		name := p.quoted()
		if seen[name] {
			p.fail("%q comes twice", name)
		}
		seen[name] = true
		p.want(":")
		switch name {
		case "descr":
			if p.peek() == '[' {
				return h, fmt.Errorf("%w: structured (a record of named fields)", ErrType)
			}
			h.descr = p.quoted()
		case "fortran_order":
			h.fortran = p.boolean()
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail("unknown name %q", name)
		}
		if !p.take(",") && p.peek() != '}' {
			p.fail("want a comma or the end of the dict")
		}
	}
	if p.err == nil && p.peek() != 0 {
		p.fail("text after the dict")
	}
	if p.err == nil && len(seen) != 3 {
		p.fail("want descr, fortran_order and shape")
	}
	return h, p.err
}

// parser reads tokens until the first error.
type parser struct {
	text string
	at   int
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: header at byte %d: %s", ErrFormat, p.at, fmt.Sprintf(format, args...))
	}
	p.at = len(p.text)
}

// peek is the next byte that is not blank, 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) take(token string) bool {
	p.peek()
	if !strings.HasPrefix(p.text[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *parser) want(token string) {
	if !p.take(token) {
		p.fail("want %q", token)
	}
}

// quoted is a string without escapes.
func (p *parser) quoted() string {
	quote := p.peek()
	if quote != '\'' && quote != '"' {
		p.fail("want a string")
		return ""
	}
	body := p.text[p.at+1:]
	end := strings.IndexByte(body, quote)
	if end < 0 || strings.IndexByte(body[:end], '\\') >= 0 {
		p.fail("string does not end, or has an escape")
		return ""
	}
	p.at += end + 2
	return body[:end]
}

func (p *parser) boolean() bool {
	if p.take("True") {
		return true
	}
	p.want("False")
	return false
}

// tuple is (), (3,) or (3, 4).
func (p *parser) tuple() []int64 {
	p.want("(")
	shape := []int64{}
	for p.err == nil && !p.take(")") {
		if len(shape) == Dimensions {
			p.err = fmt.Errorf("%w: more than %d dimensions", ErrTooLarge, Dimensions)
			return nil
		}
		shape = append(shape, p.number())
		if !p.take(",") && (p.peek() != ')' || len(shape) == 1) {
			p.fail("want a comma or the end of the tuple")
		}
	}
	return shape
}

func (p *parser) number() int64 {
	p.peek()
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[start:p.at], 10, 64)
	if err != nil {
		p.fail("want a number from 0 to 2⁶³-1")
	}
	return n
}

// parseDescr reads a type such as "<f2": byte order, kind, bytes.
func parseDescr(descr string) (element.Type, binary.ByteOrder, error) {
	if len(descr) < 2 {
		return 0, nil, fmt.Errorf("%w: %q", ErrType, descr)
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch descr[0] {
	case '<', '|':
	case '>':
		order = binary.BigEndian
	default:
		return 0, nil, fmt.Errorf("%w: %q: byte order %q is none of <, >, |", ErrType, descr, descr[0])
	}
	t, ok := map[string]element.Type{
		"b1": element.Bool,
		"i1": element.I8, "i2": element.I16, "i4": element.I32, "i8": element.I64,
		"u1": element.U8, "u2": element.U16, "u4": element.U32, "u8": element.U64,
		"f2": element.F16, "f4": element.F32, "f8": element.F64,
	}[descr[1:]]
	if !ok {
		return 0, nil, fmt.Errorf("%w: %q is %s", ErrType, descr, kindName(descr[1]))
	}
	if descr[0] == '|' && t.Size() > 1 {
		return 0, nil, fmt.Errorf("%w: %q does not say its byte order", ErrType, descr)
	}
	return t, order, nil
}

// kindName says what NumPy's kind letter means.
func kindName(kind byte) string {
	switch kind {
	case 'O':
		return "an array of Python objects"
	case 'c':
		return "complex"
	case 'S', 'a', 'U':
		return "text"
	case 'V':
		return "raw bytes"
	case 'M', 'm':
		return "times"
	}
	return "no real number of 1, 2, 4 or 8 bytes"
}
