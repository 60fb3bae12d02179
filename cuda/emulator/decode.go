package emulator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// decoder makes a program of a function.
type decoder struct {
	p         *program
	module    *ptx.Module
	globals   map[*ptx.Variable]uint64 // where variables of the module lie
	places    map[*ptx.Variable]uint64 // where those of the kernel lie in their space
	dynamic   []*ptx.Variable          // open arrays
	seen      map[*ptx.Function]bool   // by layShared
	constants map[uint64]int32
	specials  map[string]int32
	depth     int            // of calls
	calls     int            // so far
	room      *int           // instructions that the text may still have
	lives     []life         // of the program's instructions
	now       life           // of the instruction that is decoded
	lasting   map[int32]bool // virtual registers that keep what they hold

	fn    *ptx.Function // whose code is decoded: the kernel, or one it calls
	slots []int32       // of fn's registers
	in    *ptx.Instruction
}

// notKnown is an instruction that cannot be run.
func (d *decoder) notKnown(format string, args ...any) error {
	return fmt.Errorf("%s, line %d: %s: %s", d.p.name, d.in.Line, d.in.Name, fmt.Sprintf(format, args...))
}

// decode makes a program of the kernel fn.
func decode(m *ptx.Module, fn *ptx.Function, globals map[*ptx.Variable]uint64, room *int) (*program, error) {
	d := &decoder{
		p: &program{name: fn.Name, aligned: 16, grain: 4, globalGrain: 4}, module: m, globals: globals, room: room,
		places: map[*ptx.Variable]uint64{}, constants: map[uint64]int32{}, specials: map[string]int32{}, seen: map[*ptx.Function]bool{}, lasting: map[int32]bool{},
	}
	for _, v := range fn.Params {
		if d.places[v] = uint64(place(&d.p.params, v)); d.p.params > maxParams {
			return nil, fmt.Errorf("%s: more than %d bytes of parameters", fn.Name, maxParams)
		}
	}
	if err := d.layShared(fn); err != nil {
		return nil, err
	}
	if err := d.function(fn, nil); err != nil {
		return nil, err
	}
	d.p.code = append(d.p.code, instruction{form: exitForm, guard: -1, line: int32(fn.Line), name: "exit"})
	d.lives = append(d.lives, life{})
	*room -= len(d.p.code)
	d.assign()
	return d.p, nil
}

// layShared gives every shared variable that the kernel uses its place; open
// arrays all begin where the others end.
func (d *decoder) layShared(fn *ptx.Function) error {
	d.shared(fn)
	if d.p.static > maxShared {
		return fmt.Errorf("%s: more than %d bytes of shared memory", fn.Name, maxShared)
	}
	for _, v := range d.dynamic {
		d.p.aligned = max(d.p.aligned, v.Align)
	}
	d.p.static = (d.p.static + d.p.aligned - 1) &^ (d.p.aligned - 1)
	for _, v := range d.dynamic {
		d.places[v] = uint64(d.p.static)
	}
	return nil
}

func (d *decoder) shared(fn *ptx.Function) {
	if d.seen[fn] {
		return
	}
	d.seen[fn] = true
	var visit func(op ptx.Operand)
	visit = func(op ptx.Operand) {
		for _, o := range op.List {
			visit(o)
		}
		if op.Kind == ptx.Callee {
			d.shared(d.callee(op.Name))
		}
		v := op.Variable
		if v == nil || v.Space != ptx.Shared {
			return
		}
		if _, placed := d.places[v]; placed {
			return
		}
		if v.Size > 0 {
			d.places[v] = uint64(place(&d.p.static, v))
		} else {
			d.places[v] = 0 // until all others have theirs
			d.dynamic = append(d.dynamic, v)
		}
	}
	for _, in := range fn.Code {
		for _, op := range in.Operands {
			visit(op)
		}
	}
}

// callee is the function of a name, which the parser has seen.
func (d *decoder) callee(name string) *ptx.Function {
	for _, f := range d.module.Functions {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// place is where v goes in a space of *size bytes, which grows by it.
func place(size *int64, v *ptx.Variable) int64 {
	at := (*size + v.Align - 1) &^ (v.Align - 1)
	*size = at + v.Size
	return at
}

// function appends fn's code; a return goes to its end. arguments are where
// parameters of a function that is called lie.
func (d *decoder) function(fn *ptx.Function, arguments map[*ptx.Variable]uint64) error {
	if d.calls++; d.calls > maxCalls || d.depth >= maxDepth {
		return fmt.Errorf("%s: more than %d calls, or calls of %s nested deeper than %d", d.p.name, maxCalls, fn.Name, maxDepth)
	}
	if d.p.registers+d.p.predicates+len(fn.Registers) > maxRegisters {
		return fmt.Errorf("%s: more than %d registers", d.p.name, maxRegisters)
	}
	d.depth++
	outerFn, outerSlots, outerIn, outerPlaces := d.fn, d.slots, d.in, d.places
	defer func() {
		d.fn, d.slots, d.in, d.places = outerFn, outerSlots, outerIn, outerPlaces
		d.depth--
	}()
	d.fn, d.slots = fn, make([]int32, len(fn.Registers))
	if arguments != nil {
		d.places = maps.Clone(d.places)
		maps.Copy(d.places, arguments)
	}
	for i, r := range fn.Registers {
		if r.Type == ptx.Pred {
			d.slots[i] = int32(d.p.predicates)
			d.p.predicates++
		} else {
			d.slots[i] = d.register()
		}
	}
	return d.body(fn)
}

func (d *decoder) body(fn *ptx.Function) error {
	starts := make([]int32, len(fn.Code)+1)
	first := len(d.p.code)
	for i := range fn.Code {
		starts[i] = int32(len(d.p.code))
		d.in = &fn.Code[i]
		if err := d.instruction(); err != nil {
			return err
		}
		if len(d.p.code) > *d.room || d.p.registers+d.p.predicates > maxRegisters {
			return d.notKnown("more than %d instructions of a text, or %d registers of a kernel, functions that are called included", maxCode, maxRegisters)
		}
	}
	starts[len(fn.Code)] = int32(len(d.p.code))
	for i := first; i < len(d.p.code); i++ {
		in := &d.p.code[i]
		if in.form == branchForm && in.target < 0 {
			in.target = starts[-1-in.target]
		}
		for j, t := range in.table {
			if t < 0 {
				in.table[j] = starts[-1-t]
			}
		}
	}
	return nil
}

// unresolved is the target of a branch to the instruction at an index of the
// function's code, until body knows where that went.
func unresolved(index uint64) int32 { return -1 - int32(index) }

// register is a new register of numbers.
func (d *decoder) register() int32 {
	d.p.registers++
	return virtualBase + int32(d.p.registers-1)
}

// constant is the register that holds v.
func (d *decoder) constant(v uint64) int32 {
	if r, ok := d.constants[v]; ok {
		return r
	}
	r := d.register()
	d.constants[v], d.lasting[r-virtualBase] = r, true
	d.p.constants = append(d.p.constants, constant{r, v})
	return r
}

// special is the register that holds a special one.
func (d *decoder) special(name string) (int32, error) {
	if r, ok := d.specials[name]; ok {
		return r, nil
	}
	f := specialNamed(name)
	if f == nil {
		return 0, d.notKnown("no special register %%%s here", name)
	}
	r := d.register()
	d.specials[name], d.lasting[r-virtualBase] = r, true
	d.p.specials = append(d.p.specials, special{r, !strings.HasPrefix(name, "ctaid"), strings.Contains(name, "ctaid"), f})
	return r, nil
}

// operands checks how many operands there are, from least to most.
func (d *decoder) operands(least, most int) error {
	if n := len(d.in.Operands); n < least || n > most {
		return d.notKnown("%d operands", n)
	}
	return nil
}

// source is the register that op is read from, by an instruction on t; NoType takes
// any width.
func (d *decoder) source(op ptx.Operand, t ptx.Type) (int32, error) {
	all := maskOf(64)
	if t != ptx.NoType {
		all = maskOf(max(t.Bits(), 1))
	}
	switch op.Kind {
	case ptx.Reg:
		if d.fn.Registers[op.Register].Type == ptx.Pred {
			return 0, d.notKnown("a predicate where a number was expected")
		}
		r := d.slots[op.Register]
		d.now.reads = append(d.now.reads, r-virtualBase)
		return r, d.fits(op, t.Bits())
	case ptx.Immediate:
		if t == ptx.F32 || t == ptx.F64 {
			return 0, d.notKnown("an integer where a float was expected")
		}
		return d.constant(op.Value & all), nil
	case ptx.Float32, ptx.Float64:
		if op.Kind == ptx.Float32 && t != ptx.F32 && t != ptx.B32 || op.Kind == ptx.Float64 && t != ptx.F64 && t != ptx.B64 {
			return 0, d.notKnown("a float where an integer, or another float, was expected")
		}
		return d.constant(op.Value), nil
	case ptx.Special:
		return d.special(op.Name)
	case ptx.Symbol:
		at, err := d.symbol(op.Variable)
		return d.constant((at + uint64(op.Offset)) & all), err
	}
	return 0, d.notKnown("an operand that is no number")
}

// fits checks that the register op has so many bits, or more where the instruction
// allows it; 0 is any.
func (d *decoder) fits(op ptx.Operand, bits int) error {
	width := d.width(op)
	if bits == 0 || width == bits || width > bits && slices.Contains([]string{"ld", "ldu", "st", "cvt"}, d.in.Parts[0]) {
		return nil
	}
	return d.notKnown("a register of %d bits where %d were expected", width, bits)
}

// symbol is v's address in its space.
func (d *decoder) symbol(v *ptx.Variable) (uint64, error) {
	if at, ok := d.globals[v]; ok {
		return at, nil
	}
	if at, ok := d.places[v]; ok {
		return at, nil
	}
	var at uint64
	switch {
	case v.Space == ptx.Local || v.Space == ptx.Param:
		at = uint64(place(&d.p.local, v))
		if d.p.local > maxLocal {
			return 0, d.notKnown("more than %d bytes of local memory", maxLocal)
		}
	default:
		return 0, d.notKnown("%s lies nowhere", v.Name)
	}
	d.places[v] = at
	return at, nil
}

// result is the register that op, of so many bits, is written to; a new one for "_".
func (d *decoder) result(op ptx.Operand, bits int) (int32, error) {
	switch {
	case op.Kind == ptx.None:
		return d.written(d.register()), nil
	case op.Kind == ptx.Reg && d.fn.Registers[op.Register].Type != ptx.Pred:
		return d.written(d.slots[op.Register]), d.fits(op, bits)
	}
	return 0, d.notKnown("a result that is no register of numbers")
}

// written notes that the instruction writes a register.
func (d *decoder) written(r int32) int32 {
	d.now.writes = append(d.now.writes, r-virtualBase)
	return r
}

// predicate is the predicate register of op, and whether it is negated.
func (d *decoder) predicate(op ptx.Operand) (int32, uint8, error) {
	if op.Kind == ptx.None {
		d.p.predicates++
		return int32(d.p.predicates - 1), 0, nil
	}
	if op.Kind != ptx.Reg || d.fn.Registers[op.Register].Type != ptx.Pred {
		return 0, 0, d.notKnown("an operand that is no predicate")
	}
	not := uint8(0)
	if op.Not {
		not = 1
	}
	return d.slots[op.Register], not, nil
}

// width is how many bits the register op has.
func (d *decoder) width(op ptx.Operand) int {
	if op.Kind == ptx.Reg {
		return d.fn.Registers[op.Register].Type.Bits()
	}
	return 64
}

// list is the registers of a vector of t, or of one operand.
func (d *decoder) list(op ptx.Operand, t ptx.Type, written bool) ([]int32, error) {
	ops := []ptx.Operand{op}
	if op.Kind == ptx.Vector {
		ops = op.List
	}
	var out []int32
	for _, o := range ops {
		var r int32
		var err error
		if written {
			r, err = d.result(o, t.Bits())
		} else {
			r, err = d.source(o, t)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
