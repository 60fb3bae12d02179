package emulator

// How the lanes of a register lie, bits of warp.kinds. Much of what a kernel
// computes is the same for all threads of a warp: it is computed once.
const (
	varied uint8 = 0
	flat   uint8 = 1 // every lane holds the same
	stale  uint8 = 2 // and only lane 0 of the room has it yet
)

// spread puts what a flat register holds into the room of every lane.
func (w *warp) spread(r int32) {
	if w.kinds[r]&stale == 0 {
		return
	}
	d := &w.r[r]
	v := d[0]
	for i := range d {
		d[i] = v
	}
	w.kinds[r] = flat
}

// all computes every lane.
func (w *warp) all(in *instruction, spread bool) {
	if spread {
		w.spread(in.a)
		w.spread(in.b)
		w.spread(in.c)
	}
	in.wide(&w.r[in.d], &w.r[in.a], &w.r[in.b], &w.r[in.c])
	w.kinds[in.d] = varied
}

// goesOn notes which lanes run now. Where the others are may have changed.
func (w *warp) goesOn(active uint32) { w.here, w.sure = active, false }

// keeps reports whether lanes that do not run now may still read register r. Else an
// instruction of all that run may write all of it.
func (w *warp) keeps(r int32) bool {
	if !w.sure {
		clear(w.kept)
		for _, g := range w.groups[:w.n] {
			for i, v := range w.block.program.aliveAt(g.pc) {
				w.kept[i] |= v
			}
		}
		w.sure = true
	}
	return w.kept.has(r)
}

// read is a register to read lane by lane.
func (w *warp) read(r int32) *lanes {
	if w.kinds[r]&stale != 0 {
		w.spread(r)
	}
	return &w.r[r]
}

// write is a register to write the active lanes of, after what is read has been read
// or spread.
func (w *warp) write(r int32, active uint32) *lanes {
	if w.kinds[r] != varied {
		if active != allLanes && (active != w.here || w.keeps(r)) {
			w.spread(r)
		}
		w.kinds[r] = varied
	}
	return &w.r[r]
}

// isFlat reports whether every lane of a register holds what its lane 0 does.
func (w *warp) isFlat(r int32) bool { return w.kinds[r]&flat != 0 }

// fill makes every active lane of a register v.
func (w *warp) fill(r int32, v uint64, active uint32) {
	if active == allLanes || active == w.here && !w.keeps(r) {
		w.r[r][0] = v
		w.kinds[r] = flat | stale
		return
	}
	d := w.write(r, active)
	for m := active; m != 0; m &= m - 1 {
		d[firstLane(m)] = v
	}
}

// same reports whether all lanes hold the same.
func same(r *lanes) bool {
	for _, v := range r {
		if v != r[0] {
			return false
		}
	}
	return true
}

// lay readies the registers of an instruction that knows nothing of flat ones.
func (w *warp) lay(in *instruction, active uint32) {
	for _, r := range in.reads {
		w.spread(r)
	}
	for _, r := range in.writes {
		w.write(r, active)
	}
}
