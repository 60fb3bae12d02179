package emulator

import (
	"math/bits"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// together is instructions that the lanes of a warp do together.
func (d *decoder) together(in *instruction) error {
	in.form = syncForm
	switch d.in.Parts[0] {
	case "shfl":
		return d.shuffle(in)
	case "vote":
		return d.vote(in)
	case "match":
		return d.match(in)
	case "redux":
		return d.reduce(in)
	case "mma":
		return d.multiply(in)
	case "activemask":
		if err := d.operands(1, 1); err != nil {
			return err
		}
		var err error
		in.form = runForm
		in.run = func(w *warp, in *instruction, active uint32) {
			for m := active; m != 0; m &= m - 1 {
				w.r[in.d][firstLane(m)] = uint64(active)
			}
		}
		in.d, err = d.result(d.in.Operands[0])
		return err
	}
	return d.notKnown("not known here")
}

// shuffle is "shfl.sync.bfly.b32 d|p, a, b, c, members".
func (d *decoder) shuffle(in *instruction) error {
	if err := d.operands(5, 5); err != nil {
		return err
	}
	if len(d.in.Parts) != 4 || d.in.Parts[1] != "sync" {
		return d.notKnown("not known here")
	}
	ops := d.in.Operands
	to, p := ops[0], ptx.Operand{}
	if to.Kind == ptx.Pair {
		to, p = to.List[0], to.List[1]
	}
	var err error
	if in.d, err = d.result(to); err != nil {
		return err
	}
	if in.target, _, err = d.predicate(p); err != nil {
		return err
	}
	in.many = make([]int32, 4)
	for i := range in.many {
		if in.many[i], err = d.source(ops[1+i], ptx.U32); err != nil {
			return err
		}
	}
	in.c, in.kind = in.many[3], d.in.Parts[2][0]
	if !strings.Contains("udbi", string(in.kind)) {
		return d.notKnown("not known here")
	}
	in.run = runShuffle
	return nil
}

func runShuffle(w *warp, in *instruction, active uint32) {
	a, b, c := w.r[in.many[0]], &w.r[in.many[1]], &w.r[in.many[2]]
	d := &w.r[in.d]
	var inside uint32
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		by, segment := int(b[i]&31), int(c[i]>>8&31)
		last := i&segment | int(c[i]&31)&^segment
		from, ok := i, false
		switch in.kind {
		case 'u':
			from = i - by
			ok = from >= last
		case 'd':
			from = i + by
			ok = from <= last
		case 'b':
			from = i ^ by
			ok = from <= last
		case 'i':
			from = i&segment | by&^segment
			ok = from <= last
		}
		if !ok {
			from = i
		} else {
			inside |= 1 << i
		}
		if active>>(from&31)&1 == 0 {
			w.fail(in, i, device.ErrIllegalAccess, "of lane %d, which is not here", from)
			return
		}
		d[i] = a[from&31]
	}
	w.setFlag(in.target, inside, active)
}

// vote is "vote.sync.any.pred d, p, members".
func (d *decoder) vote(in *instruction) error {
	if err := d.operands(3, 3); err != nil {
		return err
	}
	if len(d.in.Parts) != 4 || d.in.Parts[1] != "sync" {
		return d.notKnown("not known here")
	}
	ops := d.in.Operands
	var err error
	if in.kind = d.in.Parts[2][0]; in.kind == 'b' {
		in.d, err = d.result(ops[0])
	} else {
		in.d, _, err = d.predicate(ops[0])
		if d.in.Parts[2] == "uni" {
			in.kind = 'u'
		}
	}
	if err != nil {
		return err
	}
	if in.a, in.not, err = d.predicate(ops[1]); err != nil {
		return err
	}
	in.c, err = d.source(ops[2], ptx.U32)
	in.run = runVote
	return err
}

func runVote(w *warp, in *instruction, active uint32) {
	v := w.flag(in.a, in.not) & active
	switch in.kind {
	case 'b':
		for m := active; m != 0; m &= m - 1 {
			w.r[in.d][firstLane(m)] = uint64(v)
		}
		return
	case 'u':
		v = -bit(v == 0 || v == active)
	default:
		if d := w.block.program.code; len(d) > 0 && strings.Contains(in.name, ".all.") {
			v = -bit(v == active)
		} else {
			v = -bit(v != 0)
		}
	}
	w.setFlag(in.d, v, active)
}

// match is "match.any.sync.b32 d, a, members" and match.all.
func (d *decoder) match(in *instruction) error {
	if err := d.operands(3, 3); err != nil {
		return err
	}
	ops := d.in.Operands
	t := ptx.TypeNamed(d.in.Parts[len(d.in.Parts)-1])
	if len(d.in.Parts) != 4 || d.in.Parts[1] != "any" || ops[0].Kind != ptx.Reg {
		return d.notKnown("not known here")
	}
	var err error
	if in.d, err = d.result(ops[0]); err != nil {
		return err
	}
	if in.a, err = d.source(ops[1], t); err != nil {
		return err
	}
	in.c, err = d.source(ops[2], ptx.U32)
	in.run = func(w *warp, in *instruction, active uint32) {
		a := &w.r[in.a]
		for m := active; m != 0; m &= m - 1 {
			i := firstLane(m)
			var same uint64
			for o := active; o != 0; o &= o - 1 {
				if j := firstLane(o); a[j] == a[i] {
					same |= 1 << j
				}
			}
			w.r[in.d][i] = same
		}
	}
	return err
}

// reduce is "redux.sync.add.s32 d, a, members".
func (d *decoder) reduce(in *instruction) error {
	if err := d.operands(3, 3); err != nil {
		return err
	}
	if len(d.in.Parts) != 4 {
		return d.notKnown("not known here")
	}
	t := ptx.TypeNamed(d.in.Parts[3])
	if in.lane = integerLane(d.in.Parts[2], t); in.lane == nil || t.Bits() != 32 {
		return d.notKnown("not known here")
	}
	ops := d.in.Operands
	var err error
	if in.d, err = d.result(ops[0]); err != nil {
		return err
	}
	if in.a, err = d.source(ops[1], t); err != nil {
		return err
	}
	in.c, err = d.source(ops[2], ptx.U32)
	in.run = func(w *warp, in *instruction, active uint32) {
		a := &w.r[in.a]
		v := a[firstLane(active)]
		for m := active & (active - 1); m != 0; m &= m - 1 {
			v = in.lane(v, a[firstLane(m)], 0)
		}
		for m := active; m != 0; m &= m - 1 {
			w.r[in.d][firstLane(m)] = v
		}
	}
	return err
}

// multiply is mma.sync.aligned.m16n8k32.row.col.s32.….….s32.
func (d *decoder) multiply(in *instruction) error {
	parts := d.in.Parts
	if len(parts) < 10 || strings.Join(parts[:7], ".") != "mma.sync.aligned.m16n8k32.row.col.s32" {
		return d.notKnown("not known here")
	}
	parts = parts[7:]
	if parts[len(parts)-1] != "s32" || len(parts) != 3 {
		return d.notKnown("not known here") // satfinite too: sums wrap here
	}
	a, b := ptx.TypeNamed(parts[0]), ptx.TypeNamed(parts[1])
	if a != ptx.S8 && a != ptx.U8 || b != ptx.S8 && b != ptx.U8 {
		return d.notKnown("not known here")
	}
	if err := d.operands(4, 4); err != nil {
		return err
	}
	in.kind = byte(bit(a == ptx.S8) | bit(b == ptx.S8)<<1)
	for i, list := range []*[]int32{&in.many, &in.more, &in.rest} {
		want := 4 - 2*(i&1*1)
		_ = want
		var err error
		op := d.in.Operands[1+i]
		if op.Kind != ptx.Vector || len(op.List) != []int{4, 2, 4}[i] {
			return d.notKnown("operands of another size")
		}
		if *list, err = d.list(op, ptx.B32, false); err != nil {
			return err
		}
	}
	to, err := d.list(d.in.Operands[0], ptx.B32, true)
	if err != nil || len(to) != 4 {
		return d.notKnown("operands of another size")
	}
	in.rest = append(in.rest, to...)
	in.run = runMultiply
	return nil
}

// runMultiply: with g = lane/4 and t = lane mod 4, a lane holds of A [16, 32] the
// rows g and g+8 at columns 4t… and 16+4t…, of B [32, 8] column g at rows 4t… and
// 16+4t…, of C and D [16, 8] the rows g and g+8 at columns 2t and 2t+1.
func runMultiply(w *warp, in *instruction, active uint32) {
	if active != allLanes {
		w.fail(in, firstLane(active), device.ErrIllegalAccess, "lanes %#x are missing", ^active)
		return
	}
	var a [16][32]int32
	var b [8][32]int32
	for i := range 32 {
		g, t := i>>2, i&3
		for k := range 4 {
			row, col := g+k&1*8, k>>1*16+4*t
			v := w.r[in.many[k]][i]
			for j := range 4 {
				a[row][col+j] = byteOf(v, j, in.kind&1 != 0)
			}
		}
		for k := range 2 {
			v := w.r[in.more[k]][i]
			for j := range 4 {
				b[g][k*16+4*t+j] = byteOf(v, j, in.kind&2 != 0)
			}
		}
	}
	var out [4]lanes
	for i := range 32 {
		g, t := i>>2, i&3
		for k := range 4 {
			row, col := &a[g+k>>1*8], &b[2*t+k&1]
			sum := uint32(w.r[in.rest[k]][i])
			for j := range row {
				sum += uint32(row[j] * col[j])
			}
			out[k][i] = uint64(sum)
		}
	}
	for k := range out {
		w.r[in.rest[4+k]] = out[k]
	}
}

// specialNamed is what a special register holds; nil if there is none of the name.
func specialNamed(name string) func(w *warp, i int) uint64 {
	axis := 0
	if base, dim, ok := strings.Cut(name, "."); ok {
		if len(dim) != 1 || dim < "x" || dim > "z" {
			return nil
		}
		name, axis = base, int(dim[0]-'x')
	}
	switch name {
	case "tid":
		return func(w *warp, i int) uint64 { return uint64(w.thread(i)[axis]) }
	case "ntid":
		return func(w *warp, _ int) uint64 { return uint64(w.block.size[axis]) }
	case "ctaid":
		return func(w *warp, _ int) uint64 { return uint64(w.block.index[axis]) }
	case "nctaid":
		return func(w *warp, _ int) uint64 { return uint64(w.block.grid[axis]) }
	case "laneid":
		return func(_ *warp, i int) uint64 { return uint64(i) }
	case "warpid":
		return func(w *warp, _ int) uint64 { return uint64(w.number) }
	case "smid", "gridid":
		return func(*warp, int) uint64 { return 0 }
	case "nwarpid", "nsmid":
		return func(*warp, int) uint64 { return 32 }
	case "lanemask_eq":
		return func(_ *warp, i int) uint64 { return 1 << i }
	case "lanemask_lt":
		return func(_ *warp, i int) uint64 { return 1<<i - 1 }
	case "lanemask_le":
		return func(_ *warp, i int) uint64 { return 2<<i - 1 }
	case "lanemask_gt":
		return func(_ *warp, i int) uint64 { return allLanes &^ (2<<i - 1) }
	case "lanemask_ge":
		return func(_ *warp, i int) uint64 { return allLanes &^ (1<<i - 1) }
	case "dynamic_smem_size":
		return func(w *warp, _ int) uint64 { return uint64(len(w.block.shared)) - uint64(w.block.program.static) }
	}
	_ = bits.UintSize
	return nil
}
