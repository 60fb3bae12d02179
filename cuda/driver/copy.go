//go:build cuda && linux

package driver

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// bounce is pinned memory that a stream copies through.
type bounce struct {
	memory []byte   // nil until first used
	sent   cu.Event // after the last copy from it
}

// ready is the buffer, once the device has read what was last put in it.
func (b *bounce) ready(g *gpu, doing string) error {
	if b.memory != nil {
		return g.poll(g.limits.copy, doing, func() error { return queryEvent(b.sent) })
	}
	memory, err := g.Pinned(bounceBytes)
	if err != nil {
		return err
	}
	if b.sent, err = bounded(g, g.limits.memory, doing, func() (cu.Event, error) { return cu.MakeEvent(cu.DisableTiming) }); err != nil {
		return err
	}
	b.memory = memory
	return nil
}

func (b *bounce) close(g *gpu) error {
	if b.memory == nil {
		return nil
	}
	memory := b.memory
	b.memory = nil
	if err := g.boundedDo(g.limits.memory, "closing a stream", func() error { return cu.DestroyEvent(&b.sent) }); err != nil {
		return err
	}
	return g.Unpin(memory)
}

func (s *stream) CopyIn(to device.Pointer, from []byte) error {
	return s.copyHost("copy of %d bytes to the device", from, func() error {
		if s.gpu.isPinned(from) {
			return s.gpu.call(func() error {
				return cu.MemcpyHtoDAsync(cu.DevicePtr(to), unsafe.Pointer(unsafe.SliceData(from)), int64(len(from)), s.s)
			})
		}
		return s.bounceIn(to, from)
	})
}

// CopyOut to memory that is not pinned waits for what was asked before.
func (s *stream) CopyOut(to []byte, from device.Pointer) error {
	return s.copyHost("copy of %d bytes from the device", to, func() error {
		if s.gpu.isPinned(to) {
			return s.gpu.call(func() error {
				return cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(to)), cu.DevicePtr(from), int64(len(to)), s.s)
			})
		}
		return s.bounceOut(to, from)
	})
}

// copyHost checks and names a copy between host and device.
func (s *stream) copyHost(format string, host []byte, do func() error) error {
	if err := s.idle("a copy"); err != nil || len(host) == 0 {
		return err
	}
	if err := do(); err != nil {
		return s.gpu.fail(err, fmt.Sprintf(format, len(host)))
	}
	return nil
}

// bounceIn copies through the buffers: the device reads one while the other fills.
func (s *stream) bounceIn(to device.Pointer, from []byte) error {
	for len(from) > 0 {
		b := &s.bounce[s.next]
		s.next = 1 - s.next
		if err := b.ready(s.gpu, "waiting for a copy to the device"); err != nil {
			return err
		}
		n := copy(b.memory, from)
		err := s.gpu.call(func() error {
			if err := cu.MemcpyHtoDAsync(cu.DevicePtr(to), unsafe.Pointer(unsafe.SliceData(b.memory)), int64(n), s.s); err != nil {
				return err
			}
			return b.sent.Record(s.s)
		})
		if err != nil {
			return err
		}
		from, to = from[n:], to+device.Pointer(n)
	}
	return nil
}

func (s *stream) bounceOut(to []byte, from device.Pointer) error {
	b := &s.bounce[0]
	for len(to) > 0 {
		if err := b.ready(s.gpu, s.doing()); err != nil {
			return err
		}
		n := min(len(to), len(b.memory))
		err := s.gpu.call(func() error {
			return cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(b.memory)), cu.DevicePtr(from), int64(n), s.s)
		})
		if err != nil {
			return err
		}
		if err := s.gpu.poll(s.gpu.limits.copy, s.doing(), func() error { return queryStream(s.s) }); err != nil {
			return err
		}
		copy(to, b.memory[:n])
		to, from = to[n:], from+device.Pointer(n)
	}
	return nil
}

func (s *stream) CopyWithin(to, from device.Pointer, bytes int64) error {
	return s.ask("copy of %d bytes on the device", bytes, func() error {
		return cu.MemcpyDtoDAsync(cu.DevicePtr(to), cu.DevicePtr(from), bytes, s.s)
	})
}

func (s *stream) Fill(to device.Pointer, value byte, bytes int64) error {
	return s.ask("fill of %d bytes", bytes, func() error {
		return cu.MemsetD8Async(cu.DevicePtr(to), value, bytes, s.s)
	})
}

// ask checks, does and names work within the device.
func (s *stream) ask(format string, bytes int64, do func() error) error {
	if err := s.ready("work within the device"); err != nil {
		return err
	}
	if bytes < 0 {
		return unsupported(format, bytes)
	}
	if bytes == 0 {
		return nil
	}
	if err := s.gpu.call(do); err != nil {
		return s.gpu.fail(err, fmt.Sprintf(format, bytes))
	}
	return nil
}
