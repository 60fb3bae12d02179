package emulator

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// Device runs PTX on the processor. It is a [device.Device].
type Device struct {
	options Options
	memory  memory
	lost    atomic.Pointer[device.Error] // what every call answers from now on
	faults  faults
	pinned  map[*byte]int
	eras    uint64 // see stamp
	clock   time.Duration
	counts  counts
}

var _ device.Device = (*Device)(nil)

// New is a device.
func New(o Options) *Device {
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Budget == 0 {
		o.Budget = 1 << 32
	}
	d := &Device{options: o, pinned: map[*byte]int{}}
	d.memory.total, d.memory.strict = o.Memory, o.Strict
	return d
}

// failed is why the device computes nothing any more; nil while it does.
func (d *Device) failed() error {
	if e := d.lost.Load(); e != nil {
		return e
	}
	return nil
}

// lose makes every call answer e from now on.
func (d *Device) lose(e *device.Error) error {
	d.lost.CompareAndSwap(nil, e)
	return d.lost.Load()
}

// Info says what the device is.
func (d *Device) Info() device.Info {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	return device.Info{Name: "emulator", Memory: d.memory.total, Free: d.memory.total - d.memory.taken, Major: 9, Multiprocessors: 1, Driver: "emulator"}
}

// Allocate takes memory. It holds bytes that nobody wrote, 0xcb each.
func (d *Device) Allocate(bytes int64) (device.Pointer, error) {
	if err := d.failed(); err != nil {
		return 0, err
	}
	if err := d.faults.allocation(fmt.Sprintf("allocation of %d bytes", bytes)); err != nil {
		return 0, err
	}
	a, err := d.memory.allocate(bytes)
	if err != nil {
		return 0, err
	}
	return device.Pointer(a.base), nil
}

// Free gives memory back. Whoever touches it afterwards fails: its address is not
// given out again.
func (d *Device) Free(at device.Pointer) error {
	if err := d.failed(); err != nil {
		return err
	}
	return d.memory.free(uint64(at))
}

// Pinned is host memory.
func (d *Device) Pinned(bytes int) ([]byte, error) {
	if err := d.failed(); err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("pinned memory of %d bytes", bytes)
	if bytes < 1 {
		return nil, &device.Error{Kind: device.ErrUnsupported, Doing: doing}
	}
	if err := d.faults.allocation(doing); err != nil {
		return nil, err
	}
	b := make([]byte, bytes)
	d.pinned[&b[0]] = bytes
	return b, nil
}

// Unpin gives host memory back.
func (d *Device) Unpin(b []byte) error {
	if len(b) == 0 || d.pinned[&b[0]] != len(b) {
		return &device.Error{Kind: device.ErrUnsupported, Doing: fmt.Sprintf("unpinning %d bytes that are not pinned", len(b))}
	}
	delete(d.pinned, &b[0])
	return d.failed()
}

// NewStream is a stream.
func (d *Device) NewStream() (device.Stream, error) {
	if err := d.failed(); err != nil {
		return nil, err
	}
	return &stream{device: d}, nil
}

// Close frees everything.
func (d *Device) Close() error {
	d.lost.Store(&device.Error{Kind: device.ErrClosed, Doing: "emulator"})
	d.memory.clear()
	return nil
}

// Live is how many allocations nobody has freed, and how many bytes they take.
func (d *Device) Live() (allocations int, bytes int64) {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	return d.memory.live, d.memory.taken
}

// faults are failures that a test asked for.
type faults struct {
	mu    sync.Mutex
	kind  error
	after int // pieces of work, or allocations, before it
	armed bool
}

// Fail makes the device fail once. With [device.ErrOutOfMemory] it is the
// allocation of device or pinned memory after the next n that fails, and nothing
// else happens. With another kind it is the piece of a stream's work after the
// next n, counted as it is done: Wait answers with it, and so does every call
// from then on. A later Fail takes its place; a nil kind takes it back.
func (d *Device) Fail(n int, kind error) {
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	d.faults.kind, d.faults.after, d.faults.armed = kind, n, kind != nil
}

// due reports whether the next failure is now. Those of memory and those of work
// are counted apart.
func (f *faults) due(memory bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed || memory != (f.kind == device.ErrOutOfMemory) {
		return nil
	}
	if f.after--; f.after >= 0 {
		return nil
	}
	f.armed = false
	return f.kind
}

func (f *faults) allocation(doing string) error {
	if kind := f.due(true); kind != nil {
		return &device.Error{Kind: kind, Code: 2, Name: "OutOfMemory", Doing: doing}
	}
	return nil
}

// fault is an error that a test asked for.
func fault(kind error) *device.Error {
	code, name := driverCode(kind)
	return &device.Error{Kind: kind, Code: code, Name: name, Doing: "work of a stream"}
}

// driverCode is what a driver calls a failure of work.
func driverCode(kind error) (int, string) {
	switch kind {
	case device.ErrIllegalAccess:
		return 700, "IllegalAddress"
	case device.ErrHung:
		return 702, "LaunchTimeout"
	}
	return 719, "LaunchFailed"
}
