package emulator

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// Options is what a device is like. The zero value is a device of 1 GiB with all
// checks that cost little.
type Options struct {
	Memory int64 // bytes it has; 0: 1 GiB
	// Budget is how many branches the threads of a launch may take together,
	// counted by warp; past it the launch hangs. 0: 1 << 30.
	Budget int64
}

// Device runs PTX on the processor.
type Device struct {
	options Options
	memory  memory
	atomics sync.Mutex
	lost    *device.Error // what every call answers from now on
	pinned  map[*byte]int
}

// New is a device.
func New(o Options) *Device {
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Budget == 0 {
		o.Budget = 1 << 30
	}
	d := &Device{options: o, pinned: map[*byte]int{}}
	d.memory.total = o.Memory
	return d
}

// Info says what the device is.
func (d *Device) Info() device.Info {
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	return device.Info{Name: "emulator", Memory: d.memory.total, Free: d.memory.total - d.memory.taken, Major: 9, Multiprocessors: 1, Driver: "emulator"}
}

// Allocate takes memory.
func (d *Device) Allocate(bytes int64) (device.Pointer, error) {
	a, err := d.memory.allocate(bytes)
	if err != nil {
		return 0, err
	}
	return device.Pointer(a.base), nil
}

// Free gives memory back.
func (d *Device) Free(at device.Pointer) error { return d.memory.free(uint64(at)) }

// Pinned is host memory.
func (d *Device) Pinned(bytes int) ([]byte, error) {
	if bytes < 1 {
		return nil, &device.Error{Kind: device.ErrUnsupported, Doing: fmt.Sprintf("pinned memory of %d bytes", bytes)}
	}
	b := make([]byte, bytes)
	d.pinned[&b[0]] = bytes
	return b, nil
}

// Unpin gives host memory back.
func (d *Device) Unpin(b []byte) error {
	if len(b) == 0 || d.pinned[&b[0]] == 0 {
		return &device.Error{Kind: device.ErrUnsupported, Doing: "unpinning memory that is not pinned"}
	}
	delete(d.pinned, &b[0])
	return nil
}

// module is the kernels of one text.
type module struct{ functions map[string]*function }

// function is a kernel, and room to run it.
type function struct {
	*program
	device *Device
	room   *block
}

// Load readies the kernels of a text.
func (d *Device) Load(text []byte) (device.Module, error) {
	m, err := ptx.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", device.ErrUnsupported, err)
	}
	globals := map[*ptx.Variable]uint64{}
	for _, v := range m.Variables {
		if v.Space != ptx.Global && v.Space != ptx.Const || v.Size == 0 {
			continue
		}
		a, err := d.memory.allocate(v.Size)
		if err != nil {
			return nil, err
		}
		clear(a.data)
		copy(a.data, v.Init)
		globals[v] = a.base
	}
	out := &module{map[string]*function{}}
	for _, fn := range m.Functions {
		if !fn.Entry || !fn.Body {
			continue
		}
		p, err := decode(m, fn, globals)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", device.ErrUnsupported, err)
		}
		out.functions[fn.Name] = &function{program: p, device: d}
	}
	return out, nil
}

// Function is the kernel of a name.
func (m *module) Function(name string) (device.Function, error) {
	f, ok := m.functions[name]
	if !ok {
		return nil, &device.Error{Kind: device.ErrUnsupported, Doing: "no kernel " + name}
	}
	return f, nil
}

// Close frees everything.
func (d *Device) Close() error {
	if d.lost != nil && errors.Is(d.lost, device.ErrClosed) {
		return nil
	}
	d.lost = &device.Error{Kind: device.ErrClosed, Doing: "device closed"}
	return nil
}

// check says whether l can be launched.
func (f *function) check(l *device.Launch) error {
	bad := func(format string, args ...any) error {
		return &device.Error{Kind: device.ErrIllegalAccess, Doing: "kernel " + f.name + ": " + fmt.Sprintf(format, args...)}
	}
	threads := 1
	for i := range 3 {
		most := 65535
		if i == 0 {
			most = math.MaxInt32
		}
		if l.Grid[i] < 1 || l.Grid[i] > most || l.Block[i] < 1 || l.Block[i] > maxThreads {
			return bad("grid %v, block %v", l.Grid, l.Block)
		}
		threads *= l.Block[i]
	}
	switch {
	case threads > maxThreads:
		return bad("%d threads of a block", threads)
	case l.Shared < 0 || int64(l.Shared)+f.static > maxShared:
		return bad("%d + %d bytes of shared memory", f.static, l.Shared)
	case int64(len(l.Args)) != f.params:
		return bad("%d bytes of parameters, it has %d", len(l.Args), f.params)
	}
	return nil
}

// launch runs the kernel.
func (f *function) launch(l *device.Launch) error {
	if f.room == nil {
		f.room = &block{program: f.program, device: f.device, hits: make([]uint64, len(f.code))}
	}
	b := f.room
	b.prepare(l, f.device.options.Budget)
	for z := range l.Grid[2] {
		for y := range l.Grid[1] {
			for x := range l.Grid[0] {
				if b.run([3]int{x, y, z}); b.err != nil {
					return b.err
				}
			}
		}
	}
	return nil
}
