package cuda

import (
	"slices"
	"sync"
)

// pool hands out runs of bytes of a piece of memory that it never touches: first
// fit over the free runs in order of their address, neighbours joined again.
// Requests of one size, as the states of one range are, leave no gaps that the next
// one does not fit.
//
// Its methods may be called at any time beside each other.
type pool struct {
	mu    sync.Mutex
	bytes int64
	free  []run // ascending, not empty, with something taken between any two
}

// run is bytes [at, at+bytes).
type run struct{ at, bytes int64 }

// newPool is a pool of bytes that are all free.
func newPool(bytes int64) *pool {
	p := &pool{bytes: bytes}
	if bytes > 0 {
		p.free = []run{{0, bytes}}
	}
	return p
}

// take finds room for bytes, at least 1. ok is false if no free run is as long.
func (p *pool) take(bytes int64) (at int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.free {
		r := &p.free[i]
		if r.bytes < bytes {
			continue
		}
		at = r.at
		r.at, r.bytes = r.at+bytes, r.bytes-bytes
		if r.bytes == 0 {
			p.free = slices.Delete(p.free, i, i+1)
		}
		return at, true
	}
	return 0, false
}

// give gives back what take found.
func (p *pool) give(at, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearchFunc(p.free, at, func(r run, at int64) int {
		if r.at < at {
			return -1
		}
		return 1
	})
	if i > 0 && p.free[i-1].at+p.free[i-1].bytes == at {
		i--
		p.free[i].bytes += bytes
	} else {
		p.free = slices.Insert(p.free, i, run{at, bytes})
	}
	if i+1 < len(p.free) && at+bytes == p.free[i+1].at {
		p.free[i].bytes += p.free[i+1].bytes
		p.free = slices.Delete(p.free, i+1, i+2)
	}
}

// left is the free bytes of the pool.
func (p *pool) left() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := int64(0)
	for _, r := range p.free {
		total += r.bytes
	}
	return total
}
