package node

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// opens is a device that is the same whenever it is opened.
func opens(b tcn.Backend) OpenDevice { return func() (tcn.Backend, error) { return b, nil } }

// fragile is a device that can be pulled out. What was opened before never works
// again; once it is back it can be opened anew.
type fragile struct {
	t testing.TB

	mu             sync.Mutex
	pulled         chan struct{}   // closed by putBack; nil: the device is there
	never          bool            // it is not put back: opening it fails at once
	present        *fragileBackend // opened last
	opened, closed int
}

type fragileBackend struct {
	tcn.Backend
	of     *fragile
	broken bool // guarded by of.mu, as what follows
	stages int  // not closed
	closed bool
}

type fragileStage struct {
	tcn.Stage
	of *fragileBackend
}

func (f *fragile) open() (tcn.Backend, error) {
	f.mu.Lock()
	pulled := f.pulled
	f.mu.Unlock()
	if pulled != nil {
		if f.never {
			return nil, errors.New("no such device")
		}
		select { // so that no test races with the tries
		case <-pulled:
		case <-f.t.Context().Done():
			return nil, f.t.Context().Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.present != nil && !f.present.closed {
		f.t.Error("the device is opened a second time while it is open")
	}
	f.opened++
	f.present = &fragileBackend{Backend: tcn.NewCPU(&tcn.Compute{Kernels: kernel.Best()}), of: f}
	return f.present, nil
}

func (f *fragile) pull() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulled, f.present.broken = make(chan struct{}), true
}

func (f *fragile) putBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.pulled)
	f.pulled = nil
}

// use fails once the device is gone. stages is what it opens or closes.
func (b *fragileBackend) use(stages int) error {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if b.closed {
		b.of.t.Error("used after Close")
	}
	b.stages += stages
	if b.broken {
		return fmt.Errorf("%w: pulled out", tcn.ErrDevice)
	}
	return nil
}

func (b *fragileBackend) Load(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	if err := b.use(0); err != nil {
		return nil, err
	}
	s, err := b.Backend.Load(c, r, blocks)
	if err != nil {
		return nil, err
	}
	return &fragileStage{s, b}, b.use(1)
}

func (b *fragileBackend) Close() error {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if b.stages != 0 || b.closed {
		b.of.t.Errorf("closed with %d stages open, before: %v", b.stages, b.closed)
	}
	b.closed = true
	b.of.closed++
	return nil
}

func (s *fragileStage) Step(work []*tcn.Work) error {
	if err := s.of.use(0); err != nil {
		return err
	}
	return s.Stage.Step(work)
}

func (s *fragileStage) Close() error {
	_ = s.of.use(-1) // a lost device is closed like any other
	return s.Stage.Close()
}
