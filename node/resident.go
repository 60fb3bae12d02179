package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/zetagrid/zetagrid/node/content"
	"github.com/zetagrid/zetagrid/tcn"
)

// errNoDevice: the device failed and is not back.
var errNoDevice = errors.New("node: no device to load on")

// opening is one backend, from when it was opened to when nothing on it is in use
// any more. A device that fails is opened again: what was loaded before is of
// another opening, and its errors are no news of this one.
type opening struct {
	backend tcn.Backend
	gone    chan struct{} // closed once it is lost and nothing on it is in use

	// Guarded by the lock of resident.
	inUse int // stages not closed, and loads under way
	lost  bool
}

// close gives the device back. Nothing may be in use on it.
func (o *opening) close() error {
	if closer, ok := o.backend.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// resident is the ranges loaded on this node's device.
type resident struct {
	config tcn.Config

	mu     sync.Mutex
	now    *opening // nil: the device failed
	loaded []*loadedRange
}

type loadedRange struct {
	on       *opening
	stage    tcn.Stage
	closers  []io.Closer
	users    int  // sessions
	unloaded bool // to be closed by the last of them
}

// stage returns the loaded stage that holds all of r, or nil.
func (s *resident) stage(r tcn.Range) tcn.Stage {
	l, release := s.acquire(r)
	defer release()
	if l == nil {
		return nil
	}
	return l.stage
}

// acquire returns what is loaded that holds all of r, or nil, and a function that
// gives it back: till then its memory stays.
func (s *resident) acquire(r tcn.Range) (*loadedRange, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loaded {
		if l.stage.Range().Contains(r) {
			l.users++
			return l, func() { s.release(l) }
		}
	}
	return nil, func() {}
}

func (s *resident) release(l *loadedRange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.users--
	s.closeUnused(l)
}

// closeUnused frees what was unloaded and nobody uses. The caller holds the lock.
func (s *resident) closeUnused(l *loadedRange) {
	if l.unloaded && l.users == 0 {
		_ = l.stage.Close() // nothing of it is wanted any more
		_ = closeAll(l.closers, nil)
		s.leave(l.on)
	}
}

// leave ends a use of an opening. The caller holds the lock.
func (s *resident) leave(o *opening) {
	o.inUse--
	if o.lost && o.inUse == 0 {
		close(o.gone)
	}
}

// unload forgets every loaded range within r; sessions keep what they use.
func (s *resident) unload(r tcn.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unloadWithin(r)
}

// unloadWithin is unload for who holds the lock.
func (s *resident) unloadWithin(r tcn.Range) {
	s.loaded = slices.DeleteFunc(s.loaded, func(l *loadedRange) bool {
		if !r.Contains(l.stage.Range()) {
			return false
		}
		l.unloaded = true
		s.closeUnused(l)
		return true
	})
}

// ranges lists what is loaded.
func (s *resident) ranges() []tcn.Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ranges []tcn.Range
	for _, l := range s.loaded {
		ranges = append(ranges, l.stage.Range())
	}
	slices.SortFunc(ranges, func(a, b tcn.Range) int { return a.Lo - b.Lo })
	return ranges
}

// use makes b what is loaded on from now on.
func (s *resident) use(b tcn.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = &opening{backend: b, gone: make(chan struct{})}
}

// backend is what is loaded on now; nil while the device is lost.
func (s *resident) backend() tcn.Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil
	}
	return s.now.backend
}

// lose ends an opening whose device failed: nothing is loaded on it any more. It
// reports whether that is news. o.gone tells when nothing on it is in use.
func (s *resident) lose(o *opening) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o == nil || o.lost {
		return false
	}
	o.lost, s.now = true, nil
	o.inUse++
	s.unloadWithin(s.config.All())
	s.leave(o)
	return true
}

// isLost reports whether the device of an opening failed.
func (s *resident) isLost(o *opening) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.lost
}

// enter begins a use of the present opening.
func (s *resident) enter() (*opening, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil, errNoDevice
	}
	s.now.inUse++
	return s.now, nil
}

// load makes r resident. The opening is the one it was loaded on, for errors that
// say its device failed; it may be nil.
func (s *resident) load(ctx context.Context, l *library, r tcn.Range, progress content.Progress) (*opening, error) {
	if s.stage(r) != nil {
		return nil, nil
	}
	blocks, closers, err := l.tiles(ctx, r, progress)
	if err != nil {
		return nil, err
	}
	on, err := s.enter()
	if err != nil {
		return nil, closeAll(closers, err)
	}
	stage, err := on.backend.Load(l.config, r, blocks)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.leave(on)
		return on, closeAll(closers, err)
	}
	made := &loadedRange{on: on, stage: stage, closers: closers} // the use passes on to it
	twice := slices.ContainsFunc(s.loaded, func(l *loadedRange) bool { return l.stage.Range().Contains(r) })
	if on.lost || twice {
		made.unloaded = true
		s.closeUnused(made)
		if twice {
			return on, nil
		}
		return on, errNoDevice
	}
	s.loaded = append(s.loaded, made)
	return on, nil
}

// close unloads everything and gives the device back; nothing may be computing any
// more.
func (s *resident) close() error {
	s.unload(s.config.All())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil
	}
	now := s.now
	s.now = nil
	return now.close()
}
