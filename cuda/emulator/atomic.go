package emulator

import (
	"slices"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// atomic is "atom.global.add.u32 d, [a], b" and "red", which has no d.
func (d *decoder) atomic(in *instruction) error {
	ops, t := d.in.Operands, ptx.TypeNamed(d.in.Parts[len(d.in.Parts)-1])
	if t.Bits() < 32 {
		return d.notKnown("not known here")
	}
	op := ""
	for _, p := range d.in.Parts[1 : len(d.in.Parts)-1] {
		if slices.Contains([]string{"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"}, p) {
			op = p
		}
	}
	if in.lane = atomicLane(op, t); in.lane == nil {
		return d.notKnown("not known here")
	}
	var err error
	if d.in.Parts[0] == "atom" {
		if err := d.operands(3, 4); err != nil {
			return err
		}
		if in.d, err = d.result(ops[0], t.Bits()); err != nil {
			return err
		}
		ops = ops[1:]
	}
	if want := 2 + int(bit(op == "cas")); len(ops) != want {
		return d.notKnown("%d operands", len(d.in.Operands))
	}
	if in.b, err = d.source(ops[1], t); err != nil {
		return err
	}
	in.c = in.b
	if len(ops) == 3 {
		if in.c, err = d.source(ops[2], t); err != nil {
			return err
		}
	}
	in.size, in.run = uint8(t.Bytes()), runAtomic
	d.grain(ptx.Shared, uint64(in.size))
	d.grain(ptx.Global, uint64(in.size))
	return d.address(in, ops[0])
}

// atomicLane is what an atomic instruction stores, of what was there and its operands.
func atomicLane(op string, t ptx.Type) lane {
	switch op {
	case "exch":
		return func(_, b, _ uint64) uint64 { return b }
	case "cas":
		return func(a, b, c uint64) uint64 {
			if a == b {
				return c
			}
			return a
		}
	case "inc":
		return func(a, b, _ uint64) uint64 {
			if a >= b {
				return 0
			}
			return a + 1
		}
	case "dec":
		return func(a, b, _ uint64) uint64 {
			if a == 0 || a > b {
				return b
			}
			return a - 1
		}
	}
	if t == ptx.F32 && op == "add" {
		return floatLane("add")
	}
	return integerLane(op, t)
}

func runAtomic(w *warp, in *instruction, active uint32) {
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		p := w.reach(in, i, w.r[in.a][i]+in.offset, uint64(in.size), updates)
		if p == nil {
			return
		}
		old := load(p, in.size)
		store(p, in.size, in.lane(old, w.r[in.b][i], w.r[in.c][i]))
		if in.d >= 0 {
			w.r[in.d][i] = old
		}
	}
}
