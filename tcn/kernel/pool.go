package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Pool shares the chunks of one job between the calling goroutine and its
// workers. A nil *Pool runs everything on the caller.
//
// Chunks are taken one at a time from a shared counter, so a goroutine that the
// system has set aside costs at most the chunk it holds: Run never waits for a
// worker that has taken none. Between [Pool.Begin] and [Pool.End] a worker looks
// for the next job for a few tens of microseconds before it sleeps; outside, it
// sleeps at once, since a worker that spins keeps the network from being heard.
type Pool struct {
	turn    sync.Mutex // held by the Run in progress, and by Close
	workers sync.WaitGroup
	wake    chan struct{} // one token wakes one sleeping worker
	done    chan struct{} // tells a sleeping Run that its last chunk has ended
	closed  atomic.Bool
	asleep  atomic.Int32 // workers that are about to wait, or wait, on wake
	begun   atomic.Int32 // calls of Begin less those of End: more jobs are near

	// The job. Written by Run before it sets untaken, and read only between
	// taking a chunk and ending it, when Run cannot have gone on.
	chunk func(i int)
	count int

	_ [64]byte // the two counters below are hot: one cache line each
	// untaken is how many chunks of the job nobody has taken. To take one is to
	// lower it by compare-and-swap; that also a later job may have brought it
	// to the compared value does no harm, as what is taken is a chunk of the
	// present job in any case.
	untaken atomic.Int64
	_       [64]byte
	running atomic.Int64 // chunks, taken or not, that have not ended
	_       [64]byte

	waiting atomic.Bool // Run sleeps, or is about to, on done
	failed  atomic.Bool // a chunk panicked: those not yet begun are skipped
	reason  any         // what it panicked with; written once, when failed is set
}

// How long to look before sleeping: lookRounds times lookLoads reads of a
// counter, and a yield to other goroutines after each round. That is 20 to 40
// microseconds on the machines of 2026; it is bounded by counting because the
// package has no clock.
const (
	lookRounds = 128
	lookLoads  = 64
)

// NewPool starts a pool of workers goroutines besides the caller; 0 or less
// means one fewer than GOMAXPROCS. Close ends them.
func NewPool(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0) - 1
	}
	p := &Pool{
		wake: make(chan struct{}, workers),
		done: make(chan struct{}, 1),
	}
	for range workers {
		p.workers.Go(p.serve)
	}
	return p
}

// Begin says that several calls of Run are about to follow each other closely,
// End that they are over. A nil *Pool takes both.
func (p *Pool) Begin() {
	if p != nil {
		p.begun.Add(1)
	}
}

// End is said once for each Begin.
func (p *Pool) End() {
	if p != nil {
		p.begun.Add(-1)
	}
}

// Run calls chunk(i) once for every i in [0, n), on the caller and on whatever
// workers are free, and returns when all have ended. Calls of Run from several
// goroutines take turns; a chunk must not call Run of its own pool. After Close
// everything runs on the caller.
//
// If a chunk panics, chunks not yet begun are skipped and Run panics with the
// same value once the others have ended.
func (p *Pool) Run(n int, chunk func(i int)) {
	if p == nil || n <= 1 {
		for i := range n {
			chunk(i)
		}
		return
	}
	p.turn.Lock()
	defer p.finish()
	p.chunk, p.count = chunk, n
	p.running.Store(int64(n))
	p.untaken.Store(int64(n))
	for range min(int(p.asleep.Load()), n-1) {
		select {
		case p.wake <- struct{}{}:
		default: // enough tokens lie there already
		}
	}
	p.work(false)
}

// finish waits for the chunks in progress, ends the turn and passes on a panic.
func (p *Pool) finish() {
	for p.untaken.Load() > 0 { // the caller's chunk panicked: skip the rest
		p.work(false)
	}
	p.await()
	failed, reason := p.failed.Load(), p.reason
	p.chunk, p.reason = nil, nil
	p.failed.Store(false)
	p.turn.Unlock()
	if failed && reason != nil {
		panic(reason)
	}
}

// await returns when no chunk is in progress.
func (p *Pool) await() {
	always := func() bool { return true }
	if look(func() bool { return p.running.Load() == 0 }, always) {
		return
	}
	p.waiting.Store(true)
	if p.running.Load() == 0 && p.waiting.CompareAndSwap(true, false) {
		return
	}
	<-p.done
}

// work takes chunks and runs them until none is left or one panics.
func (p *Pool) work(onWorker bool) {
	taken := false
	defer func() {
		if !taken {
			return
		}
		reason := recover()
		if reason == nil && onWorker { // runtime.Goexit, which takes the worker along
			reason = "kernel: a chunk ended its goroutine"
		}
		if p.failed.CompareAndSwap(false, true) {
			p.reason = reason
		}
		p.end()
	}()
	for {
		left := p.untaken.Load()
		if left <= 0 {
			return
		}
		if !p.untaken.CompareAndSwap(left, left-1) {
			continue
		}
		taken = true
		if !p.failed.Load() {
			p.chunk(p.count - int(left))
		}
		taken = false
		p.end()
	}
}

// end counts one chunk as ended and wakes Run after the last.
func (p *Pool) end() {
	if p.running.Add(-1) == 0 && p.waiting.CompareAndSwap(true, false) {
		p.done <- struct{}{}
	}
}

// serve is the life of a worker.
func (p *Pool) serve() {
	ready := func() bool { return p.untaken.Load() > 0 || p.closed.Load() }
	near := func() bool { return p.begun.Load() > 0 }
	for {
		if !look(ready, near) {
			// Count first, look again, then sleep: whoever brings a job sets
			// untaken first and then looks at the count, so one of the two
			// sees the other.
			p.asleep.Add(1)
			if !ready() {
				<-p.wake
			}
			p.asleep.Add(-1)
		}
		if p.closed.Load() {
			return
		}
		p.work(true)
	}
}

// look asks ready again and again, for a bounded time and while worth says so.
func look(ready, worth func() bool) bool {
	for range lookRounds {
		for range lookLoads {
			if ready() {
				return true
			}
		}
		if !worth() {
			return false
		}
		runtime.Gosched()
	}
	return false
}

// Close stops the workers and returns when they have ended. A Run in progress
// ends first. Closing twice, or a nil *Pool, does nothing.
func (p *Pool) Close() {
	if p == nil {
		return
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.closed.Swap(true) {
		return
	}
	close(p.wake)
	p.workers.Wait()
}

// Width is how many goroutines a Run uses at most: the workers and the caller. A
// nil *Pool has 1.
func (p *Pool) Width() int {
	if p == nil {
		return 1
	}
	return cap(p.wake) + 1
}
