package emulator

import (
	"encoding/binary"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// accessRun is the way that suits an ld or st.
func accessRun(in *instruction, storing bool) func(w *warp, in *instruction, active uint32) {
	global := in.generic || in.space == ptx.Global || in.space == ptx.Const
	word := in.size == 4 && len(in.many) == 1
	switch {
	case storing && global && word:
		return runStoreWord
	case storing:
		return runStore
	case in.space == ptx.Param && !in.generic:
		return runLoadParam
	case global && word:
		return runLoadWord
	case global && in.negative == 0:
		return runLoadGlobal
	case in.space == ptx.Shared && word:
		return runLoadSharedWord
	}
	return runLoad
}

func runLoad(w *warp, in *instruction, active uint32) {
	a := &w.r[in.a]
	n := uint64(in.size) * uint64(len(in.many))
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		p := w.reach(in, i, a[i]+in.offset, n, reads)
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
		p := w.reach(in, i, a[i]+in.offset, n, writes)
		if p == nil {
			return
		}
		for k, r := range in.many {
			store(p[k*int(in.size):], in.size, w.r[r][i])
		}
	}
}

// runLoadParam is runLoad where all lanes mostly read the same.
func runLoadParam(w *warp, in *instruction, active uint32) {
	first := firstLane(active)
	a := &w.r[in.a]
	for m := active; m != 0 && !in.uniform; m &= m - 1 {
		if a[firstLane(m)] != a[first] {
			runLoad(w, in, active)
			return
		}
	}
	if runLoad(w, in, 1<<first); w.block.err != nil {
		return
	}
	for _, r := range in.many {
		d := &w.r[r]
		v := d[first]
		if active == allLanes {
			for i := range d {
				d[i] = v
			}
			continue
		}
		for m := active; m != 0; m &= m - 1 {
			d[firstLane(m)] = v
		}
	}
}

// known is the allocation that the instruction found last, if n bytes of it may be
// touched without looking at anything but the bounds.
func (w *warp) known(in *instruction, n uint64) *allocation {
	a := w.last[in.access]
	if a == nil || a.written != nil || a.freed.Load() || uint64(len(a.data)) < n {
		return nil
	}
	return a
}

// runLoadWord is runLoad of a word of global memory, quickly.
func runLoadWord(w *warp, in *instruction, active uint32) {
	k := w.known(in, 4)
	if k == nil {
		runLoad(w, in, active)
		return
	}
	a, d, data, from := &w.r[in.a], &w.r[in.many[0]], k.data, in.offset-k.base
	last := uint64(len(data)) - 4
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		at := a[i] + from
		if at > last || at&3 != 0 {
			runLoad(w, in, m)
			return
		}
		v := uint64(binary.LittleEndian.Uint32(data[at:]))
		if in.negative != 0 {
			v = uint64(int64(int32(v))) & in.all
		}
		d[i] = v
	}
}

// runStoreWord is runStore of a word to global memory, quickly.
func runStoreWord(w *warp, in *instruction, active uint32) {
	k := w.known(in, 4)
	if k == nil {
		runStore(w, in, active)
		return
	}
	a, d, data, from := &w.r[in.a], &w.r[in.many[0]], k.data, in.offset-k.base
	last := uint64(len(data)) - 4
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		at := a[i] + from
		if at > last || at&3 != 0 {
			runStore(w, in, m)
			return
		}
		binary.LittleEndian.PutUint32(data[at:], uint32(d[i]))
	}
}

// runLoadGlobal is runLoad of anything of global memory, quickly.
func runLoadGlobal(w *warp, in *instruction, active uint32) {
	size := uint64(in.size)
	n := size * uint64(len(in.many))
	k := w.known(in, n)
	if k == nil {
		runLoad(w, in, active)
		return
	}
	a, data, from := &w.r[in.a], k.data, in.offset-k.base
	last := uint64(len(data)) - n
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		at := a[i] + from
		if at > last || at&(n-1) != 0 {
			runLoad(w, in, m)
			return
		}
		p := data[at:][:n]
		if size == 4 {
			for j, r := range in.many {
				w.r[r][i] = uint64(binary.LittleEndian.Uint32(p[4*j:]))
			}
			continue
		}
		for j, r := range in.many {
			w.r[r][i] = load(p[j*int(size):], in.size)
		}
	}
}

// runLoadSharedWord is runLoad of a word of shared memory, quickly.
func runLoadSharedWord(w *warp, in *instruction, active uint32) {
	b := w.block
	if b.written != nil || in.negative != 0 || len(b.shared) < 4 {
		runLoad(w, in, active)
		return
	}
	a, d, data, last := &w.r[in.a], &w.r[in.many[0]], b.shared, uint64(len(b.shared))-4
	checked, now, grain := b.pieces != nil, w.now, b.program.grain
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		at := a[i] + in.offset
		if at > last || at&3 != 0 {
			runLoad(w, in, m)
			return
		}
		if checked {
			p := &b.pieces[at>>grain]
			switch {
			case grain != 2 || p.written >= w.era:
				if !w.checkShared(in, i, at, 4, reads) {
					return
				}
			case p.read < w.era:
				p.read = now | stamp(i)<<laneShift
			default:
				p.read = p.read.and(now|stamp(i)<<laneShift, w.era, w.era)
			}
		}
		d[i] = uint64(binary.LittleEndian.Uint32(data[at:]))
	}
}
