package ptx

import (
	"fmt"
	"strconv"
)

// parser reads declarations; body.go reads the bodies of functions.
type parser struct {
	scan    scanner
	tok     token // the token looked at
	module  *Module
	globals map[string]*Variable
	fn      *Function // whose body is read; nil between functions
	scopes  []scope
	labels  map[string]int
	tables  map[string][]string // names of labels in a table of targets

	functions    map[string]int // where in the module
	allRegisters int            // of all functions
	allCode      int            // instructions of all functions
}

// Parse reads a text. Errors: [SyntaxError].
func Parse(text []byte) (*Module, error) {
	if len(text) > MaxText {
		return nil, &SyntaxError{0, fmt.Sprintf("%d bytes, more than %d", len(text), MaxText)}
	}
	p := &parser{scan: scanner{text: string(text), line: 1}, module: &Module{}, globals: map[string]*Variable{}, functions: map[string]int{}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for p.tok.kind != endOfText {
		if err := p.declaration(); err != nil {
			return nil, err
		}
	}
	return p.module, nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.scan.next()
	return err
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{p.tok.line, fmt.Sprintf(format, args...)}
}

// is reports whether the token is this one, and goes on if so.
func (p *parser) is(text string) (bool, error) {
	if p.tok.text != text || p.tok.kind == quoted {
		return false, nil
	}
	return true, p.advance()
}

// must goes on past this token.
func (p *parser) must(text string) error {
	ok, err := p.is(text)
	if err == nil && !ok {
		err = p.fail("%q where %q was expected", p.tok.text, text)
	}
	return err
}

// take returns the token's text, which must be of a kind, and goes on.
func (p *parser) take(kind tokenKind, what string) (string, error) {
	if p.tok.kind != kind {
		return "", p.fail("%q where %s was expected", p.tok.text, what)
	}
	text := p.tok.text
	return text, p.advance()
}

// integer reads a number that is at most limit.
func (p *parser) integer(limit int64) (int64, error) {
	text, err := p.take(number, "a number")
	if err != nil {
		return 0, err
	}
	op, err := parseNumber(text)
	if err != nil || op.Kind != Immediate || op.Value > uint64(limit) {
		return 0, p.fail("%s is not a number up to %d", text, limit)
	}
	return int64(op.Value), nil
}

// declaration reads one statement between functions.
func (p *parser) declaration() error {
	switch p.tok.text {
	case ".version":
		return p.version()
	case ".target":
		return p.target()
	case ".address_size":
		if err := p.advance(); err != nil {
			return err
		}
		bits, err := p.integer(64)
		if err == nil && bits != 64 {
			err = p.fail("addresses of %d bits", bits)
		}
		return err
	case ".visible", ".extern", ".weak", ".common":
		return p.advance() // says who links it
	case ".entry", ".func":
		return p.function()
	case ".global", ".const", ".shared":
		v, err := p.variable()
		if err != nil {
			return err
		}
		if len(p.module.Variables) >= MaxVariables {
			return p.fail("more than %d variables", MaxVariables)
		}
		if _, twice := p.globals[v.Name]; twice {
			return p.fail("%s is declared twice", v.Name)
		}
		p.globals[v.Name] = v
		p.module.Variables = append(p.module.Variables, v)
		return p.must(";")
	case ";":
		return p.advance()
	}
	return p.fail("%q begins no declaration that is known here", p.tok.text)
}

func (p *parser) version() error {
	if err := p.advance(); err != nil {
		return err
	}
	text, err := p.take(number, "a version")
	p.module.Version = text
	return err
}

// target reads ".target sm_80, texmode_independent".
func (p *parser) target() error {
	if err := p.advance(); err != nil {
		return err
	}
	text, err := p.take(word, "a target")
	p.module.Target = text
	for err == nil && p.tok.text == "," {
		if err = p.advance(); err == nil {
			_, err = p.take(word, "an option of the target")
		}
	}
	return err
}

// variable reads ".shared .align 4 .b8 name[128]", up to its end or initial value.
func (p *parser) variable() (*Variable, error) {
	v := &Variable{Space: spaces[p.tok.text], Align: 1, Line: p.tok.line}
	if err := p.advance(); err != nil {
		return nil, err
	}
	var kind Type
	lanes := int64(1)
	aligned := false
	for p.tok.kind == dotted {
		text := p.tok.text
		if err := p.advance(); err != nil {
			return nil, err
		}
		switch text {
		case ".align":
			n, err := p.integer(1 << 10)
			if err != nil {
				return nil, err
			}
			if n < 1 || n&(n-1) != 0 {
				return nil, p.fail("an alignment of %d", n)
			}
			v.Align, aligned = n, true
		case ".ptr", ".global", ".const", ".shared", ".local": // says where a parameter points
		case ".v2":
			lanes = 2
		case ".v4":
			lanes = 4
		default:
			if kind = TypeNamed(text[1:]); kind.Bytes() == 0 {
				return nil, p.fail("%s is no type of a variable", text)
			}
		}
	}
	if kind == NoType {
		return nil, p.fail("a variable without a type")
	}
	var err error
	if v.Name, err = p.take(word, "a name"); err != nil {
		return nil, err
	}
	each := int64(kind.Bytes()) * lanes
	if !aligned {
		v.Align = each
	}
	if v.Size, err = p.dimensions(each); err != nil {
		return nil, err
	}
	if p.tok.text == "=" {
		return v, p.initial(v, kind.Bytes())
	}
	return v, nil
}

// dimensions reads "[4][8]" and multiplies; "[]" makes it 0.
func (p *parser) dimensions(each int64) (int64, error) {
	size := each
	for p.tok.text == "[" {
		if err := p.advance(); err != nil {
			return 0, err
		}
		if p.tok.text == "]" {
			size = 0
		} else {
			n, err := p.integer(MaxVariable)
			if err != nil {
				return 0, err
			}
			if size *= n; size > MaxVariable {
				return 0, p.fail("a variable of more than %d bytes", MaxVariable)
			}
		}
		if err := p.must("]"); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// initial reads "= {0, 1, 2}" or "= 1".
func (p *parser) initial(v *Variable, each int) error {
	if err := p.advance(); err != nil {
		return err
	}
	list, err := p.is("{")
	if err != nil {
		return err
	}
	for at := 0; ; at += each {
		op, err := p.literal()
		if err != nil {
			return err
		}
		if int64(at+each) > v.Size {
			return p.fail("more numbers than %s has room for", v.Name)
		}
		for i := range each {
			v.Init = append(v.Init, byte(op.Value>>(8*i)))
		}
		if !list {
			return nil
		}
		if p.tok.text != "," {
			return p.must("}")
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// literal reads a number, negated or not.
func (p *parser) literal() (Operand, error) {
	minus, err := p.is("-")
	if err != nil {
		return Operand{}, err
	}
	text, err := p.take(number, "a number")
	if err != nil {
		return Operand{}, err
	}
	op, err := parseNumber(text)
	if err != nil {
		return Operand{}, p.fail("%v", err)
	}
	if minus {
		switch op.Kind {
		case Float32:
			op.Value ^= 1 << 31
		case Float64:
			op.Value ^= 1 << 63
		default:
			op.Value = -op.Value
		}
	}
	return op, nil
}

// registers reads ".reg .b32 %r<33>;" or ".reg .pred p, q;".
func (p *parser) registers() error {
	if err := p.advance(); err != nil {
		return err
	}
	text, err := p.take(dotted, "a type")
	if err != nil {
		return err
	}
	t := TypeNamed(text[1:])
	if t == NoType {
		return p.fail("%s is no type of a register", text)
	}
	for {
		name, err := p.take(word, "a register")
		if err != nil {
			return err
		}
		if p.tok.text == "<" {
			err = p.numbered(name, t)
		} else {
			err = p.register(name, t)
		}
		if err != nil {
			return err
		}
		if p.tok.text != "," {
			return p.must(";")
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// numbered declares name0 … name(n-1).
func (p *parser) numbered(name string, t Type) error {
	if err := p.advance(); err != nil {
		return err
	}
	n, err := p.integer(MaxRegisters)
	if err != nil {
		return err
	}
	for i := range n {
		if err := p.register(name+strconv.FormatInt(i, 10), t); err != nil {
			return err
		}
	}
	return p.must(">")
}
