//go:build cuda && linux

package driver

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// gpu is one device and a context on it.
type gpu struct {
	context cu.CUContext
	info    device.Info // less Free
	limits  waits
	lost    chan struct{} // closed with why
	using   sync.RWMutex  // held for reading in every call, for writing to destroy the context

	mu     sync.Mutex
	why    error    // what ended the device: a failure or Close; nil while it works
	closed bool     // Close was called
	pinned [][]byte // by address
}

// failed is what ended the device; nil while it works.
func (g *gpu) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

// end records what ended the device, the first time.
func (g *gpu) end(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why == nil {
		g.why = why
		close(g.lost)
	}
}

// fail is the failure of a call, and the end of the device where the kind says so.
func (g *gpu) fail(err error, doing string) error {
	var known *device.Error
	if !errors.As(err, &known) {
		known = failure(codeOf(err), doing)
	}
	if errors.Is(known, device.ErrOutOfMemory) || errors.Is(known, device.ErrUnsupported) {
		return known
	}
	if !device.Fatal(known) { // a device that was opened is there no more
		known = &device.Error{Kind: device.ErrLost, Code: known.Code, Name: known.Name, Doing: known.Doing}
	}
	g.end(known)
	return known
}

func unsupported(format string, args ...any) error {
	return &device.Error{Kind: device.ErrUnsupported, Doing: fmt.Sprintf(format, args...)}
}

// call runs f on a thread where the device's context is current. f must not wait
// in the driver.
func (g *gpu) call(f func() error) error {
	if err := g.failed(); err != nil {
		return err // Close may hold the lock for good
	}
	g.using.RLock()
	defer g.using.RUnlock()
	if err := g.failed(); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(g.context); err != nil {
		return err
	}
	return f()
}

// bounded is call for an f that may wait in the driver: it gives up on f, and on
// the device, after limit, and on f when the device ends.
func bounded[T any](g *gpu, limit time.Duration, doing string, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = g.call(func() (err error) {
			o.value, err = f()
			return err
		})
		done <- o
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var none T
	select {
	case o := <-done:
		if o.err != nil {
			return none, g.fail(o.err, doing)
		}
		return o.value, nil
	case <-g.lost:
		return none, g.failed()
	case <-timer.C:
		return none, g.fail(&device.Error{Kind: device.ErrHung, Doing: doing}, doing)
	}
}

// boundedDo is bounded for an f without a value.
func (g *gpu) boundedDo(limit time.Duration, doing string, f func() error) error {
	_, err := bounded(g, limit, doing, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (g *gpu) Info() device.Info {
	info := g.info
	free, err := bounded(g, g.limits.memory, "asking for free memory", func() (int64, error) {
		free, _, err := cu.MemInfo()
		return free, err
	})
	if err == nil {
		info.Free = free
	}
	return info
}

func (g *gpu) Allocate(bytes int64) (device.Pointer, error) {
	if bytes < 1 {
		return 0, unsupported("allocation of %d bytes", bytes)
	}
	p, err := bounded(g, g.limits.memory, fmt.Sprintf("allocation of %d bytes", bytes), func() (cu.DevicePtr, error) { return cu.MemAlloc(bytes) })
	return device.Pointer(p), err
}

func (g *gpu) Free(p device.Pointer) error {
	return g.boundedDo(g.limits.memory, "giving memory back", func() error { return cu.MemFree(cu.DevicePtr(p)) })
}

func (g *gpu) Pinned(bytes int) ([]byte, error) {
	if bytes < 1 {
		return nil, unsupported("%d bytes of pinned memory", bytes)
	}
	b, err := bounded(g, g.limits.memory, fmt.Sprintf("%d bytes of pinned memory", bytes), func() ([]byte, error) { return hostAlloc(bytes) })
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at, _ := g.pinnedAt(b)
	g.pinned = slices.Insert(g.pinned, at, b)
	return b, nil
}

func (g *gpu) Unpin(b []byte) error {
	g.mu.Lock()
	at, ok := g.pinnedAt(b)
	if ok {
		g.pinned = slices.Delete(g.pinned, at, at+1)
	}
	g.mu.Unlock()
	if !ok {
		return unsupported("giving back memory that this device did not pin")
	}
	return g.boundedDo(g.limits.memory, "giving pinned memory back", func() error { return cu.MemFreeHost(unsafe.Pointer(unsafe.SliceData(b))) })
}

// pinnedAt is where among the pinned memory b begins one, or would. The lock is held.
func (g *gpu) pinnedAt(b []byte) (int, bool) {
	return slices.BinarySearchFunc(g.pinned, b, func(x, y []byte) int {
		return compareAddress(address(x), address(y))
	})
}

// isPinned reports whether all of b, which is not empty, lies in pinned memory.
func (g *gpu) isPinned(b []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, begins := g.pinnedAt(b)
	if !begins {
		at--
	}
	return at >= 0 && address(b)+uintptr(len(b)) <= address(g.pinned[at])+uintptr(len(g.pinned[at]))
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func compareAddress(a, b uintptr) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (g *gpu) NewStream() (device.Stream, error) {
	s, err := bounded(g, g.limits.memory, "making a stream", func() (cu.Stream, error) { return cu.MakeStream(cu.NonBlocking) })
	if err != nil {
		return nil, err
	}
	return &stream{gpu: g, s: s}, nil
}

// Close destroys the context and with it all that was made of the device. That of
// a device that hung stays: destroying it would wait for the kernel.
func (g *gpu) Close() error {
	g.mu.Lock()
	before, twice := g.why, g.closed
	g.closed = true
	g.mu.Unlock()
	if twice {
		return nil
	}
	g.end(&device.Error{Kind: device.ErrClosed, Doing: "used after Close"})
	hung := &device.Error{Kind: device.ErrHung, Doing: "closing the device: its memory stays taken until the program ends"}
	if errors.Is(before, device.ErrHung) {
		return hung
	}
	// What a lost device says of its end is known already.
	failed, err := within(g.limits.close, "closing the device", func() (error, error) {
		g.using.Lock() // calls that were given up on end first
		defer g.using.Unlock()
		return g.context.Destroy(), nil
	})
	switch {
	case err != nil:
		return hung
	case failed != nil && before == nil:
		return failure(codeOf(failed), "closing the device")
	}
	return nil
}
