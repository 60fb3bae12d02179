package emulator

import "github.com/zetagrid/zetagrid/cuda/device"

// access is what a thread does to memory.
type access uint8

const (
	reads access = iota
	writes
	updates // atomically
)

// stamp is who last did something to a piece of memory, and when; 0: nobody. From
// the top: the era, a number of the device that every block begins and every
// barrier of a block raises; barriers of the warp before it; the thread; whether
// others did it too in the same era; whether it was atomic.
type stamp uint64

const (
	atomicBit         = 1
	crowdShift        = 1
	laneShift         = 3
	warpShift         = 8
	syncShift         = 13
	eraShift          = 28
	syncMask    stamp = 1<<(eraShift-syncShift) - 1
	alone       stamp = 0 // nobody else did it
	warpmates   stamp = 1
	blockmates  stamp = 2
	launchmates stamp = 3 // threads of other blocks
)

func (t stamp) crowd() stamp { return t >> crowdShift & 3 }
func (t stamp) lane() int    { return int(t >> laneShift & 31) }
func (t stamp) warp() int    { return int(t >> warpShift & 31) }
func (t stamp) thread() int  { return t.warp()*32 + t.lane() }

// piece is what is remembered of a piece of memory.
type piece struct{ written, read stamp }

// tick renews what the warp stamps with.
func (w *warp) tick() {
	w.era = stamp(w.block.era) << eraShift
	w.now = w.era | stamp(w.syncs)&syncMask<<syncShift | stamp(w.number)<<warpShift
}

// before reports whether what t says happened before what a lane does now, whose
// stamp is now: something the thread did itself, or with a barrier between.
// Blocks that began in the era first or later run beside each other.
func (t stamp) before(now stamp, first, block stamp) bool {
	switch {
	case t < first:
		return true
	case t < block || t.crowd() == launchmates:
		return false
	case t>>eraShift != now>>eraShift:
		return true
	case t.crowd() == blockmates || t.warp() != now.warp():
		return false
	case t>>syncShift != now>>syncShift:
		return true
	}
	return t.crowd() == alone && t.lane() == now.lane()
}

// and is t, and that a lane did it too.
func (t stamp) and(now stamp, first, block stamp) stamp {
	switch {
	case t < first:
		return now
	case t < block || t.crowd() == launchmates:
		return now | launchmates<<crowdShift
	case t>>eraShift != now>>eraShift:
		return now
	case t.crowd() == blockmates || t.warp() != now.warp():
		return now | blockmates<<crowdShift
	case t>>syncShift != now>>syncShift:
		return now
	case t.crowd() == warpmates || t.lane() != now.lane():
		return now | warpmates<<crowdShift
	}
	return now
}

// race fails if lane i of w may not touch p without a barrier; else it notes that
// it does.
func (w *warp) race(in *instruction, i int, p *piece, how access, first stamp, what string, at uint64) bool {
	now, block := w.now|stamp(i)<<laneShift, stamp(w.block.began)<<eraShift
	other, did := p.written, "written"
	atomic := other&atomicBit != 0 && (how == updates || other>>laneShift == now>>laneShift) // or its own was the last
	ok := atomic || other.before(now, first, block)
	meets := how == updates && other >= first && other < block
	if ok && how != reads {
		other, did = p.read, "read"
		ok = other.before(now, first, block)
	}
	if !ok {
		by := "several threads"
		if other.crowd() == alone {
			by = "thread " + indices(w.block.threadAt(other.thread()))
			if other < block {
				by += " of another block"
			}
		}
		w.fail(in, i, device.ErrIllegalAccess, "%s at %#x was %s by %s, with no barrier between", what, at, did, by)
		return false
	}
	w.block.met = w.block.met || meets
	switch how {
	case reads:
		p.read = p.read.and(now, first, block)
	case writes:
		p.written = p.written.and(now, first, block)
	default:
		p.written = p.written.and(now, first, block) | atomicBit
	}
	return true
}

// checkShared looks at n bytes of shared memory before lane i of w touches them.
func (w *warp) checkShared(in *instruction, i int, at, n uint64, how access) bool {
	b := w.block
	if b.pieces != nil {
		grain := b.program.grain
		for k := at >> grain; k <= (at+n-1)>>grain; k++ {
			p, now := &b.pieces[k], w.now|stamp(i)<<laneShift
			if p.written < w.era || p.written == now { // nobody else since the last barrier
				switch {
				case how == writes && (p.read < w.era || p.read == now):
					p.written = now
					continue
				case how == reads && p.read < w.era:
					p.read = now
					continue
				case how == reads:
					p.read = p.read.and(now, w.era, w.era)
					continue
				}
			}
			if !w.race(in, i, p, how, stamp(b.began)<<eraShift, "shared memory", k<<grain) {
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
	grain, first, block := w.block.program.globalGrain, stamp(w.block.first)<<eraShift, stamp(w.block.began)<<eraShift
	now := w.now | stamp(i)<<laneShift
	for k := offset >> grain; k <= (offset+n-1)>>grain; k++ {
		p := a.piece(k)
		switch {
		case how == updates || p.written >= first: // somebody may have been here
		case how == reads:
			p.read = p.read.and(now, first, block)
			continue
		case p.read < first:
			p.written = now
			continue
		}
		if !w.race(in, i, p, how, first, "memory", a.base+k<<grain) {
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

// runFence is membar and fence. A block that has met others at an atomic
// instruction finds, from its next fence on, what they did before theirs: so
// blocks agree which of them is the last.
func runFence(w *warp, _ *instruction, _ uint32) {
	if b := w.block; b.met {
		b.first = b.began
	}
}
