package pt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// The opcodes torch.save writes, at protocols 2 to 5. All others are refused.
const (
	opMark           = '('
	opStop           = '.'
	opNone           = 'N'
	opNewTrue        = 0x88
	opNewFalse       = 0x89
	opBinInt         = 'J'
	opBinInt1        = 'K'
	opBinInt2        = 'M'
	opLong1          = 0x8a
	opBinFloat       = 'G'
	opShortUnicode   = 0x8c
	opBinUnicode     = 'X'
	opEmptyList      = ']'
	opAppend         = 'a'
	opAppends        = 'e'
	opEmptyTuple     = ')'
	opTuple          = 't'
	opTuple1         = 0x85
	opTuple2         = 0x86
	opTuple3         = 0x87
	opEmptyDict      = '}'
	opSetItem        = 's'
	opSetItems       = 'u'
	opBinPut         = 'q'
	opLongBinPut     = 'r'
	opMemoize        = 0x94
	opBinGet         = 'h'
	opLongBinGet     = 'j'
	opGlobal         = 'c'
	opStackGlobal    = 0x93
	opReduce         = 'R'
	opBuild          = 'b'
	opBinPersistence = 'Q'
	opProto          = 0x80
	opFrame          = 0x95
)

// machine is the pickle's stack machine. Every opcode takes at least one byte of
// text and pushes at most one value, so memory is bounded by the text.
type machine struct {
	text  []byte
	at    int
	stack []any
	memo  map[uint32]any
}

// unpickle gives the value text describes. Errors: ErrFormat, ErrRefused.
func unpickle(text []byte) (any, error) {
	m := &machine{text: text, memo: make(map[uint32]any)}
	for count := 0; ; count++ {
		if count == Opcodes {
			return nil, fmt.Errorf("%w: pickle of more than %d opcodes", ErrTooLarge, Opcodes)
		}
		start := m.at
		op, err := m.bytes(1)
		if err != nil {
			return nil, err
		}
		if op[0] == opStop {
			if len(m.stack) != 1 || m.at != len(text) {
				return nil, fmt.Errorf("%w: pickle ends with %d values and %d bytes left", ErrFormat, len(m.stack), len(text)-m.at)
			}
			return m.pop()
		}
		if err := m.step(op[0]); err != nil {
			return nil, fmt.Errorf("pickle byte %d: %w", start, err)
		}
	}
}

func (m *machine) step(op byte) error {
	switch op {
	case opNone:
		return m.push(nil)
	case opNewTrue, opNewFalse:
		return m.push(op == opNewTrue)
	case opBinInt, opBinInt1, opBinInt2, opLong1, opBinFloat:
		return m.number(op)
	case opShortUnicode, opBinUnicode:
		return m.text1(op)
	case opMark:
		return m.push(mark{})
	case opEmptyList:
		return m.push(&list{})
	case opEmptyDict:
		return m.push(&dict{})
	case opEmptyTuple, opTuple, opTuple1, opTuple2, opTuple3:
		return m.tuple(op)
	case opAppend, opAppends:
		return m.extend(op)
	case opSetItem, opSetItems:
		return m.setItems(op)
	case opBinPut, opLongBinPut, opMemoize:
		return m.put(op)
	case opBinGet, opLongBinGet:
		return m.get(op)
	case opGlobal, opStackGlobal:
		return m.global(op)
	case opReduce, opBuild, opBinPersistence:
		return m.object(op)
	case opProto:
		return m.protocol()
	case opFrame:
		_, err := m.bytes(8)
		return err
	}
	return fmt.Errorf("%w: opcode %#02x", ErrRefused, op)
}

// bytes takes the next n bytes of the text.
func (m *machine) bytes(n int) ([]byte, error) {
	if n < 0 || n > len(m.text)-m.at {
		return nil, fmt.Errorf("%w: pickle ends at byte %d, %d more wanted", ErrFormat, len(m.text), n)
	}
	m.at += n
	return m.text[m.at-n : m.at], nil
}

// line takes the text up to the next line feed.
func (m *machine) line() (string, error) {
	end := bytes.IndexByte(m.text[m.at:], '\n')
	if end < 0 {
		return "", fmt.Errorf("%w: pickle ends within a name", ErrFormat)
	}
	line, err := m.bytes(end + 1)
	if err != nil {
		return "", err
	}
	return string(line[:end]), nil
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return nil
}

// pop takes the top value, which must not be a mark.
func (m *machine) pop() (any, error) {
	if len(m.stack) == 0 {
		return nil, fmt.Errorf("%w: pickle takes from an empty stack", ErrFormat)
	}
	v := m.stack[len(m.stack)-1]
	if _, isMark := v.(mark); isMark {
		return nil, fmt.Errorf("%w: pickle takes a mark for a value", ErrFormat)
	}
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// popN takes the top n values, oldest first.
func (m *machine) popN(n int) ([]any, error) {
	items := make([]any, n)
	for i := n - 1; i >= 0; i-- {
		var err error
		if items[i], err = m.pop(); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// popMark takes the values above the top mark, oldest first, and the mark.
func (m *machine) popMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, isMark := m.stack[i].(mark); isMark {
			items := append([]any(nil), m.stack[i+1:]...)
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, fmt.Errorf("%w: pickle has no mark", ErrFormat)
}

// numberBytes is what follows the opcode of a number.
var numberBytes = [256]int{opBinInt: 4, opBinInt1: 1, opBinInt2: 2, opLong1: 1, opBinFloat: 8}

func (m *machine) number(op byte) error {
	b, err := m.bytes(numberBytes[op])
	if err != nil {
		return err
	}
	switch op {
	case opBinInt:
		return m.push(int64(int32(binary.LittleEndian.Uint32(b))))
	case opBinInt1:
		return m.push(int64(b[0]))
	case opBinInt2:
		return m.push(int64(binary.LittleEndian.Uint16(b)))
	case opBinFloat:
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	}
	// opLong1: little-endian two's complement of b[0] bytes.
	if b[0] > 8 {
		return fmt.Errorf("%w: integer of %d bytes, limit 8", ErrTooLarge, b[0])
	}
	digits, err := m.bytes(int(b[0]))
	if err != nil {
		return err
	}
	var value int64
	for i := len(digits) - 1; i >= 0; i-- {
		value = value<<8 | int64(digits[i])
	}
	if n := len(digits); n > 0 && n < 8 && digits[n-1]&0x80 != 0 {
		value -= 1 << (8 * n)
	}
	return m.push(value)
}

func (m *machine) text1(op byte) error {
	length := 0
	if op == opShortUnicode {
		b, err := m.bytes(1)
		if err != nil {
			return err
		}
		length = int(b[0])
	} else {
		b, err := m.bytes(4)
		if err != nil {
			return err
		}
		n := binary.LittleEndian.Uint32(b)
		if uint64(n) > uint64(len(m.text)-m.at) {
			return fmt.Errorf("%w: text of %d bytes, %d left", ErrFormat, n, len(m.text)-m.at)
		}
		length = int(n)
	}
	b, err := m.bytes(length)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: text is not UTF-8", ErrFormat)
	}
	return m.push(string(b))
}

func (m *machine) tuple(op byte) error {
	var (
		items []any
		err   error
	)
	switch op {
	case opTuple:
		items, err = m.popMark()
	case opTuple1, opTuple2, opTuple3:
		items, err = m.popN(int(op-opTuple1) + 1)
	}
	if err != nil {
		return err
	}
	return m.push(tuple(items))
}

func (m *machine) extend(op byte) error {
	items, err := m.items(op == opAppends, 1)
	if err != nil {
		return err
	}
	target, err := m.pop()
	if err != nil {
		return err
	}
	l, ok := target.(*list)
	if !ok {
		return fmt.Errorf("%w: append to a %s", ErrFormat, typeName(target))
	}
	l.items = append(l.items, items...)
	return m.push(l)
}

func (m *machine) setItems(op byte) error {
	items, err := m.items(op == opSetItems, 2)
	if err != nil {
		return err
	}
	target, err := m.pop()
	if err != nil {
		return err
	}
	d, ok := target.(*dict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%w: %d items set in a %s", ErrFormat, len(items), typeName(target))
	}
	for i := 0; i < len(items); i += 2 {
		if err := d.set(items[i], items[i+1]); err != nil {
			return err
		}
	}
	return m.push(d)
}

// items takes the values above a mark, or the top n.
func (m *machine) items(marked bool, n int) ([]any, error) {
	if marked {
		return m.popMark()
	}
	return m.popN(n)
}

// put remembers the top value.
func (m *machine) put(op byte) error {
	index := uint32(len(m.memo))
	switch op {
	case opBinPut:
		b, err := m.bytes(1)
		if err != nil {
			return err
		}
		index = uint32(b[0])
	case opLongBinPut:
		b, err := m.bytes(4)
		if err != nil {
			return err
		}
		index = binary.LittleEndian.Uint32(b)
	}
	v, err := m.pop()
	if err != nil {
		return err
	}
	m.memo[index] = v
	return m.push(v)
}

func (m *machine) get(op byte) error {
	index := uint32(0)
	if op == opBinGet {
		b, err := m.bytes(1)
		if err != nil {
			return err
		}
		index = uint32(b[0])
	} else {
		b, err := m.bytes(4)
		if err != nil {
			return err
		}
		index = binary.LittleEndian.Uint32(b)
	}
	v, ok := m.memo[index]
	if !ok {
		return fmt.Errorf("%w: nothing remembered as %d", ErrFormat, index)
	}
	return m.push(v)
}

func (m *machine) global(op byte) error {
	var module, name string
	if op == opGlobal {
		var err error
		if module, err = m.line(); err != nil {
			return err
		}
		if name, err = m.line(); err != nil {
			return err
		}
	} else {
		items, err := m.popN(2)
		if err != nil {
			return err
		}
		var ok [2]bool
		module, ok[0] = items[0].(string)
		name, ok[1] = items[1].(string)
		if !ok[0] || !ok[1] {
			return fmt.Errorf("%w: global of a %s and a %s", ErrFormat, typeName(items[0]), typeName(items[1]))
		}
	}
	g, err := findGlobal(module, name)
	if err != nil {
		return err
	}
	return m.push(g)
}

// object makes what only three opcodes make: tensors, OrderedDicts, storages.
func (m *machine) object(op byte) error {
	if op == opBinPersistence {
		id, err := m.pop()
		if err != nil {
			return err
		}
		s, err := newStorage(id)
		if err != nil {
			return err
		}
		return m.push(s)
	}
	items, err := m.popN(2)
	if err != nil {
		return err
	}
	if op == opReduce {
		v, err := call(items[0], items[1])
		if err != nil {
			return err
		}
		return m.push(v)
	}
	// opBuild sets attributes. A state dict carries one, _metadata, which says
	// nothing about the tensors.
	if d, ok := items[0].(*dict); ok {
		if attributes, ok := items[1].(*dict); ok && len(attributes.keys) == 1 && attributes.keys[0] == "_metadata" {
			return m.push(d)
		}
	}
	return fmt.Errorf("%w: attributes set on a %s", ErrRefused, typeName(items[0]))
}

func (m *machine) protocol() error {
	b, err := m.bytes(1)
	if err != nil {
		return err
	}
	if b[0] < 2 || b[0] > 5 {
		return fmt.Errorf("%w: pickle protocol %d, want 2 to 5", ErrRefused, b[0])
	}
	return nil
}
