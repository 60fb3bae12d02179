package emulator

import (
	"slices"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// instruction appends the code of d.in.
func (d *decoder) instruction() error {
	in := instruction{guard: -1, d: -1, a: -1, b: -1, c: -1, line: int32(d.in.Line), name: d.in.Name}
	if d.in.Guard >= 0 {
		in.guard, in.guardNot = d.slots[d.in.Guard], uint8(bit(d.in.GuardNot))
	}
	d.now = life{}
	known, err := d.choose(&in)
	if err != nil {
		return err
	}
	if !known {
		return d.notKnown("not known here")
	}
	if in.form != calledForm {
		d.p.code = append(d.p.code, in)
		d.lives = append(d.lives, d.now)
	}
	return nil
}

// choose fills in for d.in, by the first part of its name.
func (d *decoder) choose(in *instruction) (bool, error) {
	if slices.Contains(d.in.Parts, "approx") || slices.Contains(d.in.Parts, "ftz") {
		return false, d.notKnown("its result is not exact")
	}
	switch d.in.Parts[0] {
	case "bra", "brx", "ret", "exit", "trap", "call":
		return true, d.control(in)
	}
	if len(d.in.Parts) < 2 {
		return false, nil
	}
	t := ptx.TypeNamed(d.in.Parts[len(d.in.Parts)-1])
	switch d.in.Parts[0] {
	case "bar", "barrier":
		return true, d.barrier(in)
	case "ld", "ldu", "st", "atom", "red", "cp", "ldmatrix":
		return true, d.memory(in)
	case "shfl", "vote", "match", "redux", "activemask", "mma":
		return true, d.together(in)
	case "setp", "selp", "set", "slct":
		return true, d.choosing(in, t)
	case "cvt":
		return true, d.convert(in)
	case "cvta":
		return true, d.convertAddress(in)
	case "membar", "fence":
		in.form, in.run = runForm, runFence
		return true, nil
	case "nanosleep", "prefetch", "prefetchu":
		in.form, in.run = runForm, func(*warp, *instruction, uint32) {}
		return true, nil
	case "mov":
		return true, d.move(in, t)
	}
	if t == ptx.Pred {
		return true, d.logic(in)
	}
	return d.arithmetic(in, t)
}

// arithmetic is instructions that compute each lane by itself.
func (d *decoder) arithmetic(in *instruction, t ptx.Type) (bool, error) {
	in.lane = d.laneOf(t)
	if in.lane == nil {
		return false, nil
	}
	operands, to, types := d.shape(t)
	if err := d.operands(operands, operands); err != nil {
		return false, err
	}
	ops := d.in.Operands[1:]
	var err error
	if in.d, err = d.result(d.in.Operands[0], to); err != nil {
		return false, err
	}
	for i, r := range []*int32{&in.a, &in.b, &in.c} {
		if i >= len(ops) || i >= len(types) {
			*r = in.a
			continue
		}
		if *r, err = d.source(ops[i], types[i]); err != nil {
			return false, err
		}
	}
	in.wide = wideOf(d.in.Name)
	return true, nil
}

// shape is how many operands an instruction on t has, the bits of its result and
// the types of those sources that are read from registers.
func (d *decoder) shape(t ptx.Type) (operands, to int, types []ptx.Type) {
	switch d.in.Parts[0] {
	case "not", "neg", "abs", "cnot", "brev", "rcp", "sqrt":
		return 2, t.Bits(), []ptx.Type{t}
	case "popc", "clz", "bfind":
		return 2, 32, []ptx.Type{t}
	case "shl", "shr":
		return 3, t.Bits(), []ptx.Type{t, ptx.U32}
	case "shf":
		return 4, 32, []ptx.Type{t, t, ptx.U32}
	case "bfe":
		return 4, t.Bits(), []ptx.Type{t, ptx.U32, ptx.U32}
	case "bfi":
		return 5, t.Bits(), []ptx.Type{t, t}
	case "lop3":
		return 5, t.Bits(), []ptx.Type{t, t, t}
	case "prmt", "dp4a", "sad", "fma", "mad":
		if slices.Contains(d.in.Parts, "wide") {
			return 4, 2 * t.Bits(), []ptx.Type{t, t, doubled(t)}
		}
		return 4, t.Bits(), []ptx.Type{t, t, t}
	}
	if slices.Contains(d.in.Parts, "wide") {
		return 3, 2 * t.Bits(), []ptx.Type{t, t}
	}
	return 3, t.Bits(), []ptx.Type{t, t}
}

// doubled is bits of twice t's width.
func doubled(t ptx.Type) ptx.Type {
	if t.Bits() == 16 {
		return ptx.B32
	}
	return ptx.B64
}

// laneOf is the lane of the instruction; nil if there is none.
func (d *decoder) laneOf(t ptx.Type) lane {
	parts := d.in.Parts
	switch parts[0] {
	case "shf":
		if len(parts) == 4 {
			return funnel(parts[1] == "l", parts[2] == "clamp")
		}
		return nil
	case "prmt":
		if len(parts) == 3 {
			return permuteMode(parts[2])
		}
		return permute
	case "lop3":
		if n := len(d.in.Operands); n == 5 && d.in.Operands[4].Kind == ptx.Immediate {
			return logic3(d.in.Operands[4].Value)
		}
		return nil
	case "bfe":
		if t.Bits() >= 32 {
			return extract(t)
		}
		return nil
	case "bfi":
		return d.insertLane(t)
	case "dp4a":
		if len(parts) == 3 {
			return dot4(ptx.TypeNamed(parts[1]), ptx.TypeNamed(parts[2]))
		}
		return nil
	}
	name := strings.Join(slices.DeleteFunc(slices.Clone(parts[:len(parts)-1]), func(p string) bool { return p == "rn" || p == "relu" }), ".")
	switch {
	case slices.Contains(parts, "relu"):
		return nil
	case t == ptx.F32:
		return floatLane(name)
	case t == ptx.F64:
		return doubleLane(name)
	}
	return integerLane(name, t)
}

// insertLane is bfi, whose position and length are constants: they share the
// third operand.
func (d *decoder) insertLane(t ptx.Type) lane {
	ops := d.in.Operands
	if len(ops) != 5 || ops[3].Kind != ptx.Immediate || ops[4].Kind != ptx.Immediate || t.Bits() < 32 {
		return nil
	}
	position, length, n := ops[3].Value, ops[4].Value, uint64(t.Bits())
	return func(a, b, _ uint64) uint64 { return insert(a, b, position, length, n) }
}

// convert is cvt.
func (d *decoder) convert(in *instruction) error {
	if err := d.operands(2, 2); err != nil {
		return err
	}
	parts := d.in.Parts
	if len(parts) < 3 {
		return d.notKnown("not known here")
	}
	to, from := ptx.TypeNamed(parts[len(parts)-2]), ptx.TypeNamed(parts[len(parts)-1])
	rounding, saturate := "", false
	for _, p := range parts[1 : len(parts)-2] {
		if p == "sat" {
			saturate = true
		} else {
			rounding = p
		}
	}
	if to.Bits() < 8 || from.Bits() < 8 {
		return d.notKnown("not known here")
	}
	var err error
	if in.d, err = d.result(d.in.Operands[0], to.Bits()); err != nil {
		return err
	}
	if in.a, err = d.source(d.in.Operands[1], from); err != nil {
		return err
	}
	in.b, in.c = in.a, in.a
	in.lane = conversion(rounding, saturate, to, from, d.width(d.in.Operands[0]))
	if in.lane == nil {
		return d.notKnown("not known here")
	}
	in.wide = wideOf(d.in.Name)
	return nil
}

// convertAddress is cvta.
func (d *decoder) convertAddress(in *instruction) error {
	if err := d.operands(2, 2); err != nil {
		return err
	}
	var err error
	if in.d, err = d.result(d.in.Operands[0], 64); err != nil {
		return err
	}
	if in.a, err = d.source(d.in.Operands[1], ptx.U64); err != nil {
		return err
	}
	in.b, in.c = in.a, in.a
	var window uint64
	switch {
	case slices.Contains(d.in.Parts, "shared"):
		window = sharedWindow
	case slices.Contains(d.in.Parts, "local"):
		window = localWindow
	case slices.Contains(d.in.Parts, "param"):
		window = paramWindow
	}
	if d.in.Parts[1] == "to" {
		window = -window
	}
	in.lane = func(a, _, _ uint64) uint64 { return a + window }
	return nil
}

// move is mov, of vectors too.
func (d *decoder) move(in *instruction, t ptx.Type) error {
	if err := d.operands(2, 2); err != nil {
		return err
	}
	to, from := d.in.Operands[0], d.in.Operands[1]
	var err error
	switch {
	case t == ptx.Pred:
		return d.logic(in)
	case to.Kind == ptx.Vector || from.Kind == ptx.Vector:
		return d.moveVector(in, t)
	}
	if in.d, err = d.result(to, t.Bits()); err != nil {
		return err
	}
	if from.Kind == ptx.Special && (strings.HasPrefix(from.Name, "clock") || strings.HasPrefix(from.Name, "globaltimer")) {
		in.form, in.run, in.all = runForm, runClock, maskOf(t.Bits())
		return nil
	}
	in.a, err = d.source(from, t)
	in.b, in.c = in.a, in.a
	in.lane, in.wide = func(a, _, _ uint64) uint64 { return a }, wideMove
	return err
}

// moveVector is "mov.b64 {lo, hi}, d" and back.
func (d *decoder) moveVector(in *instruction, t ptx.Type) error {
	to, from := d.in.Operands[0], d.in.Operands[1]
	vector := to
	if to.Kind != ptx.Vector {
		vector = from
	}
	n := len(vector.List)
	element := map[int]ptx.Type{16: ptx.B16, 32: ptx.B32}[t.Bits()/max(n, 1)]
	if n != 2 && n != 4 || element == ptx.NoType {
		return d.notKnown("a vector of %d", n)
	}
	in.form, in.lays, in.size = runForm, true, uint8(element.Bits())
	var err error
	if to.Kind == ptx.Vector {
		in.run = runUnpack
		if in.a, err = d.source(from, t); err != nil {
			return err
		}
	} else {
		in.run = runPack
		if in.d, err = d.result(to, t.Bits()); err != nil {
			return err
		}
	}
	in.many, err = d.list(vector, element, to.Kind == ptx.Vector)
	return err
}
