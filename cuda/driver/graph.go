//go:build cuda && linux

package driver

// #include <cuda.h>
import "C"

import (
	"errors"
	"runtime"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// graph is recorded work.
type graph struct {
	gpu  *gpu
	exec C.CUgraphExec // nil once closed
	last *function     // the last kernel of it
}

func (s *stream) Record(do func() error) (device.Graph, error) {
	const doing = "recording"
	if err := s.idle(doing); err != nil {
		return nil, err
	}
	// A capture must end on the thread that it began on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := s.gpu.call(func() error { return beginCapture(s.s) }); err != nil {
		return nil, s.gpu.fail(err, doing)
	}
	before := s.last
	s.recording = true
	var captured C.CUgraph
	end := func() error {
		s.recording = false
		return s.gpu.call(func() (err error) {
			captured, err = endCapture(s.s)
			return err
		})
	}
	ended := false
	defer func() {
		if !ended { // do panicked
			_ = end()
			_ = dropGraph(captured)
			s.last = before
		}
	}()
	err := do()
	ended = true
	ending := end()
	g := &graph{gpu: s.gpu, last: s.last}
	s.last = before
	if err != nil {
		_ = dropGraph(captured) // the first error says more
		return nil, err
	}
	if ending != nil {
		return nil, s.gpu.fail(ending, doing)
	}
	if g.exec, err = bounded(s.gpu, s.gpu.limits.memory, doing, func() (C.CUgraphExec, error) { return instantiate(captured) }); err != nil {
		return nil, err
	}
	return g, nil
}

func (s *stream) Replay(recorded device.Graph) error {
	const doing = "replaying a graph"
	g, ok := recorded.(*graph)
	if !ok || g.gpu != s.gpu || g.exec == nil {
		return unsupported("%s: it is closed or of another device", doing)
	}
	if err := s.idle(doing); err != nil {
		return err
	}
	s.last = g.last
	if err := s.gpu.call(func() error { return launchGraph(g.exec, s.s) }); err != nil {
		return s.gpu.fail(err, doing)
	}
	return nil
}

func (g *graph) Close() error {
	if g.exec == nil {
		return nil
	}
	exec := g.exec
	g.exec = nil
	err := g.gpu.boundedDo(g.gpu.limits.memory, "closing a graph", func() error { return destroyGraph(exec) })
	if errors.Is(err, device.ErrClosed) {
		return nil // the device's Close has done it
	}
	return err
}
