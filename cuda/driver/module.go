//go:build cuda && linux

package driver

// #include <cuda.h>
import "C"

import (
	"fmt"
	"math"
	"strings"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// module is the kernels of one PTX text. Closing the device unloads it.
type module struct {
	gpu        *gpu
	m          C.CUmodule
	parameters map[string]int // bytes of each kernel's parameter
}

// function is one kernel.
type function struct {
	gpu       *gpu
	f         C.CUfunction
	name      string
	doing     string // "kernel NAME"
	waiting   string // what waiting for it is called
	parameter int    // bytes of its parameter
	shared    int    // bytes of shared memory that it may have
}

func (f *function) Name() string { return f.name }

func (g *gpu) Load(ptx []byte) (device.Module, error) {
	type loaded struct {
		m   C.CUmodule
		log string
		err error
	}
	l, err := bounded(g, g.limits.load, "loading kernels", func() (loaded, error) {
		m, log, err := loadModule(ptx)
		return loaded{m, log, err}, nil
	})
	if err != nil {
		return nil, err
	}
	if l.err != nil {
		return nil, g.fail(l.err, strings.TrimSuffix("loading kernels: "+strings.TrimSpace(l.log), ": "))
	}
	return &module{gpu: g, m: l.m, parameters: parameterBytes(ptx)}, nil
}

func (m *module) Function(name string) (device.Function, error) {
	f := &function{gpu: m.gpu, name: name, doing: "kernel " + name, waiting: "waiting for kernel " + name + " or work before it", shared: sharedBytes}
	var ok bool
	if f.parameter, ok = m.parameters[name]; !ok {
		return nil, unsupported("kernel %s: none of this name with one struct as its parameter", name)
	}
	var err error // the driver may have left the work to this moment
	if f.f, err = bounded(m.gpu, m.gpu.limits.load, f.doing, func() (C.CUfunction, error) { return moduleFunction(m.m, name) }); err != nil {
		return nil, err
	}
	return f, nil
}

// Resources are the registers that the driver's compiler gave a thread of the kernel, and
// the bytes of local memory for what they do not hold.
func (f *function) Resources() (registers, local int, err error) {
	err = f.gpu.call(func() error {
		r, l, err := resources(f.f)
		registers, local = int(r), int(l)
		return err
	})
	if err != nil {
		return 0, 0, f.gpu.fail(err, f.doing)
	}
	return registers, local, nil
}

// check refuses a launch that the driver would misread.
func (f *function) check(l device.Launch) error {
	for i := range 3 {
		if min(l.Grid[i], l.Block[i]) < 1 || max(l.Grid[i], l.Block[i]) > math.MaxInt32 {
			return unsupported("%s: a grid of %v blocks of %v threads", f.doing, l.Grid, l.Block)
		}
	}
	if l.Shared < 0 || l.Shared > math.MaxInt32 {
		return unsupported("%s: %d bytes of shared memory", f.doing, l.Shared)
	}
	if len(l.Args) != f.parameter {
		return unsupported("%s: a parameter of %d bytes, not %d", f.doing, len(l.Args), f.parameter)
	}
	return nil
}

// launch asks for one run; a context is current.
func (f *function) launch(s *stream, l device.Launch) error {
	if l.Shared > f.shared {
		if err := allowShared(f.f, l.Shared); err != nil {
			return fmt.Errorf("%d bytes of shared memory: %w", l.Shared, err)
		}
		f.shared = l.Shared
	}
	return launch(f.f, l.Grid, l.Block, l.Shared, s.s, l.Args)
}
