package emulator

import (
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
			w.fill(in.d, uint64(active), active)
		}
		in.d, err = d.result(d.in.Operands[0], 32)
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
	if in.d, err = d.result(to, 32); err != nil {
		return err
	}
	if in.target = -1; p.Kind != ptx.None {
		if in.target, _, err = d.predicate(p); err != nil {
			return err
		}
	}
	in.many = make([]int32, 4)
	for i := range in.many {
		if in.many[i], err = d.source(ops[1+i], ptx.U32); err != nil {
			return err
		}
	}
	in.c, in.kind, in.uniform = in.many[3], d.in.Parts[2][0], ops[4].Kind == ptx.Immediate
	if !strings.Contains("udbi", string(in.kind)) {
		return d.notKnown("not known here")
	}
	in.lays, in.run = true, runShuffle
	return nil
}

func runShuffle(w *warp, in *instruction, active uint32) {
	if active == allLanes && w.shuffleAll(in) {
		return
	}
	a, b, c := *w.read(in.many[0]), w.read(in.many[1]), w.read(in.many[2])
	d := w.write(in.d, active)
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
	if in.target >= 0 {
		w.setFlag(in.target, inside, active)
	}
}

// shuffleAll is runShuffle of a whole warp that is cut into no segments, whose lanes
// all ask for the same. It reports whether that is so.
func (w *warp) shuffleAll(in *instruction) bool {
	if !w.isFlat(in.many[1]) || !w.isFlat(in.many[2]) || w.r[in.many[2]][0]&0x1f1f != 31 {
		return false
	}
	by, inside := int(w.r[in.many[1]][0]&31), uint32(allLanes)
	switch in.kind {
	case 'b', 'i':
	case 'd':
		inside >>= by
	default:
		return false
	}
	from := &w.r[in.many[0]]
	switch {
	case w.isFlat(in.many[0]):
		w.fill(in.d, from[0], allLanes)
	case in.kind == 'i':
		w.fill(in.d, from[by], allLanes)
	case in.d == in.many[0]:
		return false
	default:
		exchange(w.write(in.d, allLanes), from, by, in.kind == 'b')
	}
	if in.target >= 0 {
		w.p[in.target] = inside
	}
	return true
}

// exchange gives d what lanes of a hold that differ in the bits by, or lie by further.
func exchange(d, a *lanes, by int, across bool) {
	if !across {
		copy(d[:], a[by:])
		copy(d[32-by:], a[32-by:])
		return
	}
	for i := range d {
		d[i] = a[(i^by)&31]
	}
}

// What kind is for votes.
const (
	ballotVote = iota
	allVote
	anyVote
	uniVote
)

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
	switch d.in.Parts[2] {
	case "ballot":
		in.kind = ballotVote
	case "all":
		in.kind = allVote
	case "any":
		in.kind = anyVote
	case "uni":
		in.kind = uniVote
	default:
		return d.notKnown("not known here")
	}
	if in.kind == ballotVote {
		in.d, err = d.result(ops[0], 32)
	} else {
		in.d, _, err = d.predicate(ops[0])
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
	case ballotVote:
		w.fill(in.d, uint64(v), active)
		return
	case uniVote:
		v = -bit(v == 0 || v == active)
	case allVote:
		v = -bit(v == active)
	default:
		v = -bit(v != 0)
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
	if in.d, err = d.result(ops[0], 32); err != nil {
		return err
	}
	if in.a, err = d.source(ops[1], t); err != nil {
		return err
	}
	in.c, err = d.source(ops[2], ptx.U32)
	in.run = func(w *warp, in *instruction, active uint32) {
		a := w.r[in.a] // a copy: the result may lie where it does
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
	if in.d, err = d.result(ops[0], 32); err != nil {
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
		w.fill(in.d, v, active)
	}
	return err
}
