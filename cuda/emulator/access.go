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
	d.remember(in)
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
	in.uniform = base.Kind == ptx.Symbol
	in.a, err = d.source(base, ptx.NoType)
	return err
}

// grain notes that the kernel touches n bytes of a space at once.
func (d *decoder) grain(space ptx.Space, n uint64) {
	to := &d.p.globalGrain
	if space == ptx.Shared {
		to = &d.p.grain
	}
	*to = min(*to, uint8(bits.TrailingZeros64(n)))
}

// remember gives the instruction a place for the allocation it found last.
func (d *decoder) remember(in *instruction) {
	in.access = int32(d.p.accesses)
	d.p.accesses++
}

// isParam reports whether v is a parameter of the kernel itself.
func (d *decoder) isParam(v *ptx.Variable) bool {
	return d.depth == 1 && slices.Contains(d.fn.Params, v)
}

// hints are what an ld or st may say besides its type: a space, how many, and how
// memory is to be cached or seen, which makes no difference here.
var hints = []string{
	"global", "shared", "local", "param", "const", "v2", "v4", "v8", "nc", "weak", "volatile", "relaxed", "acquire", "release",
	"cta", "gpu", "sys", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "L1", "L2",
}

func (d *decoder) loadOrStore(in *instruction, storing bool) error {
	if err := d.operands(2, 2); err != nil {
		return err
	}
	t := ptx.TypeNamed(d.in.Parts[len(d.in.Parts)-1])
	if t.Bytes() == 0 {
		return d.notKnown("not known here")
	}
	for _, p := range d.in.Parts[1 : len(d.in.Parts)-1] {
		if name, _, _ := strings.Cut(p, "::"); !slices.Contains(hints, name) {
			return d.notKnown("%s is not known here", p)
		}
	}
	value, at := d.in.Operands[0], d.in.Operands[1]
	if storing {
		value, at = at, value
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
	in.run = accessRun(in, storing)
	n := uint64(len(in.many)) * uint64(in.size)
	if in.generic || in.space == ptx.Shared {
		d.grain(ptx.Shared, n)
	}
	if in.generic || in.space == ptx.Global {
		d.grain(ptx.Global, n)
	}
	if storing && (in.space == ptx.Const && !in.generic || in.space == ptx.Param && !in.generic) {
		return d.notKnown("what cannot be written")
	}
	return nil
}

// reach is the n bytes that a lane's address is of; nil after a failure.
func (w *warp) reach(in *instruction, i int, at, n uint64, how access) []byte {
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
		return w.global(in, i, at, n, how)
	}
	if at > uint64(len(from)) || n > uint64(len(from))-at {
		w.fail(in, i, device.ErrIllegalAccess, "%d bytes at %#x of %d bytes of %s", n, at, len(from), name)
		return nil
	}
	if space == ptx.Shared && w.block.checked && !w.checkShared(in, i, at, n, how) {
		return nil
	}
	return from[at:][:n]
}

// global is n bytes of the device's memory.
func (w *warp) global(in *instruction, i int, at, n uint64, how access) []byte {
	a := w.last[in.access]
	if a == nil || a.freed.Load() || at < a.base || at-a.base >= uint64(len(a.data)) || n > uint64(len(a.data))-(at-a.base) {
		p, why := w.block.device.memory.reach(at, n)
		if p == nil {
			w.fail(in, i, device.ErrIllegalAccess, "%s", why)
			return nil
		}
		a = w.block.device.memory.find(at)
		w.last[in.access] = a
	}
	if a.written != nil && !w.checkGlobal(in, i, a, at, n, how) {
		return nil
	}
	return a.data[at-a.base:][:n]
}

// runClock counts instructions instead of time.
func runClock(w *warp, in *instruction, active uint32) {
	for m := active; m != 0; m &= m - 1 {
		w.block.clock++
		w.r[in.d][firstLane(m)] = w.block.clock & in.all
	}
}

func runPack(w *warp, in *instruction, active uint32) {
	if active == allLanes && w.allFlat(in.many) {
		w.fill(in.d, w.packed(in, 0), active)
		return
	}
	for _, r := range in.many {
		w.spread(r)
	}
	d := w.write(in.d, active)
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		d[i] = w.packed(in, i)
	}
}

// packed is the numbers of a vector in one.
func (w *warp) packed(in *instruction, i int) (v uint64) {
	for k, r := range in.many {
		v |= w.r[r][i] & maskOf(int(in.size)) << (k * int(in.size))
	}
	return v
}

// allFlat reports whether every lane of the registers holds the same.
func (w *warp) allFlat(list []int32) bool {
	for _, r := range list {
		if !w.isFlat(r) {
			return false
		}
	}
	return true
}

func runUnpack(w *warp, in *instruction, active uint32) {
	v := w.r[in.a] // a copy: a result may lie where it does
	for k, r := range in.many {
		by, all := k*int(in.size), maskOf(int(in.size))
		if w.isFlat(in.a) {
			w.fill(r, v[0]>>by&all, active)
			continue
		}
		d := w.write(r, active)
		for m := active; m != 0; m &= m - 1 {
			i := firstLane(m)
			d[i] = v[i] >> by & all
		}
	}
}
