// Package kernels holds the CUDA kernels of the GPU stage: their source, the PTX
// made of it, what each is handed and how it is launched.
//
// # Laws
//
//  1. Every kernel computes the bits of its operation in package tcn/kernel.
//     Sources are compiled without fused multiply-adds, flushed denormals or fast
//     division and roots; sums of float32 have 32 lanes and fold by halves.
//  2. What a kernel writes for one row does not depend on the other rows.
//  3. Kernels take sizes from their parameter, everything that changes from Step
//     to Step from device memory: a recorded launch stays right.
//  4. A row that is not active in a block (no row, outside its state's blocks, or
//     r = 0) changes neither its x nor a ring.
//
// # Limits
//
// A batch has at most [MaxRows] rows and shares, a row at most [MaxWidth] numbers.
// Nothing here checks what a kernel is handed: addresses and sizes are the caller's to
// get right.
//
// # PTX
//
// ptx/NAME.ptx is made of NAME.cu by compile.py and committed, so that a build
// needs neither Python nor CUDA. It is for compute capability 8.0 and runs on what
// came after; the driver makes machine code of it when it is loaded.
package kernels

import (
	"embed"
	"fmt"
	"sync"
	"unsafe"

	"github.com/zetagrid/zetagrid/cuda/device"
)

//go:embed ptx
var texts embed.FS

// text is one of them, and the names of its kernels.
type text struct {
	file    string
	source  []byte
	entries []string
}

// read is all of them.
var read = sync.OnceValues(func() ([]text, error) {
	files, err := texts.ReadDir("ptx")
	if err != nil {
		return nil, err
	}
	var all []text
	for _, f := range files {
		source, err := texts.ReadFile("ptx/" + f.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, text{f.Name(), source, entries(source)})
	}
	return all, nil
})

// Call is a kernel and how it is launched.
type Call struct {
	Kernel string
	Launch device.Launch
}

// Set is the kernels loaded on one device. Its launches are in one stream, or wait for
// each other.
type Set struct {
	functions map[string]device.Function
}

// Load readies every kernel on d. Errors: those of [device.Device.Load].
func Load(d device.Device) (*Set, error) {
	all, err := read()
	if err != nil {
		return nil, err
	}
	s := &Set{functions: map[string]device.Function{}}
	for _, t := range all {
		module, err := d.Load(t.source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.file, err)
		}
		for _, name := range t.entries {
			if s.functions[name], err = module.Function(name); err != nil {
				return nil, fmt.Errorf("%s: %w", t.file, err)
			}
		}
	}
	return s, nil
}

// Launch asks stream to run c.
func (s *Set) Launch(stream device.Stream, c Call) error {
	f, ok := s.functions[c.Kernel]
	if !ok {
		return fmt.Errorf("%w: no kernel %s", device.ErrUnsupported, c.Kernel)
	}
	return stream.Launch(f, c.Launch)
}

// bytesOf is a copy of a struct as the device reads it.
func bytesOf[T any](args T) []byte {
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&args)), unsafe.Sizeof(args))...)
}
