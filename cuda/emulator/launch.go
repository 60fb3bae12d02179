package emulator

import (
	"fmt"
	"math"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// function is a kernel, and room to run it.
type function struct {
	*program
	device   *Device
	room     *block
	launches int
}

// check says whether l can be launched.
func (f *function) check(l *device.Launch) error {
	bad := func(format string, args ...any) error {
		return &device.Error{Kind: device.ErrUnsupported, Name: "InvalidValue", Code: 1, Doing: "launch of kernel " + f.name + ": " + fmt.Sprintf(format, args...)}
	}
	threads := 1
	for i := range 3 {
		most := math.MaxUint16
		if i == 0 {
			most = math.MaxInt32
		}
		if l.Grid[i] < 1 || l.Grid[i] > most || l.Block[i] < 1 || l.Block[i] > maxThreads {
			return bad("grid %s, block %s", indices(l.Grid), indices(l.Block))
		}
		threads *= l.Block[i]
	}
	switch {
	case threads > maxThreads:
		return bad("%d threads of a block", threads)
	case l.Shared < 0 || int64(l.Shared)+f.static > maxShared:
		return bad("%d bytes of shared memory besides its own %d", l.Shared, f.static)
	case int64(len(l.Args)) != f.params:
		return bad("%d bytes of parameters, not %d", len(l.Args), f.params)
	}
	return nil
}

// launch runs the kernel.
func (f *function) launch(l *device.Launch) error {
	if f.room == nil {
		f.room = &block{program: f.program, device: f.device, hits: make([]uint64, len(f.code))}
	}
	b, d := f.room, f.device
	f.launches++
	d.counts.Launches++
	b.prepare(l, d.options.Budget)
	for z := range l.Grid[2] {
		for y := range l.Grid[1] {
			for x := range l.Grid[0] {
				if b.run([3]int{x, y, z}); b.err != nil {
					return b.err
				}
			}
		}
	}
	d.pass(d.options.Budget - b.budget)
	return nil
}
