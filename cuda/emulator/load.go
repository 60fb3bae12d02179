package emulator

import (
	"encoding/binary"
	"math/bits"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// accessRun is the way that suits an ld or st.
func accessRun(in *instruction, storing bool) func(w *warp, in *instruction, active uint32) {
	global := in.generic || in.space == ptx.Global || in.space == ptx.Const
	word := in.size == 4 && len(in.many) == 1
	in.lays = true
	switch {
	case storing && global && word:
		return runStoreWord
	case storing && in.space == ptx.Shared && !in.generic && len(in.many) == 1:
		return runStoreShared
	case storing:
		return runStore
	case in.space == ptx.Local && !in.generic:
		return runLoad
	case global && word:
		return orFlat(runLoadWord)
	case global && in.negative == 0:
		return orFlat(runLoadGlobal)
	case in.space == ptx.Shared && word:
		return orFlat(runLoadSharedWord)
	}
	return orFlat(runLoad)
}

// orFlat is a load that looks first whether all lanes read the same, which is read once.
func orFlat(run func(w *warp, in *instruction, active uint32)) func(w *warp, in *instruction, active uint32) {
	return func(w *warp, in *instruction, active uint32) {
		if w.kinds[in.a]&flat == 0 || !w.loadOne(in, active) {
			run(w, in, active)
		}
	}
}

// loadOne loads what lies at the address of every lane. It reports whether it did.
func (w *warp) loadOne(in *instruction, active uint32) bool {
	at := w.r[in.a][0] + in.offset
	if in.generic && at>>slotBits == localWindow>>slotBits {
		return false
	}
	n := uint64(in.size) * uint64(len(in.many))
	lanes := active & -active // the others would find the same
	if w.block.checked && (in.generic || in.space != ptx.Param) {
		// What two lanes may read all may, and what is remembered is the last, and
		// whether it was the only one.
		others := active &^ lanes
		lanes |= others&-others | 1<<(31&(bits.LeadingZeros32(active)^31))
	}
	var p []byte
	for ; lanes != 0; lanes &= lanes - 1 {
		if p = w.reach(in, firstLane(lanes), at, n, reads); p == nil {
			return true
		}
	}
	for k, r := range in.many {
		w.fill(r, in.extended(load(p[k*int(in.size):], in.size)), active)
	}
	return true
}

// extended is what a register holds of a number that was loaded.
func (in *instruction) extended(v uint64) uint64 {
	if in.negative != 0 {
		v = uint64(signExtended(v, int(in.negative))) & in.all
	}
	return v
}

// writeMany readies the registers of a vector to be written.
func (w *warp) writeMany(in *instruction, active uint32) {
	for _, r := range in.many {
		w.write(r, active)
	}
}

func runLoad(w *warp, in *instruction, active uint32) {
	a := w.read(in.a)
	w.writeMany(in, active)
	n := uint64(in.size) * uint64(len(in.many))
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		p := w.reach(in, i, a[i]+in.offset, n, reads)
		if p == nil {
			return
		}
		for k, r := range in.many {
			w.r[r][i] = in.extended(load(p[k*int(in.size):], in.size))
		}
	}
}

func runStore(w *warp, in *instruction, active uint32) {
	a := w.read(in.a)
	for _, r := range in.many {
		w.spread(r)
	}
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
	a, data, from := w.read(in.a), k.data, in.offset-k.base
	d, last := w.write(in.many[0], active), uint64(len(data))-4
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
	a, d, data, from := w.read(in.a), w.read(in.many[0]), k.data, in.offset-k.base
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
	a, data, from := w.read(in.a), k.data, in.offset-k.base
	w.writeMany(in, active)
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

// runStoreShared is runStore of one number to shared memory, quickly.
func runStoreShared(w *warp, in *instruction, active uint32) {
	b, n := w.block, uint64(in.size)
	if uint64(len(b.shared)) < n {
		runStore(w, in, active)
		return
	}
	a, v, data, last := w.read(in.a), w.read(in.many[0]), b.shared, uint64(len(b.shared))-n
	for m := active; m != 0; m &= m - 1 {
		i := firstLane(m)
		at := a[i] + in.offset
		if at > last || at&(n-1) != 0 {
			runStore(w, in, m)
			return
		}
		if b.checked && !w.checkShared(in, i, at, n, writes) {
			return
		}
		store(data[at:], in.size, v[i])
	}
}

// runLoadSharedWord is runLoad of a word of shared memory, quickly.
func runLoadSharedWord(w *warp, in *instruction, active uint32) {
	b := w.block
	if b.written != nil || in.negative != 0 || len(b.shared) < 4 {
		runLoad(w, in, active)
		return
	}
	a, data, last := w.read(in.a), b.shared, uint64(len(b.shared))-4
	d := w.write(in.many[0], active)
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
