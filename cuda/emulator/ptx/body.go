package ptx

import "strings"

// scope is the names declared between two braces.
type scope struct {
	registers map[string]int
	variables map[string]*Variable
}

func (p *parser) open() error {
	if len(p.scopes) >= MaxNesting {
		return p.fail("braces nested deeper than %d", MaxNesting)
	}
	p.scopes = append(p.scopes, scope{map[string]int{}, map[string]*Variable{}})
	return nil
}

func (p *parser) register(name string, t Type) error {
	if p.allRegisters++; p.allRegisters > MaxRegisters {
		return p.fail("more than %d registers", MaxRegisters)
	}
	inner := p.scopes[len(p.scopes)-1]
	if _, twice := inner.registers[name]; twice {
		return p.fail("register %s is declared twice", name)
	}
	inner.registers[name] = len(p.fn.Registers)
	p.fn.Registers = append(p.fn.Registers, Register{name, t})
	return nil
}

// function reads ".entry name(params) { body }" or ".func (returns) name(params) …".
func (p *parser) function() error {
	f := &Function{Entry: p.tok.text == ".entry", Line: p.tok.line}
	p.fn, p.scopes, p.labels, p.tables = f, nil, map[string]int{}, map[string][]string{}
	defer func() { p.fn = nil }()
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.open(); err != nil {
		return err
	}
	var err error
	if !f.Entry && p.tok.text == "(" {
		if f.Returns, err = p.parameters(); err != nil {
			return err
		}
	}
	if f.Name, err = p.take(word, "the name of a function"); err != nil {
		return err
	}
	if p.tok.text == "(" {
		if f.Params, err = p.parameters(); err != nil {
			return err
		}
	}
	if err := p.hints(); err != nil {
		return err
	}
	f.Body = p.tok.text == "{"
	if err := p.keep(f); err != nil { // before the body, which may name it
		return err
	}
	if !f.Body {
		return p.must(";")
	}
	return p.body()
}

// keep adds f to the module; a definition takes its declaration's place.
func (p *parser) keep(f *Function) error {
	if i, ok := p.functions[f.Name]; ok {
		if p.module.Functions[i].Body && f.Body {
			return &SyntaxError{f.Line, "function " + f.Name + " is defined twice"}
		}
		if f.Body {
			p.module.Functions[i] = f
		}
		return nil
	}
	if len(p.module.Functions) >= MaxFunctions {
		return p.fail("more than %d functions", MaxFunctions)
	}
	p.functions[f.Name] = len(p.module.Functions)
	p.module.Functions = append(p.module.Functions, f)
	return nil
}

// hints skips ".maxntid 256, 1, 1 .minnctapersm 2 .noreturn".
func (p *parser) hints() error {
	for p.tok.kind == dotted {
		for first := true; first || p.tok.kind == number || p.tok.text == ","; first = false {
			if err := p.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

// parameters reads "(.param .b64 a, .param .align 8 .b8 b[48])".
func (p *parser) parameters() ([]*Variable, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	var list []*Variable
	for p.tok.text != ")" {
		if p.tok.text != ".param" {
			return nil, p.fail("%q where a parameter was expected", p.tok.text)
		}
		v, err := p.variable()
		if err != nil {
			return nil, err
		}
		if len(list) >= MaxOperands {
			return nil, p.fail("more than %d parameters", MaxOperands)
		}
		list = append(list, v)
		p.scopes[0].variables[v.Name] = v
		if p.tok.text != "," {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return list, p.must(")")
}

// body reads "{ … }" and finds the labels.
func (p *parser) body() error {
	depth := len(p.scopes)
	for {
		switch {
		case p.tok.kind == endOfText:
			return p.fail("function %s has no end", p.fn.Name)
		case p.tok.text == "{":
			if err := p.open(); err != nil {
				return err
			}
			if err := p.advance(); err != nil {
				return err
			}
			continue
		case p.tok.text == "}":
			p.scopes = p.scopes[:len(p.scopes)-1]
			if err := p.advance(); err != nil {
				return err
			}
			if len(p.scopes) == depth {
				return p.resolve()
			}
			continue
		}
		if err := p.statement(); err != nil {
			return err
		}
	}
}

// resolve finds the labels and functions that the body names.
func (p *parser) resolve() error {
	for i := range p.fn.Code {
		for j := range p.fn.Code[i].Operands {
			if err := p.resolveOperand(&p.fn.Code[i].Operands[j], p.fn.Code[i].Line); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *parser) resolveOperand(op *Operand, line int) error {
	for i := range op.List {
		if err := p.resolveOperand(&op.List[i], line); err != nil {
			return err
		}
	}
	if op.Kind != Target {
		return nil
	}
	if at, ok := p.labels[op.Name]; ok {
		op.Value = uint64(at)
		return nil
	}
	if table, ok := p.tables[op.Name]; ok {
		op.Kind = Targets
		for _, label := range table {
			at, ok := p.labels[label]
			if !ok {
				return &SyntaxError{line, "no label " + label}
			}
			op.Table = append(op.Table, at)
		}
		return nil
	}
	if _, ok := p.functions[op.Name]; ok {
		op.Kind = Callee
		return nil
	}
	return &SyntaxError{line, "no register, variable, label or function " + op.Name}
}

// statement reads a declaration, a label or an instruction of a body.
func (p *parser) statement() error {
	switch p.tok.text {
	case ".reg":
		return p.registers()
	case ".shared", ".local", ".param":
		return p.inner()
	case ".pragma":
		for p.tok.text != ";" && p.tok.kind != endOfText {
			if err := p.advance(); err != nil {
				return err
			}
		}
		return p.must(";")
	case ".loc":
		return p.location()
	case ";":
		return p.advance()
	}
	if p.tok.kind != word && p.tok.text != "@" {
		return p.fail("%q begins no statement that is known here", p.tok.text)
	}
	return p.instruction()
}

// inner declares a variable of the body.
func (p *parser) inner() error {
	v, err := p.variable()
	if err != nil {
		return err
	}
	if len(p.fn.Variables) >= MaxVariables {
		return p.fail("more than %d variables", MaxVariables)
	}
	p.scopes[len(p.scopes)-1].variables[v.Name] = v
	p.fn.Variables = append(p.fn.Variables, v)
	return p.must(";")
}

// location skips ".loc 1 2 3", which ends with its line.
func (p *parser) location() error {
	for line := p.tok.line; p.tok.line == line && p.tok.kind != endOfText; {
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

// label notes where the code goes on, or a table of labels.
func (p *parser) label(name string) error {
	if _, twice := p.labels[name]; twice || p.tables[name] != nil {
		return p.fail("label %s is set twice", name)
	}
	if p.tok.text != ".branchtargets" {
		p.labels[name] = len(p.fn.Code)
		return nil
	}
	var table []string
	for more := true; more; more = p.tok.text == "," {
		if err := p.advance(); err != nil {
			return err
		}
		target, err := p.take(word, "a label")
		if err != nil {
			return err
		}
		if table = append(table, target); len(table) > MaxOperands {
			return p.fail("more than %d targets", MaxOperands)
		}
	}
	p.tables[name] = table
	return p.must(";")
}

// instruction reads a label, or "@!%p1 add.s32 %r1, %r2, 3;".
func (p *parser) instruction() error {
	in := Instruction{Line: p.tok.line, Guard: -1}
	guarded, err := p.is("@")
	if err != nil {
		return err
	}
	if guarded {
		if in.GuardNot, err = p.is("!"); err != nil {
			return err
		}
		name, err := p.take(word, "a predicate")
		if err != nil {
			return err
		}
		at, ok := p.lookRegister(name)
		if !ok || p.fn.Registers[at].Type != Pred {
			return p.fail("%s is no predicate", name)
		}
		in.Guard = at
	}
	name, err := p.take(word, "an instruction")
	if err != nil {
		return err
	}
	if p.tok.text == ":" && !guarded {
		if err := p.advance(); err != nil {
			return err
		}
		return p.label(name)
	}
	for p.tok.kind == dotted {
		name += p.tok.text
		if err := p.advance(); err != nil {
			return err
		}
	}
	in.Name, in.Parts = name, strings.Split(name, ".")
	if in.Operands, err = p.operands(";", 0); err != nil {
		return err
	}
	if p.allCode++; p.allCode > MaxCode {
		return p.fail("more than %d instructions", MaxCode)
	}
	p.fn.Code = append(p.fn.Code, in)
	return nil
}
