package emulator

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// memory is instructions that reach memory.
func (d *decoder) memory(in *instruction) error {
	in.form = runForm
	switch d.in.Parts[0] {
	case "ld", "ldu":
		return d.loadOrStore(in, false)
	case "st":
		return d.loadOrStore(in, true)
	case "atom", "red":
		return d.atomic(in)
	case "cp":
		return d.copyAsync(in)
	}
	return d.loadMatrix(in)
}

// spaceOf is the space that an instruction's parts name.
func spaceOf(parts []string) (ptx.Space, bool) {
	for _, p := range parts {
		name, _, _ := strings.Cut(p, "::")
		switch name {
		case "global":
			return ptx.Global, false
		case "const":
			return ptx.Const, false
		case "shared":
			return ptx.Shared, false
		case "local":
			return ptx.Local, false
		case "param":
			return ptx.Param, false
		}
	}
	return 0, true
}

// address decodes "[base+offset]" into in.a, in.offset and in.space.
func (d *decoder) address(in *instruction, op ptx.Operand) error {
	if op.Kind != ptx.Address {
		return d.notKnown("no address")
	}
	in.space, in.generic = spaceOf(d.in.Parts)
	in.offset = uint64(op.Offset)
	if len(op.List) == 0 {
		in.a = d.constant(0)
		return nil
	}
	base := op.List[0]
	if base.Kind == ptx.Reg && d.width(base) == 32 && (in.generic || in.space == ptx.Global) {
		return d.notKnown("an address of 32 bits")
	}
	if v := base.Variable; v != nil && v.Space == ptx.Param && in.space == ptx.Param && !d.isParam(v) {
		in.space = ptx.Local // parameters of functions that are called
	}
	var err error
	in.a, err = d.source(base, ptx.U64)
	return err
}

// isParam reports whether v is a parameter of the kernel itself.
func (d *decoder) isParam(v *ptx.Variable) bool {
	return d.depth == 1 && slices.Contains(d.fn.Params, v)
}

func (d *decoder) loadOrStore(in *instruction, storing bool) error {
	if err := d.operands(2, 2); err != nil {
		return err
	}
	t := ptx.TypeNamed(d.in.Parts[len(d.in.Parts)-1])
	if t.Bytes() == 0 {
		return d.notKnown("not known here")
	}
	value, at := d.in.Operands[0], d.in.Operands[1]
	in.run = runLoad
	if storing {
		value, at = at, value
		in.run = runStore
	}
	var err error
	if in.many, err = d.list(value, t, !storing); err != nil {
		return err
	}
	in.size = uint8(t.Bytes())
	if n := len(in.many); n != 1 && n != 2 && n != 4 && n != 8 || n*int(in.size) > 32 {
		return d.notKnown("a vector of %d", n)
	}
	if !storing && t.Signed() {
		one := value
		if value.Kind == ptx.Vector {
			one = value.List[0]
		}
		if w := d.width(one); w > t.Bits() {
			in.negative, in.all = uint(t.Bits()), maskOf(w)
		}
	}
	if err := d.address(in, at); err != nil {
		return err
	}
	if storing && (in.space == ptx.Const && !in.generic || in.space == ptx.Param && !in.generic) {
		return d.notKnown("what cannot be written")
	}
	return nil
}

// reach is the n bytes that a lane's address is of; nil after a failure.
func (w *warp) reach(in *instruction, i int, at, n uint64) []byte {
	space := in.space
	if in.generic {
		space = ptx.Global
		switch at >> slotBits {
		case sharedWindow >> slotBits:
			space, at = ptx.Shared, at-sharedWindow
		case localWindow >> slotBits:
			space, at = ptx.Local, at-localWindow
		case paramWindow >> slotBits:
			space, at = ptx.Param, at-paramWindow
		}
	}
	if at&(n-1) != 0 {
		w.fail(in, i, device.ErrIllegalAccess, "address %#x is not aligned to %d bytes", at, n)
		return nil
	}
	var from []byte
	name := ""
	switch space {
	case ptx.Shared:
		from, name = w.block.shared, "shared memory"
	case ptx.Local:
		size := len(w.local) / 32
		from, name = w.local[i*size:][:size], "local memory"
	case ptx.Param:
		from, name = w.block.args, "parameters"
	default:
		return w.global(in, i, at, n)
	}
	if at > uint64(len(from)) || n > uint64(len(from))-at {
		w.fail(in, i, device.ErrIllegalAccess, "%d bytes at %#x of %d bytes of %s", n, at, len(from), name)
		return nil
	}
	return from[at:][:n]
}

// global is n bytes of the device's memory.
func (w *warp) global(in *instruction, i int, at, n uint64) []byte {
	if a := w.last; a != nil && !a.freed.Load() && at >= a.base && at-a.base < uint64(len(a.data)) && n <= uint64(len(a.data))-(at-a.base) {
		return a.data[at-a.base:][:n]
	}
	p, why := w.block.device.memory.reach(at, n)
	if p == nil {
		w.fail(in, i, device.ErrIllegalAccess, "%s", why)
		return nil
	}
	w.last = w.block.device.memory.find(at)
	return p
}

func runLoad(w *warp, in *instruction, active uint32) {
	a := &w.r[in.a]
	n := uint64(in.size) * uint64(len(in.many))
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		p := w.reach(in, i, a[i]+in.offset, n)
		if p == nil {
			return
		}
		for k, r := range in.many {
			v := load(p[k*int(in.size):], in.size)
			if in.negative != 0 {
				v = uint64(signExtended(v, int(in.negative))) & in.all
			}
			w.r[r][i] = v
		}
	}
}

func runStore(w *warp, in *instruction, active uint32) {
	a := &w.r[in.a]
	n := uint64(in.size) * uint64(len(in.many))
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		p := w.reach(in, i, a[i]+in.offset, n)
		if p == nil {
			return
		}
		for k, r := range in.many {
			store(p[k*int(in.size):], in.size, w.r[r][i])
		}
	}
}

// copyAsync is cp.async: the copy is made at once, so waiting is nothing.
func (d *decoder) copyAsync(in *instruction) error {
	parts := d.in.Parts
	if len(parts) < 3 || parts[1] != "async" {
		return d.notKnown("not known here")
	}
	switch parts[2] {
	case "commit_group", "wait_group", "wait_all":
		in.run = func(*warp, *instruction, uint32) {}
		return nil
	case "ca", "cg":
	default:
		return d.notKnown("not known here")
	}
	if err := d.operands(3, 4); err != nil {
		return err
	}
	ops := d.in.Operands
	if ops[0].Kind != ptx.Address || ops[1].Kind != ptx.Address || ops[2].Kind != ptx.Immediate || len(ops[0].List) != 1 || len(ops[1].List) != 1 {
		return d.notKnown("not known here")
	}
	in.size = uint8(ops[2].Value)
	if !slices.Contains([]uint64{4, 8, 16}, ops[2].Value) || parts[2] == "cg" && in.size != 16 {
		return d.notKnown("%d bytes", ops[2].Value)
	}
	var err error
	if in.a, err = d.source(ops[0].List[0], ptx.U64); err != nil {
		return err
	}
	if in.b, err = d.source(ops[1].List[0], ptx.U64); err != nil {
		return err
	}
	in.c = d.constant(ops[2].Value)
	if len(ops) == 4 {
		if in.c, err = d.source(ops[3], ptx.U32); err != nil {
			return err
		}
	}
	in.offset, in.all = uint64(ops[0].Offset), uint64(ops[1].Offset)
	in.run = runCopyAsync
	return nil
}

func runCopyAsync(w *warp, in *instruction, active uint32) {
	n := uint64(in.size)
	from := *in
	from.space = ptx.Global
	in = &from
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		length := min(w.r[in.c][i], n)
		var source []byte
		if length > 0 {
			in.space = ptx.Global
			if source = w.reach(in, i, w.r[in.b][i]+in.all, n); source == nil {
				return
			}
		}
		in.space = ptx.Shared
		to := w.reach(in, i, w.r[in.a][i]+in.offset, n)
		if to == nil {
			return
		}
		clear(to)
		copy(to, source[:length])
	}
}

// loadMatrix is ldmatrix: up to four matrices of 8 rows of 16 bytes.
func (d *decoder) loadMatrix(in *instruction) error {
	if err := d.operands(2, 2); err != nil {
		return err
	}
	if name := d.in.Name; !strings.HasPrefix(name, "ldmatrix.sync.aligned.m8n8.x") || slices.Contains(d.in.Parts, "trans") || !strings.HasSuffix(name, ".b16") {
		return d.notKnown("not known here")
	}
	var err error
	if in.many, err = d.list(d.in.Operands[0], ptx.B32, true); err != nil {
		return err
	}
	if n := len(in.many); n != 1 && n != 2 && n != 4 || d.in.Parts[4] != "x"+string(rune('0'+n)) {
		return d.notKnown("%d registers", n)
	}
	in.form, in.run = syncForm, runLoadMatrix
	return d.address(in, d.in.Operands[1])
}

func runLoadMatrix(w *warp, in *instruction, active uint32) {
	if active != allLanes {
		w.fail(in, firstLane(active), device.ErrIllegalAccess, "lanes %#x are missing", ^active)
		return
	}
	var rows [32][]byte
	for i := range 8 * len(in.many) {
		if rows[i] = w.reach(in, i, w.r[in.a][i]+in.offset, 16); rows[i] == nil {
			return
		}
	}
	for k, r := range in.many {
		for i := range 32 {
			w.r[r][i] = load(rows[8*k+i/4][i%4*4:], 4)
		}
	}
}

// runClock counts instructions instead of time.
func runClock(w *warp, in *instruction, active uint32) {
	for m := active; m != 0; m &= m - 1 {
		w.block.clock++
		w.r[in.d][firstLane(m)] = w.block.clock & in.all
	}
}

func runPack(w *warp, in *instruction, active uint32) {
	for m := active; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m)
		var v uint64
		for k, r := range in.many {
			v |= w.r[r][i] & maskOf(int(in.size)) << (k * int(in.size))
		}
		w.r[in.d][i] = v
	}
}

func runUnpack(w *warp, in *instruction, active uint32) {
	for m := active; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m)
		v := w.r[in.a][i]
		for k, r := range in.many {
			w.r[r][i] = v >> (k * int(in.size)) & maskOf(int(in.size))
		}
	}
}
