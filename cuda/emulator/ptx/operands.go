package ptx

import "strings"

func (p *parser) lookRegister(name string) (int, bool) {
	for i := len(p.scopes) - 1; i >= 0; i-- {
		if at, ok := p.scopes[i].registers[name]; ok {
			return at, true
		}
	}
	return 0, false
}

func (p *parser) lookVariable(name string) *Variable {
	for i := len(p.scopes) - 1; i >= 0; i-- {
		if v, ok := p.scopes[i].variables[name]; ok {
			return v
		}
	}
	return p.globals[name]
}

// operands reads operands with commas between them, up to end, and past it.
func (p *parser) operands(end string, depth int) ([]Operand, error) {
	if depth > MaxNesting {
		return nil, p.fail("operands nested deeper than %d", MaxNesting)
	}
	var list []Operand
	for {
		if done, err := p.is(end); err != nil || done {
			return list, err
		}
		if len(list) > 0 {
			if err := p.must(","); err != nil {
				return nil, err
			}
		}
		op, err := p.operand(depth)
		if err != nil {
			return nil, err
		}
		if len(list) >= MaxOperands {
			return nil, p.fail("more than %d operands", MaxOperands)
		}
		list = append(list, op)
	}
}

// operand reads one operand.
func (p *parser) operand(depth int) (Operand, error) {
	switch {
	case p.tok.kind == number || p.tok.text == "-":
		return p.literal()
	case p.tok.text == "{" || p.tok.text == "(":
		kind, end := Vector, "}"
		if p.tok.text == "(" {
			kind, end = List, ")"
		}
		if err := p.advance(); err != nil {
			return Operand{}, err
		}
		list, err := p.operands(end, depth+1)
		return Operand{Kind: kind, List: list}, err
	case p.tok.text == "[":
		return p.address(depth)
	case p.tok.text == "!":
		if err := p.advance(); err != nil {
			return Operand{}, err
		}
		op, err := p.named(depth)
		op.Not = true
		if err == nil && (op.Kind != Reg || p.fn.Registers[op.Register].Type != Pred) {
			err = p.fail("%q is no predicate to negate", p.tok.text)
		}
		return op, err
	}
	return p.named(depth)
}

// named reads a register, a pair of registers, a variable, a label or a function.
func (p *parser) named(depth int) (Operand, error) {
	if depth > MaxNesting {
		return Operand{}, p.fail("operands nested deeper than %d", MaxNesting)
	}
	name, err := p.take(word, "an operand")
	if err != nil {
		return Operand{}, err
	}
	op, err := p.lookup(name)
	if err != nil {
		return Operand{}, err
	}
	switch p.tok.text {
	case "|":
		if err := p.advance(); err != nil {
			return Operand{}, err
		}
		second, err := p.named(depth + 1)
		return Operand{Kind: Pair, List: []Operand{op, second}}, err
	case "+", "-":
		if op.Kind == Symbol {
			op.Offset, err = p.offset()
		}
	}
	return op, err
}

// lookup is the operand that a name stands for.
func (p *parser) lookup(name string) (Operand, error) {
	if name == "_" {
		return Operand{Kind: None}, nil
	}
	if at, ok := p.lookRegister(name); ok {
		return Operand{Kind: Reg, Register: at}, nil
	}
	if v := p.lookVariable(name); v != nil {
		return Operand{Kind: Symbol, Variable: v}, nil
	}
	if strings.HasPrefix(name, "%") {
		if p.tok.kind == dotted {
			name += p.tok.text
			if err := p.advance(); err != nil {
				return Operand{}, err
			}
		}
		return Operand{Kind: Special, Name: name[1:]}, nil
	}
	if name == "WARP_SZ" {
		return Operand{Kind: Immediate, Value: 32}, nil
	}
	return Operand{Kind: Target, Name: name}, nil // resolve says whether there is one
}

// offset reads "+8" or "-8" or "+-8".
func (p *parser) offset() (int64, error) {
	minus := p.tok.text == "-"
	if err := p.advance(); err != nil {
		return 0, err
	}
	op, err := p.literal()
	if err != nil {
		return 0, err
	}
	if op.Kind != Immediate {
		return 0, p.fail("an offset that is no integer")
	}
	if minus {
		return -int64(op.Value), nil
	}
	return int64(op.Value), nil
}

// address reads "[%rd1+8]".
func (p *parser) address(depth int) (Operand, error) {
	if err := p.advance(); err != nil {
		return Operand{}, err
	}
	base, err := p.operand(depth + 1)
	if err != nil {
		return Operand{}, err
	}
	op := Operand{Kind: Address, List: []Operand{base}}
	switch base.Kind {
	case Immediate:
		op.List, op.Offset = nil, int64(base.Value)
	case Symbol:
		op.Offset, op.List[0].Offset = base.Offset, 0
	case Reg:
	default:
		return Operand{}, p.fail("an address of neither a register nor a variable")
	}
	if p.tok.text == "+" || p.tok.text == "-" {
		if op.Offset, err = p.offset(); err != nil {
			return Operand{}, err
		}
	}
	return op, p.must("]")
}
