package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// stager copies host memory of any kind to the device through two pinned buffers:
// while one is on its way the other is filled. Neighbouring parts travel together.
type stager struct {
	device   device.Device
	guard    sync.Locker // held around every use of the device
	watchdog time.Duration
	size     int // of a buffer
	halves   [2]half
	current  int
	start    device.Pointer // where the current buffer's bytes go
	used     int            // bytes of it
}

// half is a buffer with a stream of its own, so that waiting for it does not wait
// for the other one.
type half struct {
	buffer []byte
	stream device.Stream
	busy   bool // a copy from it may not be done
}

// newStager takes the buffers. What failed took nothing.
func newStager(d device.Device, guard sync.Locker, o Options) (*stager, error) {
	s := &stager{device: d, guard: guard, watchdog: o.Watchdog, size: o.staging}
	for i := range s.halves {
		h := &s.halves[i]
		var err error
		if h.stream, err = d.NewStream(); err == nil {
			h.buffer, err = d.Pinned(s.size)
		}
		if err != nil {
			_ = s.close() // the first error says more
			return nil, err
		}
	}
	return s, nil
}

// write copies data to the device, at the latest when flush is called.
func (s *stager) write(to device.Pointer, data []byte) error {
	for len(data) > 0 {
		if s.used > 0 {
			// A short gap, of alignment, is cheaper to fill than another copy.
			gap := int64(to) - int64(s.start) - int64(s.used)
			if gap < 0 || gap >= alignment || s.used+int(gap) >= s.size {
				if err := s.send(); err != nil {
					return err
				}
				continue
			}
			clear(s.halves[s.current].buffer[s.used : s.used+int(gap)])
			s.used += int(gap)
		} else {
			if err := s.settle(s.current); err != nil {
				return err
			}
			s.start = to
		}
		n := copy(s.halves[s.current].buffer[s.used:], data)
		s.used, to, data = s.used+n, to+device.Pointer(n), data[n:]
	}
	return nil
}

// send begins the copy of the current buffer and turns to the other.
func (s *stager) send() error {
	h := &s.halves[s.current]
	s.guard.Lock()
	defer s.guard.Unlock()
	n := s.used
	s.used, s.current = 0, 1-s.current
	h.busy = true
	return h.stream.CopyIn(s.start, h.buffer[:n])
}

// settle waits until a buffer may be filled again.
func (s *stager) settle(i int) error {
	h := &s.halves[i]
	if !h.busy {
		return nil
	}
	s.guard.Lock()
	defer s.guard.Unlock()
	h.busy = false
	return await(h.stream, s.watchdog)
}

// flush returns when everything written has arrived. After an error what was not
// sent is forgotten.
func (s *stager) flush() error {
	var err error
	if s.used > 0 {
		err = s.send()
	}
	return cmp.Or(err, s.settle(0), s.settle(1))
}

// forget drops what was written and not sent, after an error.
func (s *stager) forget() error {
	s.used = 0
	return s.flush()
}

// close gives the buffers back.
func (s *stager) close() error {
	var errs []error
	for i := range s.halves {
		h := &s.halves[i]
		if h.stream != nil {
			errs = append(errs, h.stream.Close())
		}
		if h.buffer != nil {
			errs = append(errs, s.device.Unpin(h.buffer))
		}
		*h = half{}
	}
	return errors.Join(errs...)
}

// await waits for a stream. Where that fails nobody knows what was done and what may
// still be, so the device counts as lost, whatever it says.
func await(stream device.Stream, limit time.Duration) error {
	err := stream.Wait(limit)
	if err != nil && !device.Fatal(err) {
		err = fmt.Errorf("%w: wait: %w", device.ErrLost, err)
	}
	return err
}

// unguarded is a Locker for who holds the lock already.
type unguarded struct{}

func (unguarded) Lock()   {}
func (unguarded) Unlock() {}
