package emulator

import (
	"github.com/zetagrid/zetagrid/cuda/device"
)

// access is what a thread does to memory.
type access uint8

const (
	reads access = iota
	writes
	updates // atomically
)

// touched is who last did something to a piece of memory.
type touched struct {
	block  uint64 // its number, counted over all launches of the device; 0: nobody
	epoch  uint32 // of the block: barriers before it
	syncs  uint32 // of the warp: barriers of the warp before it
	thread uint16
	many   crowd
	atomic bool
}

// crowd says that others did it too, before the same barrier.
type crowd uint8

const (
	alone crowd = iota
	warpmates
	blockmates
	launchmates // threads of other blocks of the launch
)

// piece is what is remembered of a piece of memory.
type piece struct{ written, read touched }

// before reports whether what t says happened before what lane i of w does now:
// something the thread did itself, or with a barrier between.
func (t *touched) before(w *warp, i int, first uint64) bool {
	b := w.block
	switch {
	case t.block < first:
		return true
	case t.block != b.serial || t.many == launchmates:
		return false
	case t.epoch != b.epoch:
		return true
	case t.many == blockmates || int(t.thread>>5) != w.number:
		return false
	case t.syncs != w.syncs:
		return true
	}
	return t.many == alone && int(t.thread) == w.number*32+i
}

// add notes that lane i of w does it too.
func (t *touched) add(w *warp, i int, first uint64, atomic bool) {
	b := w.block
	now := touched{block: b.serial, epoch: b.epoch, syncs: w.syncs, thread: uint16(w.number*32 + i), atomic: atomic}
	switch {
	case t.block < first: // nobody
	case t.block != b.serial || t.many == launchmates:
		now.many = launchmates
	case t.epoch != b.epoch: // before a barrier
	case t.many == blockmates || int(t.thread>>5) != w.number:
		now.many = blockmates
	case t.syncs != w.syncs:
	case t.many == warpmates || t.thread != now.thread:
		now.many = warpmates
	}
	*t = now
}

// race fails if lane i of w may not touch p without a barrier; else it notes that
// it does. Blocks from first on run beside each other.
func (w *warp) race(in *instruction, i int, p *piece, how access, first uint64, what string, at uint64) bool {
	other, did := &p.written, "written"
	ok := p.written.before(w, i, first) || how == updates && p.written.atomic
	if ok && how != reads {
		other, did = &p.read, "read"
		ok = p.read.before(w, i, first)
	}
	if !ok {
		by := "other threads"
		if other.many == alone {
			t := warp{block: w.block, number: int(other.thread) / 32}
			by = "thread " + indices(t.thread(int(other.thread)%32))
			if other.block != w.block.serial {
				by += " of another block"
			}
		}
		w.fail(in, i, device.ErrIllegalAccess, "%s at %#x was %s by %s, with no barrier between", what, at, did, by)
		return false
	}
	if how == reads {
		p.read.add(w, i, first, false)
	} else {
		p.written.add(w, i, first, how == updates)
	}
	return true
}

// bitmap is one bit for every byte that has been written.
type bitmap []uint64

func newBitmap(bytes int) bitmap { return make(bitmap, (bytes+63)/64) }

// has reports whether n bytes from at on are set: at most 64, not across a
// multiple of 64.
func (m bitmap) has(at, n uint64) bool {
	mask := maskOf(int(n)) << (at & 63)
	return m[at>>6]&mask == mask
}

// set sets n bytes from at on.
func (m bitmap) set(at, n uint64) {
	for n > 0 {
		k := min(n, 64-at&63)
		m[at>>6] |= maskOf(int(k)) << (at & 63)
		at, n = at+k, n-k
	}
}

// copy makes n bytes from at on what other has from from on.
func (m bitmap) copy(at uint64, other bitmap, from, n uint64) {
	for k := range n {
		bit := other[(from+k)>>6] >> ((from + k) & 63) & 1
		m[(at+k)>>6] = m[(at+k)>>6]&^(1<<((at+k)&63)) | bit<<((at+k)&63)
	}
}

// checkShared looks at n bytes of shared memory before lane i of w touches them.
func (w *warp) checkShared(in *instruction, i int, at, n uint64, how access) bool {
	b := w.block
	if b.pieces != nil {
		grain := b.program.grain
		for k := at >> grain; k <= (at+n-1)>>grain; k++ {
			if !w.race(in, i, &b.pieces[k], how, b.serial, "shared memory", k<<grain) {
				return false
			}
		}
	}
	if b.written == nil {
		return true
	}
	if how != writes && !b.written.has(at, n) {
		w.fail(in, i, device.ErrIllegalAccess, "%d bytes of shared memory at %#x that nobody has written", n, at)
		return false
	}
	b.written.set(at, n)
	return true
}

// checkGlobal looks at n bytes of a before lane i of w touches them.
func (w *warp) checkGlobal(in *instruction, i int, a *allocation, at, n uint64, how access) bool {
	offset := at - a.base
	if how != writes && !a.written.has(offset, n) {
		w.fail(in, i, device.ErrIllegalAccess, "%d bytes at %#x that nobody has written, %d bytes into an allocation", n, at, offset)
		return false
	}
	grain := w.block.program.globalGrain
	for k := offset >> grain; k <= (offset+n-1)>>grain; k++ {
		if !w.race(in, i, a.piece(k), how, w.block.first, "memory", a.base+k<<grain) {
			return false
		}
	}
	if how != reads {
		a.written.set(offset, n)
	}
	return true
}

// pagePieces is how many pieces are made at once.
const pagePieces = 1 << 10

// piece is piece k of the allocation.
func (a *allocation) piece(k uint64) *piece {
	page := &a.pages[k/pagePieces]
	if *page == nil {
		*page = new([pagePieces]piece)
	}
	return &(*page)[k%pagePieces]
}
