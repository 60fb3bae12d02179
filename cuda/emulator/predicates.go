package emulator

import (
	"math/bits"
	"slices"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// choosing is setp, selp, set and slct.
func (d *decoder) choosing(in *instruction, t ptx.Type) error {
	switch d.in.Parts[0] {
	case "setp":
		return d.setPredicate(in, t)
	case "set":
		return d.set(in, t)
	}
	if err := d.operands(4, 4); err != nil {
		return err
	}
	ops := d.in.Operands
	var err error
	if in.d, err = d.result(ops[0], t.Bits()); err != nil {
		return err
	}
	if in.a, err = d.source(ops[1], t); err != nil {
		return err
	}
	if in.b, err = d.source(ops[2], t); err != nil {
		return err
	}
	if d.in.Parts[0] == "slct" {
		return d.selectBySign(in, t)
	}
	in.form, in.lays, in.run = runForm, true, runSelect
	in.c, in.not, err = d.predicate(ops[3])
	return err
}

// selectBySign is slct: the first operand where the third is not negative.
func (d *decoder) selectBySign(in *instruction, t ptx.Type) error {
	if len(d.in.Parts) != 3 {
		return d.notKnown("not known here")
	}
	var err error
	in.c, err = d.source(d.in.Operands[3], t)
	switch t {
	case ptx.S32:
		in.lane = func(a, b, c uint64) uint64 {
			if int32(c) >= 0 {
				return a
			}
			return b
		}
	case ptx.F32:
		in.lane = func(a, b, c uint64) uint64 {
			if float(c) >= 0 {
				return a
			}
			return b
		}
	default:
		return d.notKnown("not known here")
	}
	return err
}

// setPredicate is "setp.lt.and.s32 p|q, a, b, c".
func (d *decoder) setPredicate(in *instruction, t ptx.Type) error {
	if err := d.operands(3, 4); err != nil {
		return err
	}
	if len(d.in.Parts) < 3 {
		return d.notKnown("not known here")
	}
	ops := d.in.Operands
	first, second := ops[0], ptx.Operand{}
	if first.Kind == ptx.Pair {
		first, second = first.List[0], first.List[1]
	}
	var err error
	if in.d, _, err = d.predicate(first); err != nil {
		return err
	}
	if in.target = -1; second.Kind != ptx.None {
		if in.target, _, err = d.predicate(second); err != nil {
			return err
		}
	}
	if in.a, err = d.source(ops[1], t); err != nil {
		return err
	}
	if in.b, err = d.source(ops[2], t); err != nil {
		return err
	}
	if in.test = comparison(d.in.Parts[1], t); in.test == nil {
		return d.notKnown("not known here")
	}
	in.form, in.lays, in.run = runForm, true, setRun(d.in.Parts[1], t)
	if len(ops) == 4 || in.target >= 0 {
		in.run = runSetPair
		in.kind = 'n'
	}
	if len(ops) == 4 {
		if len(d.in.Parts) != 4 || !slices.Contains([]string{"and", "or", "xor"}, d.in.Parts[2]) {
			return d.notKnown("not known here")
		}
		in.kind = d.in.Parts[2][0]
		in.c, in.not, err = d.predicate(ops[3])
	}
	return err
}

// set is "set.lt.u32.f32 d, a, b": all ones, or 1.0, where it holds.
func (d *decoder) set(in *instruction, t ptx.Type) error {
	if err := d.operands(3, 3); err != nil {
		return err
	}
	if len(d.in.Parts) != 4 {
		return d.notKnown("not known here")
	}
	to, test := ptx.TypeNamed(d.in.Parts[2]), comparison(d.in.Parts[1], t)
	yes := uint64(0xffffffff)
	if to == ptx.F32 {
		yes = 0x3f800000
	}
	if test == nil || to.Bits() != 32 {
		return d.notKnown("not known here")
	}
	var err error
	if in.d, err = d.result(d.in.Operands[0], 32); err != nil {
		return err
	}
	if in.a, err = d.source(d.in.Operands[1], t); err != nil {
		return err
	}
	in.b, err = d.source(d.in.Operands[2], t)
	in.c = in.b
	in.lane = func(a, b, _ uint64) uint64 {
		if test(a, b) {
			return yes
		}
		return 0
	}
	return err
}

// logic is and, or, xor, not and mov of predicates.
func (d *decoder) logic(in *instruction) error {
	if err := d.operands(2, 3); err != nil {
		return err
	}
	var err error
	ops := d.in.Operands
	if in.d, _, err = d.predicate(ops[0]); err != nil {
		return err
	}
	regs := []*int32{&in.a, &in.b}
	for i, op := range ops[1:] {
		if op.Kind == ptx.Immediate { // mov.pred %p1, -1
			d.p.predicates++
			*regs[i] = int32(d.p.predicates - 1)
			d.p.fixed = append(d.p.fixed, constant{*regs[i], -(op.Value & 1) & allLanes})
			continue
		}
		var not uint8
		if *regs[i], not, err = d.predicate(op); err != nil {
			return err
		}
		in.not |= not << i
	}
	if len(ops) == 2 {
		in.b = in.a
	}
	in.form, in.kind = runForm, d.in.Parts[0][0]
	if !slices.Contains([]string{"and", "or", "xor", "not", "mov"}, d.in.Parts[0]) {
		return d.notKnown("not known here")
	}
	in.run = runLogic
	return nil
}

func runLogic(w *warp, in *instruction, active uint32) {
	a, b := w.flag(in.a, in.not), w.flag(in.b, in.not>>1)
	var v uint32
	switch in.kind {
	case 'a':
		v = a & b
	case 'o':
		v = a | b
	case 'x':
		v = a ^ b
	case 'n':
		v = ^a
	default:
		v = a
	}
	w.setFlag(in.d, v, active)
}

// flag is a predicate of every lane, negated if bit 0 of not is set.
func (w *warp) flag(r int32, not uint8) uint32 {
	return w.p[r] ^ -uint32(not&1)
}

// setFlag writes a predicate of the active lanes.
func (w *warp) setFlag(r int32, v, active uint32) {
	w.p[r] = w.p[r]&^active | v&active
}

func runSelect(w *warp, in *instruction, active uint32) {
	p := w.flag(in.c, in.not)
	switch {
	case active&^p == 0:
		w.copy(in.d, in.a, active)
		return
	case active&p == 0:
		w.copy(in.d, in.b, active)
		return
	}
	a, b := w.read(in.a), w.read(in.b)
	d := w.write(in.d, active)
	if active == allLanes {
		for i := range d {
			v := b[i]
			if p>>i&1 != 0 {
				v = a[i]
			}
			d[i] = v
		}
		return
	}
	for m := active; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m)
		v := b[i] // d may be a
		if p>>i&1 != 0 {
			v = a[i]
		}
		d[i] = v
	}
}

// copy makes the active lanes of d what those of a are.
func (w *warp) copy(d, a int32, active uint32) {
	if w.isFlat(a) {
		w.fill(d, w.r[a][0], active)
		return
	}
	from, to := &w.r[a], w.write(d, active)
	if active == allLanes {
		*to = *from
		return
	}
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		to[i] = from[i]
	}
}

// runSet is setp of one predicate.
func runSet(w *warp, in *instruction, active uint32) {
	w.setFlag(in.d, tested(w, in, active), active)
}

// tested is the active lanes where the comparison holds.
func tested(w *warp, in *instruction, active uint32) uint32 {
	if w.kinds[in.a]&w.kinds[in.b]&flat != 0 {
		return active & -bit(in.test(w.r[in.a][0], w.r[in.b][0]))
	}
	a, b := w.read(in.a), w.read(in.b)
	var v uint32
	for m := active; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m)
		if in.test(a[i], b[i]) {
			v |= 1 << i
		}
	}
	return v
}

// runSetPair is setp with a second result, or a predicate to combine with.
func runSetPair(w *warp, in *instruction, active uint32) {
	v := tested(w, in, active)
	first, second := v, ^v
	if in.kind != 'n' {
		c := w.flag(in.c, in.not)
		switch in.kind {
		case 'a':
			first, second = v&c, ^v&c
		case 'o':
			first, second = v|c, ^v|c
		case 'x':
			first, second = v^c, ^v^c
		}
	}
	w.setFlag(in.d, first, active)
	if in.target >= 0 {
		w.setFlag(in.target, second, active)
	}
}
