package emulator

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// group is lanes of a warp at the same instruction.
type group struct {
	pc      int32
	mask    uint32
	waits   waiting
	barrier int32 // of the block, where it waits for one
	count   int32 // threads that barrier wants; -1: all
}

type waiting uint8

const (
	ready waiting = iota
	waitsForWarp
	waitsForBlock
)

// warp is 32 threads of a block. The group that is furthest behind runs, until it
// meets another: so groups join where their ways do.
type warp struct {
	block  *block
	r      []lanes
	kinds  []uint8 // how each lies
	here   uint32  // lanes that run now
	kept   bitset  // registers that others may read, where sure says so
	sure   bool
	p      []uint32
	local  []byte // 32 threads, one after another
	number int
	alive  uint32 // lanes that have not ended
	groups [32]group
	n      int           // groups there are
	last   []*allocation // that each instruction found last
	syncs  uint32        // barriers of the warp so far
	era    stamp         // see tick
	now    stamp
	room   lanes
	copies []pending  // asynchronous ones
	closed [32]uint32 // groups of them
}

func firstLane(mask uint32) int { return bits.TrailingZeros32(mask) & 31 }

// fail ends the launch.
func (w *warp) fail(in *instruction, lane int, kind error, format string, args ...any) {
	if w.block.err != nil {
		return
	}
	b := w.block
	code, name := driverCode(kind)
	b.err = &device.Error{Kind: kind, Code: code, Name: name, Doing: fmt.Sprintf("kernel %s, line %d, block %s, thread %s: %s: %s",
		b.program.name, in.line, indices(b.index), indices(w.thread(lane)), in.name, fmt.Sprintf(format, args...))}
}

func indices(v [3]int) string { return fmt.Sprintf("%d,%d,%d", v[0], v[1], v[2]) }

// thread is a lane's index in its block.
func (w *warp) thread(lane int) [3]int { return w.block.threadAt(w.number*32 + lane) }

// threadAt is the index of the i-th thread.
func (b *block) threadAt(i int) [3]int {
	return [3]int{i % b.size[0], i / b.size[0] % b.size[1], i / b.size[0] / b.size[1]}
}

// start readies the warp for a block.
func (w *warp) start() {
	threads := w.block.threads - w.number*32
	w.alive = allLanes
	if threads < 32 {
		w.alive = 1<<threads - 1
	}
	w.copies, w.closed = w.copies[:0], [32]uint32{}
	w.n = 1
	w.groups[0] = group{mask: w.alive}
	w.tick()
	for _, s := range w.block.program.specials {
		if s.fixed && w.block.warmed {
			continue
		}
		w.fill(s.register, s.value(w, 0), allLanes)
		if s.flat {
			continue
		}
		r := w.write(s.register, allLanes)
		for i := range r {
			r[i] = s.value(w, i)
		}
		if same(r) {
			w.kinds[s.register] = flat
		}
	}
}

// run runs the warp until every lane has ended or waits for the block.
func (w *warp) run() {
	for w.block.err == nil {
		g := -1
		for i := range w.n {
			if w.groups[i].waits == ready && (g < 0 || w.groups[i].pc < w.groups[g].pc) {
				g = i
			}
		}
		if g < 0 && !w.wake() {
			return
		}
		if g >= 0 {
			w.step(g)
		}
	}
}

// wake readies groups that wait for lanes that have ended since. It reports
// whether there were any; that groups wait for ever is a failure.
func (w *warp) wake() bool {
	for i := range w.n {
		g := &w.groups[i]
		if g.waits != waitsForWarp {
			continue
		}
		in := &w.block.program.code[g.pc]
		if w.missing(in, g.mask) == 0 {
			g.waits = ready
			return true
		}
	}
	for i := range w.n {
		if g := &w.groups[i]; g.waits == waitsForWarp {
			in := &w.block.program.code[g.pc]
			w.fail(in, firstLane(g.mask), device.ErrIllegalAccess, "lanes %#x never get here", w.missing(in, g.mask))
			break
		}
	}
	return false
}

// take removes group g.
func (w *warp) take(g int) {
	w.n--
	w.groups[g] = w.groups[w.n]
}

// add adds a group, to a ready one at the same place if there is one.
func (w *warp) add(g group) {
	if g.waits == ready {
		for i := range w.n {
			if w.groups[i].pc == g.pc && w.groups[i].waits == ready {
				w.groups[i].mask |= g.mask
				return
			}
		}
	}
	w.groups[w.n] = g
	w.n++
}

// next is where the group is that is furthest behind.
func (w *warp) next() int32 {
	at := int32(math.MaxInt32)
	for i := range w.n {
		if w.groups[i].waits == ready {
			at = min(at, w.groups[i].pc)
		}
	}
	return at
}

// step runs group g until it ends, waits or catches up with another.
func (w *warp) step(g int) {
	b := w.block
	code, hits := b.program.code, b.hits
	pc, active := w.groups[g].pc, w.groups[g].mask
	w.take(g)
	w.goesOn(active)
	next, steps := w.next(), int64(0)
	for pc < next {
		steps++
		in := &code[pc]
		mask := active
		if in.guard >= 0 {
			mask &= w.flag(in.guard, in.guardNot)
		}
		hits[pc] += uint64(bits.OnesCount32(mask))
		form := in.form
		if form == syncForm && mask == allLanes && w.everyone(in) {
			form = runForm
		}
		switch form {
		case plainForm:
			a, b, c := w.kinds[in.a], w.kinds[in.b], w.kinds[in.c]
			whole := mask == allLanes || mask == w.here && !w.keeps(in.d)
			switch {
			case whole && a&b&c&flat != 0:
				w.r[in.d][0] = in.lane(w.r[in.a][0], w.r[in.b][0], w.r[in.c][0])
				w.kinds[in.d] = flat | stale
			case whole && in.wide != nil:
				w.all(in, (a|b|c)&stale != 0)
			case mask != 0:
				w.plain(in, mask)
			}
			pc++
		case runForm:
			if mask != 0 {
				if !in.lays {
					w.lay(in, mask)
				}
				if in.run(w, in, mask); b.err != nil {
					return
				}
			}
			pc++
		case branchForm:
			if b.budget -= steps; b.budget < 0 {
				w.fail(in, firstLane(active), device.ErrHung, "more instructions than a launch may run")
				return
			}
			if steps = 0; mask == active {
				pc = in.target
				continue
			}
			if pc++; mask != 0 {
				w.add(group{pc: in.target, mask: mask})
				active &^= mask
				w.goesOn(active)
				next = w.next()
			}
		default:
			b.budget, steps = b.budget-steps, 0
			if pc, active = w.leave(in, pc, active, mask); active == 0 {
				return
			}
			w.goesOn(active)
			next = w.next()
		}
	}
	b.budget -= steps
	w.add(group{pc: pc, mask: active})
}

// everyone reports whether all lanes are the members that an instruction waits for,
// and say so.
func (w *warp) everyone(in *instruction) bool {
	return in.c < 0 || w.isFlat(in.c) && uint32(w.r[in.c][0]) == allLanes
}

// plain computes the lanes of mask.
func (w *warp) plain(in *instruction, mask uint32) {
	a, b, c, f := w.read(in.a), w.read(in.b), w.read(in.c), in.lane
	d := w.write(in.d, mask)
	if in.wide != nil && bits.OnesCount32(mask) > 10 { // all of them is quicker
		in.wide(&w.room, a, b, c)
		for i, v := range &w.room {
			if mask>>i&1 != 0 {
				d[i] = v
			}
		}
		return
	}
	for m := mask; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m) & 31
		d[i] = f(a[i], b[i], c[i])
	}
}

// leave does the instructions that lanes may not go on from. It returns where the
// others go on, and which they are.
func (w *warp) leave(in *instruction, pc int32, active, mask uint32) (int32, uint32) {
	w.here = 0
	for _, r := range in.reads {
		w.spread(r)
	}
	switch in.form {
	case indexForm:
		for m := mask; m != 0; m &= m - 1 {
			i := firstLane(m)
			to := w.r[in.a][i]
			if to >= uint64(len(in.table)) {
				w.fail(in, i, device.ErrIllegalAccess, "branch %d of %d", to, len(in.table))
				return pc, 0
			}
			w.add(group{pc: in.table[to], mask: 1 << i})
		}
		return pc + 1, active &^ mask
	case exitForm:
		w.alive &^= mask
		return pc + 1, active &^ mask
	}
	// Others may wait here already: they are one group from now on.
	for i := 0; i < w.n; i++ {
		if w.groups[i].pc == pc {
			active |= w.groups[i].mask
			mask |= w.groups[i].mask
			w.take(i)
			i--
		}
	}
	if mask == 0 {
		return pc + 1, active
	}
	if in.form == barrierForm {
		return w.arrive(in, pc, active, mask)
	}
	if w.missing(in, mask) != 0 {
		w.add(group{pc: pc, mask: mask, waits: waitsForWarp})
		return pc + 1, active &^ mask
	}
	if !in.lays {
		w.lay(in, mask) // again: others may have written since
	}
	if in.run(w, in, mask); w.block.err != nil {
		return pc, 0
	}
	return pc + 1, active
}

// missing is the lanes that the instruction waits for: members that have neither
// ended nor are in mask.
func (w *warp) missing(in *instruction, mask uint32) uint32 {
	if in.c < 0 {
		return w.alive &^ mask
	}
	if v := uint32(w.r[in.c][0]); in.uniform && mask&^v == 0 {
		return v & w.alive &^ mask
	}
	var members uint32
	for m := mask; m != 0; m &= m - 1 {
		i := firstLane(m)
		v := uint32(w.r[in.c][i])
		if v>>i&1 == 0 {
			w.fail(in, i, device.ErrIllegalAccess, "the lane is not among its members %#x", v)
			return 0
		}
		members |= v
	}
	return members & w.alive &^ mask
}
