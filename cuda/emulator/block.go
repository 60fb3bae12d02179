package emulator

import (
	"fmt"
	"math/bits"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// block is room to run the blocks of a kernel, one after another.
type block struct {
	program *program
	device  *Device
	warps   []*warp
	shared  []byte
	args    []byte
	grid    [3]int
	size    [3]int // threads
	threads int
	index   [3]int
	budget  int64 // branches that are left
	hits    []uint64
	arrived [16]int // at barriers, without waiting
	clock   uint64
	err     *device.Error

	first   uint64  // era from which on others run beside it
	launch  uint64  // era in which the launch began
	met     bool    // the block has met others at an atomic instruction
	began   uint64  // era in which the block began
	era     uint64  // the present one
	warmed  bool    // registers that a launch does not change are filled
	checked bool    // shared memory is
	pieces  []piece // of shared memory; nil: races are not looked for
	written bitmap  // of shared memory; nil: not looked at
}

// prepare makes room for a launch.
func (b *block) prepare(l *device.Launch, budget int64) {
	p := b.program
	b.warmed = b.warmed && b.size == l.Block && b.grid == l.Grid && len(b.shared) == int(p.static)+l.Shared
	b.grid, b.size, b.args, b.err, b.budget = l.Grid, l.Block, l.Args, nil, budget
	b.threads = l.Block[0] * l.Block[1] * l.Block[2]
	for len(b.warps) < (b.threads+31)/32 {
		b.warmed = false
		w := &warp{
			block: b, number: len(b.warps), last: make([]*allocation, p.accesses),
			r: make([]lanes, p.registers), kinds: make([]uint8, p.registers), kept: make(bitset, (p.registers+63)/64), p: make([]uint32, p.predicates), local: make([]byte, 32*p.local),
		}
		for _, c := range p.constants {
			r := &w.r[c.register]
			for i := range r {
				r[i] = c.value
			}
			w.kinds[c.register] = flat
		}
		for _, c := range p.fixed {
			w.p[c.register] = uint32(c.value)
		}
		b.warps = append(b.warps, w)
	}
	n := int(p.static) + l.Shared
	if cap(b.shared) < n {
		b.shared = make([]byte, n)
	}
	b.shared = b.shared[:n]
	b.watch()
}

// watch readies what remembers who touched shared memory.
func (b *block) watch() {
	b.launch = b.device.eras + 1
	o := &b.device.options
	b.checked = !o.Racy || o.Strict
	if n := len(b.shared)>>b.program.grain + 1; !o.Racy && len(b.pieces) < n {
		b.pieces = make([]piece, n)
	}
	if n := (len(b.shared) + 63) / 64; o.Strict && len(b.written) < n {
		b.written = make(bitmap, n)
	}
}

// run runs the block of an index.
func (b *block) run(index [3]int) {
	b.index = index
	warps := b.warps[:(b.threads+31)/32]
	fill(b.shared, undefined)
	b.arrived = [16]int{}
	b.device.eras++
	b.began, b.era = b.device.eras, b.device.eras
	b.first, b.met = b.launch, false
	clear(b.written)
	for _, w := range warps {
		w.start()
	}
	b.warmed = true
	for b.err == nil {
		alive := 0
		for _, w := range warps {
			if w.alive != 0 {
				if w.run(); b.err != nil {
					return
				}
			}
			alive += bits.OnesCount32(w.alive)
		}
		if alive == 0 || !b.release(warps, alive) {
			return
		}
	}
}

// arrive lets the lanes of mask wait at a barrier of the block.
func (w *warp) arrive(in *instruction, pc int32, active, mask uint32) (int32, uint32) {
	first := firstLane(mask)
	g := group{pc: pc, mask: mask, waits: waitsForBlock, barrier: int32(w.r[in.a][first]), count: -1}
	if in.b >= 0 {
		g.count = int32(w.r[in.b][first])
	}
	for m := mask; m != 0; m &= m - 1 {
		if int32(w.r[in.a][firstLane(m)]) != g.barrier {
			w.fail(in, firstLane(m), device.ErrIllegalAccess, "a barrier of its own")
		}
	}
	if g.barrier < 0 || g.barrier > 15 || g.count == 0 || g.count > 0 && g.count%32 != 0 {
		w.fail(in, first, device.ErrIllegalAccess, "barrier %d for %d threads", g.barrier, g.count)
	}
	if w.block.err != nil {
		return pc, 0
	}
	if in.kind == arriveBarrier {
		w.block.arrived[g.barrier] += bits.OnesCount32(mask)
		return pc + 1, active
	}
	w.add(g)
	return pc + 1, active &^ mask
}

// release lets threads go on whose barrier all have reached. That there are none
// is a failure, and false.
func (b *block) release(warps []*warp, alive int) bool {
	var waiting, want [16]int
	for _, w := range warps {
		for _, g := range w.groups[:w.n] {
			waiting[g.barrier] += bits.OnesCount32(g.mask)
			if want[g.barrier] = alive; g.count >= 0 {
				want[g.barrier] = int(g.count)
			}
		}
	}
	released := false
	for id := range waiting {
		if waiting[id] > 0 && !b.aligned(warps, int32(id)) {
			return false
		}
		if waiting[id] > 0 && waiting[id]+b.arrived[id] >= want[id] {
			b.arrived[id] = 0
			b.open(warps, int32(id))
			released = true
		}
	}
	if !released {
		b.stuck(warps, alive)
	}
	return released
}

// aligned fails where lanes of a warp wait at one barrier in several places, which
// only "barrier" without ".aligned" allows.
func (b *block) aligned(warps []*warp, id int32) bool {
	for _, w := range warps {
		at := int32(-1)
		for _, g := range w.groups[:w.n] {
			in := &b.program.code[g.pc]
			if g.barrier != id || !in.aligned {
				continue
			}
			if at >= 0 && at != g.pc {
				w.fail(in, firstLane(g.mask), device.ErrIllegalAccess, "other lanes of its warp wait at line %d", b.program.code[at].line)
				return false
			}
			at = g.pc
		}
	}
	return true
}

// open lets the threads that wait at barrier id go on.
func (b *block) open(warps []*warp, id int32) {
	b.device.eras++
	b.era = b.device.eras
	count, all := 0, true
	for _, w := range warps {
		for _, g := range w.groups[:w.n] {
			if in := &b.program.code[g.pc]; g.barrier == id && in.kind >= popcBarrier {
				v := w.flag(in.c, in.not) & g.mask
				count += bits.OnesCount32(v)
				all = all && v == g.mask
			}
		}
	}
	for _, w := range warps {
		for i := range w.n {
			g := &w.groups[i]
			if g.barrier != id {
				continue
			}
			in := &b.program.code[g.pc]
			switch in.kind {
			case popcBarrier:
				w.fill(in.d, uint64(count), g.mask)
			case andBarrier:
				w.setFlag(in.d, -bit(all), g.mask)
			case orBarrier:
				w.setFlag(in.d, -bit(count > 0), g.mask)
			}
			g.waits = ready
			g.pc++
		}
		w.tick()
	}
}

// stuck fails because threads wait for others that never come.
func (b *block) stuck(warps []*warp, alive int) {
	for _, w := range warps {
		if w.n > 0 {
			g := w.groups[0]
			waits := 0
			for _, other := range warps {
				for _, o := range other.groups[:other.n] {
					if o.barrier == g.barrier {
						waits += bits.OnesCount32(o.mask)
					}
				}
			}
			w.fail(&b.program.code[g.pc], firstLane(g.mask), device.ErrIllegalAccess, "%s", fmt.Sprintf("barrier %d is reached by %d threads of %d", g.barrier, waits, alive))
			return
		}
	}
}
