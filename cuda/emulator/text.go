package emulator

import (
	"slices"
	"sync"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// text is what was made of a PTX text. Programs hold the addresses of its variables,
// which mostly are the same on every device.
type text struct {
	module *ptx.Module

	mu       sync.Mutex
	globals  []uint64 // addresses in programs
	programs []*program
}

// texts are those that were loaded, on whatever device: a test opens many devices, and
// most of its time would go into reading the same kernels.
var texts = struct {
	mu   sync.Mutex
	kept map[string]*text
}{kept: map[string]*text{}}

// read is what was made of a text.
func read(source []byte) (*text, error) {
	texts.mu.Lock()
	defer texts.mu.Unlock()
	if t, ok := texts.kept[string(source)]; ok {
		return t, nil
	}
	m, err := ptx.Parse(source)
	if err != nil {
		return nil, err
	}
	if len(texts.kept) >= maxTexts {
		clear(texts.kept)
	}
	t := &text{module: m}
	texts.kept[string(source)] = t
	return t, nil
}

// decoded is the kernels of the text, whose variables lie where globals say.
func (t *text) decoded(globals map[*ptx.Variable]uint64) ([]*program, error) {
	var at []uint64
	for _, v := range t.module.Variables {
		at = append(at, globals[v])
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.programs != nil && slices.Equal(t.globals, at) {
		return t.programs, nil
	}
	programs, room := []*program{}, maxCode
	for _, fn := range t.module.Functions {
		if !fn.Entry || !fn.Body {
			continue
		}
		p, err := decode(t.module, fn, globals, &room)
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	t.globals, t.programs = at, programs
	return programs, nil
}

// module is the kernels of one text.
type module struct{ functions map[string]*function }

// Load readies the kernels of a text. Variables of the module take memory until
// the device is closed.
func (d *Device) Load(source []byte) (device.Module, error) {
	if err := d.failed(); err != nil {
		return nil, err
	}
	unsupported := func(err error) error {
		return &device.Error{Kind: device.ErrUnsupported, Name: "InvalidPtx", Code: 218, Doing: err.Error()}
	}
	t, err := read(source)
	if err != nil {
		return nil, unsupported(err)
	}
	globals := map[*ptx.Variable]uint64{}
	for _, v := range t.module.Variables {
		if v.Space != ptx.Global && v.Space != ptx.Const || v.Size == 0 {
			continue
		}
		a, err := d.memory.allocate(v.Size)
		if err != nil {
			return nil, err
		}
		clear(a.data)
		copy(a.data, v.Init)
		if a.written != nil {
			a.written.set(0, uint64(v.Size))
		}
		globals[v] = a.base
	}
	programs, err := t.decoded(globals)
	if err != nil {
		return nil, unsupported(err)
	}
	out := &module{map[string]*function{}}
	for _, p := range programs {
		f := &function{program: p, device: d}
		out.functions[p.name] = f
		d.counts.add(f)
	}
	return out, nil
}

// Function is the kernel of a name.
func (m *module) Function(name string) (device.Function, error) {
	f, ok := m.functions[name]
	if !ok {
		return nil, &device.Error{Kind: device.ErrUnsupported, Doing: "kernel " + name + " of a text that has none of this name"}
	}
	return f, nil
}
